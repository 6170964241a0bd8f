"""A planned contact and a planned session, with their links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from learning.requests.cluster import Cluster, Floats
from sim.links.beam import Beam, SessionBeam
from sim.links.pass_links import DeviceLinks

LAST_BITS_S = 1.0
"""Longest that the last bits of a contact are on their way: seven times geostationary."""


class ContactLinks:
    """The links of one contact, made when first asked for and let go when it is over.

    A plan of thousands of contacts and devices would not fit into memory with all its curves, nor
    with what they carry for each device; of that only the least is remembered, as a whole and while
    served from ``start_s`` to ``end_s``.
    """

    def __init__(
        self, make: Callable[[], DeviceLinks], start_s: float = -np.inf, end_s: float = np.inf
    ) -> None:
        self._make = make
        self._span_s = start_s, end_s
        self._now: DeviceLinks | None = None
        self._capacities: tuple[Floats, Floats] | None = None
        self._least: tuple[float, float] | None = None
        self._doppler_hz: tuple[float, float] | None = None

    @property
    def devices(self) -> DeviceLinks:
        """Both directions, one row per device."""
        if self._now is None:
            self._now = self._made()
        return self._now

    def _made(self) -> DeviceLinks:
        links, (start_s, end_s) = self._make(), self._span_s
        uplink = links.uplink.curve
        whole = np.atleast_1d(uplink.capacity_bits)
        served = np.zeros_like(whole)
        if start_s <= uplink.time_s.min() and uplink.time_s.max() <= end_s:
            served = whole
        elif not np.isnan(start_s):
            served = uplink.delivered_bits(end_s) - uplink.delivered_bits(start_s)
        self._capacities = whole / 8.0, np.atleast_1d(served) / 8.0
        self._least = float(self._capacities[0].min()), float(self._capacities[1].min())
        self._doppler_hz = links.doppler_hz
        return links

    @property
    def capacity_bytes(self) -> Floats:
        """Bytes (K,) that each device could upload between rise and set."""
        return self._capacity(0)

    @property
    def capacity_in_service_bytes(self) -> Floats:
        """Bytes (K,) that each device can upload while a beam serves the cluster."""
        return self._capacity(1)

    @property
    def least_bytes(self) -> tuple[float, float]:
        """What the device with the poorest link could upload: of the whole, and while served."""
        if self._least is None:
            self._made()
        assert self._least is not None
        return self._least

    @property
    def doppler_hz(self) -> tuple[float, float] | None:
        """Largest Doppler shift, and what is left of it for a device; None without geometry."""
        if self._least is None:
            self._made()
        return self._doppler_hz

    def _capacity(self, which: int) -> Floats:
        if self._capacities is None:
            self._made()
        assert self._capacities is not None
        return self._capacities[which]

    def close(self) -> None:
        """Let the curves go; they are made again when asked for."""
        self._now = self._capacities = None


@dataclass(frozen=True, eq=False)
class PlannedContact:
    """A window of one satellite over one cluster, with its devices' links.

    ``start_s`` to ``end_s`` is when a beam serves the cluster (nan if never): to the set, or to
    when another cluster takes the beam over. ``wait_from_s`` is when it began to wait for one (nan
    if it did not). ``session`` is -1 for a contact that is not served.
    """

    contact_id: int
    session: int
    satellite: str
    norad_id: int | None
    cluster: Cluster
    rise_s: float
    culminate_s: float
    set_s: float
    max_elevation_deg: float
    min_slant_range_km: float
    served: bool
    start_s: float
    end_s: float
    links: ContactLinks
    wait_from_s: float = np.nan

    @property
    def cut_short(self) -> bool:
        """Whether another cluster takes the beam over before the set."""
        return self.served and self.end_s < self.set_s

    @property
    def uplink(self) -> Beam:
        """Uplink of the devices, one row per device."""
        return self.links.devices.uplink

    @property
    def downlink(self) -> Beam | None:
        """Downlink of the devices; None where the downlink is neglected."""
        return self.links.devices.downlink


# A planned session: contacts of one cluster that a method takes for one.


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
