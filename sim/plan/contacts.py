"""A planned contact and a planned session, with their links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from learning.requests.cluster import Cluster
from sim.facts.directions import Way
from sim.links.device_links import DeviceLinks, served_bits
from sim.links.session_beam import SessionBeam
from statements.arrays import Floats, Ints

LAST_BITS_S = 1.0
"""Longest that the last bits of a contact are on their way: seven times geostationary."""


@dataclass(frozen=True, eq=False)
class PlannedContact:
    """A window of one satellite over one cluster, with its devices' links.

    ``start_s`` to ``end_s`` is when a beam serves the cluster (nan if never): to the set, or to
    when another cluster takes the beam over. ``wait_from_s`` is when it began to wait for one (nan
    if it did not). ``session`` is -1 for a contact that is not served. ``member`` names the
    satellite that has it where satellites or planes are the clients. Where the end of the run cuts
    it (``cut_by_stop``), its links are those of the whole.

    Its ``links`` are made by ``make`` when they are first asked for, and let go when it is over: a
    plan of thousands of contacts and devices would not fit into memory with all its curves.
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
    make: Callable[[], DeviceLinks]
    wait_from_s: float = np.nan
    member: str = ""
    cut_by_stop: bool = False

    @cached_property
    def links(self) -> DeviceLinks:
        """Both ways, one row per device."""
        return self.make()

    def close(self) -> None:
        """Let the links go; they are made again when asked for."""
        self.__dict__.pop("links", None)


# A planned session: contacts of one cluster that a method takes for one.


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

    @cached_property
    def to_server(self) -> SessionBeam:
        """From the devices to their server."""
        beams = [contact.links.to_server for contact in self.contacts]
        return SessionBeam(beams, self._spans_s, self.is_whole)

    @cached_property
    def to_client(self) -> SessionBeam | None:
        """From the server to the devices; None where that link is neglected."""
        each = (contact.links.to_client for contact in self.contacts)
        beams = [beam for beam in each if beam is not None]
        return SessionBeam(beams, self._spans_s, self.is_whole) if beams else None

    def beam(self, way: Way) -> SessionBeam | None:
        """Return the link that goes one way; None where it is neglected."""
        return self.to_server if way is Way.TO_SERVER else self.to_client

    @property
    def capacity_bytes(self) -> float:
        """Bytes that the device with the poorest link can upload in the session, if alone."""
        each = [
            served_bits(contact.links.to_server.curve, contact.start_s, contact.end_s) / 8.0
            for contact in self.contacts
        ]
        return float(np.sum(each, axis=0).min())

    @property
    def _spans_s(self) -> list[tuple[float, float]]:
        return [(contact.start_s, contact.end_s) for contact in self.contacts]

    @property
    def is_whole(self) -> bool:
        """Whether there is one contact, served from its rise to its set."""
        first = self.contacts[0]
        alone = len(self.contacts) == 1
        served = first.start_s == first.rise_s and first.end_s == first.set_s
        return alone and served and not first.cut_by_stop

    def delay_s(self, time_s: Floats) -> Floats:
        """Seconds that a signal takes between each device and its satellite at its time (K,)."""
        delay = self.contacts[0].links.delay_s(time_s)
        for contact in self.contacts[1:]:
            there = contact.links.delay_s(time_s)
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

    def contact_ids(self, time_s: Floats) -> Ints:
        """Return which contact had begun last by each time (K,); the first one before that."""
        ids = np.full(len(time_s), self.contacts[0].contact_id)
        for contact in self.contacts[1:]:
            ids = np.where(time_s >= contact.start_s, contact.contact_id, ids)
        return ids

    def close(self) -> None:
        """Let the curves go."""
        self.__dict__.pop("to_server", None)
        self.__dict__.pop("to_client", None)
        for contact in self.contacts:
            contact.close()
