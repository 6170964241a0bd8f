"""A planned session: contacts of one cluster that a method takes for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from learning.requests.cluster import Floats
from sim.planned_contact import PlannedContact
from sim.session_beam import SessionBeam


@dataclass(frozen=True, eq=False)
class PlannedSession:
    """Contacts of one cluster that follow each other so closely that they count as one.

    The links of several contacts are one after the other; in the gaps nothing moves.
    """

    number: int
    contacts: tuple[PlannedContact, ...]
    _parts: dict[tuple[float, ...], PlannedSession | None] = field(default_factory=dict, repr=False)

    @property
    def start_s(self) -> float:
        """When the first contact's service begins."""
        return self.contacts[0].start_s

    @property
    def end_s(self) -> float:
        """When the last contact's service ends."""
        return self.contacts[-1].end_s

    @cached_property
    def uplink(self) -> SessionBeam:
        """From the devices to the satellites."""
        return SessionBeam([c.uplink for c in self.contacts], self._spans_s, self._whole)

    @cached_property
    def downlink(self) -> SessionBeam | None:
        """From the satellites to the devices; None where the downlink is neglected."""
        beams = [c.downlink for c in self.contacts if c.downlink is not None]
        return SessionBeam(beams, self._spans_s, self._whole) if beams else None

    def beam(self, direction: str) -> SessionBeam | None:
        """Return the link in a direction, ``uplink`` or ``downlink``."""
        return self.uplink if direction == "uplink" else self.downlink

    @property
    def capacity_bytes(self) -> float:
        """Bytes that the device with the poorest link can upload in the session, if alone."""
        _ = self.uplink  # the links are wanted in a moment, so that they are made and kept
        each = [contact.links.capacity_in_service_bytes for contact in self.contacts]
        return float(np.sum(each, axis=0).min())

    @property
    def _spans_s(self) -> list[tuple[float, float]]:
        return [(contact.start_s, contact.end_s) for contact in self.contacts]

    @property
    def _whole(self) -> bool:
        """Whether there is one contact, served from its rise to its set."""
        first = self.contacts[0]
        alone = len(self.contacts) == 1
        return alone and first.start_s == first.rise_s and first.end_s == first.set_s

    def delay_s(self, time_s: Floats) -> Floats:
        """Seconds that a signal takes between each device and its satellite at its time (K,)."""
        delay = self.contacts[0].links.devices.delay_s(time_s)
        for contact in self.contacts[1:]:
            there = contact.links.devices.delay_s(time_s)
            delay = np.where(time_s >= contact.start_s, there, delay)
        return delay

    def in_service_s(self, time_s: Floats) -> Floats:
        """Each time, or when the next contact begins if it lies in a gap; at most the end."""
        at = np.minimum(np.maximum(time_s, self.start_s), self.end_s)
        for before, after in zip(self.contacts, self.contacts[1:], strict=False):
            at = np.where((at > before.end_s) & (at < after.start_s), after.start_s, at)
        return at

    def at(self, time_s: float) -> PlannedContact:
        """Return the contact that had begun last by ``time_s``."""
        begun = [contact for contact in self.contacts if contact.start_s <= time_s]
        return begun[-1] if begun else self.contacts[0]

    def knowing(self, known_s: Callable[[str], float]) -> PlannedSession | None:
        """Return what is left of the session from when each satellite knows the server's state.

        ``known_s`` says when a satellite does; None where no contact lasts that long.
        """
        when = tuple(known_s(contact.satellite) for contact in self.contacts)
        if all(t <= c.start_s for t, c in zip(when, self.contacts, strict=True)):
            return self
        if when not in self._parts:  # a chain mostly asks again for the same times
            self._parts.clear()
            self._parts[when] = self._later(when)
        return self._parts[when]

    def _later(self, when: tuple[float, ...]) -> PlannedSession | None:
        """What is left of each contact behind its time."""
        left = [
            replace(contact, start_s=max(contact.start_s, t))
            for t, contact in zip(when, self.contacts, strict=True)
            if t < contact.end_s
        ]
        return PlannedSession(self.number, tuple(left)) if left else None

    def close(self) -> None:
        """Let the curves go."""
        self.__dict__.pop("uplink", None)
        self.__dict__.pop("downlink", None)
        self._parts.clear()
        for contact in self.contacts:
            contact.links.close()
