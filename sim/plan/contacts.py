"""Planned contacts, with their links, as columns with an object of each on demand; and sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Protocol

import numpy as np

from learning.requests.cluster import Cluster
from orbit.windows import groups
from sim.facts.directions import Way
from sim.links.beam import DeviceLinks, PassFigures, served_bits
from sim.links.session_beam import SessionBeam
from sim.plan.passes import PassEnd
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True, eq=False)
class PlannedContact:
    """A window of one satellite over one cluster, with its devices' links.

    ``start_s`` to ``end_s`` is when a beam serves the cluster (nan if never): to the set, or to
    when another cluster takes the beam over. ``wait_from_s`` is when it began to wait for one (nan
    if it did not). ``session`` is -1 for a contact that is not served. Where the end of the run
    cuts it (``cut_by_stop``), its links are those of the whole.

    Its ``links`` are made by ``make`` when they are first asked for, and let go when it is over: a
    plan of thousands of contacts and devices would not fit into memory with all its curves.
    """

    contact_id: int
    session: int
    satellite: str
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


class LinkSource(Protocol):
    """Gives the links of contacts by their numbers in a plan."""

    def links(self, number: int) -> DeviceLinks:
        """Return the links of a contact, made anew."""
        ...

    def figures(self, numbers: Ints) -> PassFigures:
        """Return the figures of contacts (N,); links are made for that where they need be."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class ContactColumns:
    """Contacts by number: arrays (N,), and what ``contacts[number]`` makes of each.

    ``satellite`` and ``cluster`` are indices in ``satellites``, which are the servers, and
    ``clusters``; the other columns are as in ``PlannedContact``, but for ``setup_s``: how long a
    beam or dish was made ready before ``start_s``, nan where it is not known. A contact is
    made when it is first asked for, and kept: of a constellation most are not served, and nobody
    asks for them. ``norad_ids`` are those of all ``flyers``, 0 for none.
    ``link_source`` makes the links of each.
    """

    satellites: Sequence[str]
    clusters: Sequence[Cluster]
    satellite: Ints
    cluster: Ints
    session: Ints
    rise_s: Floats
    culminate_s: Floats
    set_s: Floats
    max_elevation_deg: Floats
    min_slant_range_km: Floats
    served: Mask
    start_s: Floats
    end_s: Floats
    wait_from_s: Floats
    setup_s: Floats
    cut_by_stop: Mask
    link_source: LinkSource
    norad_ids: Ints
    flyers: PassEnd
    grounded: PassEnd
    _made: dict[int, PlannedContact] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """The number of contacts."""
        return len(self.rise_s)

    def __getitem__(self, number: int) -> PlannedContact:
        """Return a contact, the same one each time."""
        made = self._made.get(number)
        if made is not None:
            return made
        number = range(len(self))[number]
        if number not in self._made:
            self._made[number] = PlannedContact(
                contact_id=number,
                session=int(self.session[number]),
                satellite=self.satellite_of(number),
                cluster=self.clusters[self.cluster[number]],
                rise_s=float(self.rise_s[number]),
                culminate_s=float(self.culminate_s[number]),
                set_s=float(self.set_s[number]),
                max_elevation_deg=float(self.max_elevation_deg[number]),
                min_slant_range_km=float(self.min_slant_range_km[number]),
                served=bool(self.served[number]),
                start_s=float(self.start_s[number]),
                end_s=float(self.end_s[number]),
                make=partial(self.link_source.links, number),
                wait_from_s=float(self.wait_from_s[number]),
                cut_by_stop=bool(self.cut_by_stop[number]),
            )
        return self._made[number]

    def satellite_of(self, number: int) -> str:
        """Return the name of the satellite of a contact, without making it."""
        return self.satellites[self.satellite[number]]

    def ends(self, numbers: Ints) -> list[tuple[str, str]]:
        """Return who flies in contacts, and what is flown over, by name."""
        names = (
            [end.names[number] for number in end.which[numbers].tolist()]
            for end in (self.flyers, self.grounded)
        )
        return list(zip(*names, strict=True))

    def __iter__(self) -> Iterator[PlannedContact]:
        """All contacts in order."""
        return (self[number] for number in range(len(self)))

    @property
    def cut_short(self) -> Mask:
        """Where another cluster takes the beam over before the set."""
        return self.served & (self.end_s < self.set_s)

    @property
    def turned_away(self) -> Mask:
        """Where a cluster's next service begins as this one ends: it turns to another server."""
        order = np.lexsort((self.start_s, self.cluster))
        first = order[:-1]
        following = order[1:]
        same = self.cluster[first] == self.cluster[following]
        turned_away = np.zeros(len(order), bool)
        turned_away[first] = same & (self.end_s[first] == self.start_s[following])
        return turned_away

    def numbers(self, cluster: str) -> Ints:
        """Return the numbers of the contacts of a cluster."""
        return self._numbers.get(cluster, np.empty(0, np.int64))

    @cached_property
    def _numbers(self) -> dict[str, Ints]:
        names = [cluster.name for cluster in self.clusters]
        return dict(zip(names, groups(self.cluster, len(names)), strict=True))

    def services(self, cluster: str) -> Ints:
        """Return the numbers of a cluster's contacts that are served, by the begin of service."""
        numbers = self.numbers(cluster)
        numbers = numbers[self.served[numbers]]
        return numbers[np.argsort(self.start_s[numbers], kind="stable")]

    @cached_property
    def session_end_s(self) -> Floats:
        """When the session of each contact is over (N,); nan for one that is not served."""
        over_s = np.full(len(self), np.nan)
        served = np.flatnonzero(self.served)
        numbers = self.session[served]
        apart = int(numbers.max(initial=0)) + 1
        session = np.unique(self.cluster[served] * apart + numbers, return_inverse=True)[1]
        last_s = np.full(len(served), -np.inf)
        np.maximum.at(last_s, session, self.end_s[served])
        over_s[served] = last_s[session]
        return over_s
