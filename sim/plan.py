"""The contact plan of a run: who is served when, over which link. All times in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby

import numpy as np

from channel import LinkCurve, joined
from learning.method import Cluster
from learning.requests import Floats

Curves = tuple[LinkCurve, LinkCurve | None]
"""Uplink and downlink of all devices in one contact; None for a neglected downlink."""


class ContactLinks:
    """The link curves of one contact, made when first asked for and let go when it is over.

    A plan of thousands of contacts and devices would not fit into memory with all its curves; what
    they carry, as a whole and while served from ``start_s`` to ``end_s``, is remembered.
    """

    def __init__(
        self, make: Callable[[], Curves], start_s: float = -np.inf, end_s: float = np.inf
    ) -> None:
        self._make = make
        self._span_s = start_s, end_s
        self._curves: Curves | None = None
        self._capacities: tuple[Floats, Floats] | None = None

    @property
    def curves(self) -> Curves:
        """Uplink and downlink curves, one row a device."""
        if self._curves is None:
            self._curves = self._made()
        return self._curves

    def _made(self) -> Curves:
        curves, (start_s, end_s) = self._make(), self._span_s
        whole = served = np.atleast_1d(curves[0].capacity_bits)
        if not np.isnan(start_s):
            served = curves[0].delivered_bits(end_s) - curves[0].delivered_bits(start_s)
        self._capacities = whole / 8.0, np.atleast_1d(served) / 8.0
        return curves

    @property
    def capacity_bytes(self) -> Floats:
        """Bytes (K,) that each device could upload between rise and set."""
        return self._capacity(0)

    @property
    def capacity_in_service_bytes(self) -> Floats:
        """Bytes (K,) that each device can upload while a beam serves the cluster."""
        return self._capacity(1)

    def _capacity(self, which: int) -> Floats:
        if self._capacities is None:
            self._made()
        assert self._capacities is not None
        return self._capacities[which]

    def close(self) -> None:
        """Let the curves go; they are made anew if somebody asks again."""
        self._curves = None


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
    def uplink(self) -> LinkCurve:
        """Uplink rates of the devices, one row a device."""
        return self.links.curves[0]

    @property
    def downlink(self) -> LinkCurve | None:
        """Downlink rates of the devices; None where the downlink is neglected."""
        return self.links.curves[1]


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


@dataclass(frozen=True, eq=False)
class Plan:
    """All contacts of a run in the order of their numbers, and when it starts and ends.

    ``doubts`` are lines for the user on what may be wrong with the contacts. What one satellite
    received the others know ``sync_delay_s`` later. A ``constellation`` serves with any of its
    satellites.
    """

    start: datetime
    stop_s: float
    clusters: tuple[Cluster, ...]
    contacts: tuple[PlannedContact, ...]
    doubts: tuple[str, ...] = ()
    sync_delay_s: float = 0.0
    constellation: bool = False

    def served(self, cluster: Cluster) -> list[PlannedContact]:
        """Contacts in which ``cluster`` is served, in order of time."""
        mine = [c for c in self.contacts if c.served and c.cluster.name == cluster.name]
        return sorted(mine, key=lambda contact: contact.start_s)

    def sessions(self, cluster: Cluster) -> list[PlannedSession]:
        """Sessions of ``cluster`` in order of time."""
        grouped = groupby(self.served(cluster), key=lambda contact: contact.session)
        return [PlannedSession(number, tuple(contacts)) for number, contacts in grouped]

    @property
    def cycles(self) -> int:
        """Complete cycles in the plan: sessions of the cluster that is served least often."""
        return min(len({c.session for c in self.served(cluster)}) for cluster in self.clusters)

    def utc(self, time_s: float) -> datetime:
        """Return the UTC time ``time_s`` seconds after the start."""
        return self.start + timedelta(seconds=time_s)
