"""A planned session: contacts of one cluster that a method takes for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from channel import LinkCurve, joined
from learning.requests import Floats
from sim.planned_contact import PlannedContact


@dataclass(frozen=True, eq=False)
class _SessionLinks:
    """The links of a session's contacts, one after the other; what a device can upload (K,)."""

    uplink: LinkCurve
    downlink: LinkCurve | None
    edges_s: list[tuple[Floats, Floats]]
    capacity_bytes: Floats

    @classmethod
    def of(cls, contacts: tuple[PlannedContact, ...]) -> _SessionLinks:
        curves = [contact.links.curves for contact in contacts]
        spans = [(contact.start_s, contact.end_s) for contact in contacts]
        edges = [
            (np.clip(up.time_s[..., 0], *span), np.clip(up.time_s[..., -1], *span))
            for (up, _), span in zip(curves, spans, strict=True)
        ]
        each = [contact.links.capacity_in_service_bytes for contact in contacts]
        up, down = curves[0]
        if len(contacts) > 1 or contacts[0].cut_short:
            up = joined([up for up, _ in curves], spans)
            downs = [down for _, down in curves if down is not None]
            down = joined(downs, spans) if downs else None
        return cls(up, down, edges, np.sum(each, axis=0))


@dataclass(frozen=True, eq=False)
class PlannedSession:
    """Contacts of one cluster that follow each other so closely that they count as one.

    The links of several contacts are one after the other; in the gaps nothing moves.
    """

    number: int
    contacts: tuple[PlannedContact, ...]

    @property
    def start_s(self) -> float:
        """When the first contact's service begins."""
        return self.contacts[0].start_s

    @property
    def end_s(self) -> float:
        """When the last contact's service ends."""
        return self.contacts[-1].end_s

    @property
    def uplink(self) -> LinkCurve:
        """Uplink rates of the devices over the session, one row a device."""
        return self._links.uplink

    @property
    def downlink(self) -> LinkCurve | None:
        """Downlink rates of the devices; None where the downlink is neglected."""
        return self._links.downlink

    @property
    def edges_s(self) -> list[tuple[Floats, Floats]]:
        """First and last second (K,) in which each device is served, for each contact."""
        return self._links.edges_s

    @property
    def capacity_bytes(self) -> float:
        """Bytes that the device with the poorest link can upload in the session."""
        return float(self._links.capacity_bytes.min())

    @cached_property
    def _links(self) -> _SessionLinks:
        return _SessionLinks.of(self.contacts)

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
        when = [known_s(contact.satellite) for contact in self.contacts]
        if all(t <= c.start_s for t, c in zip(when, self.contacts, strict=True)):
            return self
        left = [
            replace(contact, start_s=max(contact.start_s, t))
            for t, contact in zip(when, self.contacts, strict=True)
            if t < contact.end_s
        ]
        return PlannedSession(self.number, tuple(left)) if left else None

    def close(self) -> None:
        """Let the curves go."""
        self.__dict__.pop("_links", None)
        for contact in self.contacts:
            contact.links.close()
