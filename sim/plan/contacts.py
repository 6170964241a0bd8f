"""Contacts of a plan as one table, with a view of each row; and the sessions over them.

A client under a geostationary satellite has one session that ends with the run. A method that takes
part once in a session would do one round in it, and no cycle would ever be complete: such a session
is in parts, each of which is a row of the table, and rounds follow each other.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Protocol

import numpy as np

import orbit
from learning.requests.cluster import Cluster
from orbit.windows import groups
from sim.devices.outages import Outages
from sim.facts.directions import Way
from sim.links.beam import DeviceLinks, PassFigures, Radios, served_bits
from sim.links.sharing import SessionBeam
from sim.plan.passes import PassEnd, WorldPasses
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True, eq=False)
class PlannedContact:
    """A row of the table, with its devices' links: a window of one server over one client.

    ``start_s`` to ``end_s`` is when the client is served (nan if never): to the set, or to when
    another one takes the beam over. Where the end of the run cuts it (``cut_by_stop``), its links
    are those of the whole.

    Its ``links`` are made by ``make`` when they are first asked for, and let go when it is over: a
    plan of thousands of contacts and devices would not fit into memory with all its curves.
    """

    contact_id: int
    session: int
    satellite: str
    cluster: Cluster
    rise_s: float
    set_s: float
    start_s: float
    end_s: float
    make: Callable[[], DeviceLinks]
    cut_by_stop: bool = False

    @cached_property
    def links(self) -> DeviceLinks:
        """Both ways, one row per device."""
        return self.make()

    @property
    def served(self) -> bool:
        """Whether the client is served."""
        return self.start_s == self.start_s  # not nan

    def close(self) -> None:
        """Let the links go; they are made again when asked for."""
        self.__dict__.pop("links", None)


class LinkSource(Protocol):
    """Gives the links of contacts by their numbers in a plan."""

    def links(self, number: int) -> DeviceLinks:
        """Return the links of a contact, made anew."""
        ...

    def figures(self, numbers: Ints) -> PassFigures:
        """Return the figures of contacts (N,); links are made for that where they need be."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class ContactTable(WorldPasses):
    """Contacts by number: columns (N,), and what ``contacts[number]`` makes of a row.

    They are the ``windows`` of passes in which both ends work, cut by ``outages`` and by the end of
    the span. ``whole`` are the same windows where the end does not cut them: the service and the
    links follow from these, so that they are the same in a longer run. ``pass_numbers`` are those
    of the passes of which windows are pieces, ``session`` those of each client's sessions: -1 for a
    window that is not served. A ``constellation`` serves with any of its satellites, or stations
    with any of them. ``at_a_time`` is how many clients each server serves at the same time, None
    for any number.

    What has links has ``clusters``, which are the clients; ``radios`` and ``devices`` of each place
    (or of each client where there is no geometry); and the ``link_source``, which makes them. A row
    is made when it is first asked for, and kept: of a constellation nobody asks for most of them.
    """

    outages: Outages
    whole: orbit.ContactWindows
    windows: orbit.ContactWindows
    pass_numbers: Ints
    service: orbit.Service
    session: Ints
    constellation: bool
    at_a_time: tuple[int | None, ...]
    clusters: tuple[Cluster, ...] = ()
    radios: Sequence[Radios] = ()
    devices: Sequence[Sequence[orbit.Site]] = ()
    link_source: LinkSource | None = None
    _made: dict[int, PlannedContact] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        """The number of contacts."""
        return len(self.windows)

    def __getitem__(self, number: int) -> PlannedContact:
        """Return a contact, the same one each time."""
        number = range(len(self))[number]
        if number not in self._made:
            self._made[number] = PlannedContact(
                contact_id=number,
                session=int(self.session[number]),
                satellite=self.server_of(number),
                cluster=self.clusters[self.client[number]],
                rise_s=float(self.rise_s[number]),
                set_s=float(self.set_s[number]),
                start_s=float(self.start_s[number]),
                end_s=float(self.end_s[number]),
                make=partial(self.links.links, number),
                cut_by_stop=bool(self.cut_by_stop[number]),
            )
        return self._made[number]

    def __iter__(self) -> Iterator[PlannedContact]:
        """All contacts in order."""
        return (self[number] for number in range(len(self)))

    @property
    def links(self) -> LinkSource:
        """What makes the links, of contacts that have some."""
        assert self.link_source is not None
        return self.link_source

    # Columns.

    @property
    def server(self) -> Ints:
        """Index in ``servers``."""
        return self.windows.satellite

    @property
    def client(self) -> Ints:
        """Index in ``clients``, and in ``clusters``."""
        return self.windows.site

    @cached_property
    def flyer(self) -> Ints:
        """Index in ``flyers``, and in ``satellites`` where there are any."""
        return self.flyers.which[self.pass_numbers]

    @cached_property
    def ground(self) -> Ints:
        """Index in ``grounded``, and in ``places`` where there are any."""
        return self.grounded.which[self.pass_numbers]

    @property
    def rise_s(self) -> Floats:
        """When the window opens."""
        return self.windows.rise_s

    @property
    def set_s(self) -> Floats:
        """When the window closes, at the end of the span at the latest."""
        return self.windows.set_s

    @property
    def served(self) -> Mask:
        """Which are served."""
        return self.service.served

    @property
    def start_s(self) -> Floats:
        """When the service begins; nan where there is none."""
        return self.service.start_s

    @property
    def end_s(self) -> Floats:
        """When the service ends; nan where there is none."""
        return self.service.end_s

    @cached_property
    def cut_by_stop(self) -> Mask:
        """Where the end of the span cuts the window."""
        return self.whole.set_s > self.set_s

    @property
    def norad_ids(self) -> Ints:
        """Catalogue number of who flies, 0 for none."""
        known = self.satellites if self.places else ()
        numbers = [satellite.norad_id for satellite in known] or [0] * len(self.flyers.names)
        return np.array(numbers)[self.flyer]

    @property
    def cut_short(self) -> Mask:
        """Where another client takes the beam over before the set."""
        return self.served & (self.end_s < self.set_s)

    @property
    def taken_over(self) -> Mask:
        """Where a client gives its beam or dish to another one before the set.

        A satellite that turns to another station then waits for nothing.
        """
        if self.topology.grounded == "cluster":
            return self.cut_short
        return self.cut_short & ~self._turned_away

    @property
    def _turned_away(self) -> Mask:
        """Where a client's next service begins as this one ends: it turns to another server."""
        order = np.lexsort((self.start_s, self.client))
        first = order[:-1]
        following = order[1:]
        same = self.client[first] == self.client[following]
        turned_away = np.zeros(len(order), bool)
        turned_away[first] = same & (self.end_s[first] == self.start_s[following])
        return turned_away

    @cached_property
    def session_end_s(self) -> Floats:
        """When the session of each contact is over; nan for one that is not served."""
        over_s = np.full(len(self), np.nan)
        served = np.flatnonzero(self.served)
        numbers = self.session[served]
        apart = int(numbers.max(initial=0)) + 1
        session = np.unique(self.client[served] * apart + numbers, return_inverse=True)[1]
        last_s = np.full(len(served), -np.inf)
        np.maximum.at(last_s, session, self.end_s[served])
        over_s[served] = last_s[session]
        return over_s

    @cached_property
    def flown(self) -> orbit.ContactWindows:
        """The windows, with ``satellite`` an index in the fleet and ``site`` one in ``grounded``.

        Where a satellite serves the others, its index stands as ``site``.
        """
        order = np.lexsort((self.ground, self.flyer, self.rise_s))
        columns = vars(self.windows) | {"satellite": self.flyer, "site": self.ground}
        return orbit.ContactWindows(**{name: column[order] for name, column in columns.items()})

    def limits(self, end: PassEnd) -> list[float]:
        """Return how many clients each of an end serves at a time, inf for any; nan for clients."""
        if end.names is not self.servers:
            return [np.nan] * len(end.names)
        return [np.inf if limit is None else float(limit) for limit in self.at_a_time]

    # Rows.

    def server_of(self, number: int) -> str:
        """Return the name of the server of a contact, without making it."""
        return self.servers[self.server[number]]

    def ends(self, numbers: Ints) -> list[tuple[str, str]]:
        """Return who flies in contacts, and what is flown over, by name."""
        sides = (self.flyers.names, self.flyer), (self.grounded.names, self.ground)
        named = ([names[place] for place in which[numbers].tolist()] for names, which in sides)
        return list(zip(*named, strict=True))

    def service_s(self, number: int) -> tuple[float, float]:
        """Begin and end of the service in a window, nan if there is none."""
        return float(self.start_s[number]), float(self.end_s[number])

    @cached_property
    def of_clients(self) -> list[Ints]:
        """Numbers of the contacts of each client."""
        return groups(self.client, len(self.clients))

    def numbers(self, client: str) -> Ints:
        """Return the numbers of the contacts of a client."""
        place = self._places.get(client)
        return np.empty(0, np.int64) if place is None else self.of_clients[place]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.clients)}

    def services(self, client: str) -> Ints:
        """Return the numbers of a client's contacts that are served, by the begin of service."""
        numbers = self.numbers(client)
        numbers = numbers[self.served[numbers]]
        return numbers[np.argsort(self.start_s[numbers], kind="stable")]


# Sessions: contacts of one client that a method takes for one.


@dataclass(frozen=True, eq=False)
class PlannedSession:
    """Contacts of one client that follow each other so closely that they count as one.

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

    def capacity_bytes(self, start_s: float, end_s: float) -> float:
        """Bytes that the device with the poorest link can upload between two times, if alone."""
        spans_s = [
            (contact, max(contact.start_s, start_s), min(contact.end_s, end_s))
            for contact in self.contacts
        ]
        each = [
            served_bits(contact.links.to_server.curve, begin_s, until_s) / 8.0
            for contact, begin_s, until_s in spans_s
            if begin_s < until_s
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


PART_S = 3600.0
"""Length of the parts of a session that lasts all of the run, unless the scenario says it."""
ROUNDING_S = 1e-3
"""What is shorter is no part, but what rounding has left of one."""


@dataclass(frozen=True, eq=False)
class LinksBetween:
    """Links over which a client has contacts of others: they carry ``least_bps`` at least.

    Of all contacts ``ends`` are the satellites to which links lead; those at ``end`` need none.
    """

    ends: Ints
    end: int
    least_bps: float

    def bps(self, number: int) -> float:
        """Return what they carry to a contact; inf where there is none."""
        return math.inf if self.ends[number] == self.end else self.least_bps


@dataclass(frozen=True, eq=False, kw_only=True)
class PlannedSessions:
    """N sessions of a client in order of time, by the numbers of the ``contacts`` they are over.

    Session ``n`` lasts from ``starts_s[n]`` to ``ends_s[n]``, over the contacts of the rows from
    ``edges[n]`` to before ``edges[n + 1]``: of these rows ``numbers`` are the contacts, which begin
    at ``opens_s`` and end at ``closes_s``. Sessions of one ``group`` are parts of a longer one,
    whose links they share. In one that ``repeats`` a client takes part as often as it can, and not
    once. Contacts may be had over ``links``. Where the end of a session ``cuts`` nothing, what has
    set off goes on behind it.

    ``sessions[n]`` has the links. It is made when it is first asked for and kept until it is let
    go: a run never asks for most of those of a constellation.
    """

    contacts: ContactTable
    numbers: Ints
    opens_s: Sequence[float]
    closes_s: Sequence[float]
    edges: Sequence[int]
    starts_s: Sequence[float]
    ends_s: Sequence[float]
    group: Sequence[int]
    repeats: Mask
    links: LinksBetween | None = None
    cuts: bool = True
    _made: dict[int, PlannedSession] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        """The number of sessions."""
        return len(self.starts_s)

    def __getitem__(self, session: int) -> PlannedSession:
        """Return a session with its links: of a part, that of its whole group."""
        session = range(len(self))[session]
        group = self.group[session]
        made = self._made.get(group)
        if made is None:
            first, after_last = bisect_left(self.group, group), bisect_right(self.group, group)
            rows = slice(self.edges[first], self.edges[after_last])
            numbers = dict.fromkeys(self.numbers[rows].tolist())
            made = PlannedSession(group, tuple(self.contacts[number] for number in numbers))
            self._made[group] = made
        return made

    def contact_id(self, row: int) -> int:
        """Return the number of the contact of a row."""
        return int(self.numbers[row])

    def goes_on(self, session: int) -> bool:
        """Whether the next session takes the place of one, which is then no end of contact.

        It is another part of the same one or, where nothing is cut off, begins as this one ends.
        """
        if session + 1 == len(self):
            return False
        if self.cuts:
            return self.group[session + 1] == self.group[session]
        return self.starts_s[session + 1] <= self.ends_s[session]

    def cuts_off(self, session: int) -> bool:
        """Whether the end of a session cuts off transfers that go on."""
        return self.cuts and not self.goes_on(session)

    def carried_bits(self, session: int, way: Way, from_s: float) -> Floats | float:
        """Return what each device (K,) can send in a session from a time on, if it is alone.

        That is inf for a direction that is neglected.
        """
        end_s = self.ends_s[session]
        beam = self[session].beam(way)
        bits: Floats | float = np.inf
        if beam is not None:
            bits = beam.curve.delivered_bits(end_s) - beam.curve.delivered_bits(from_s)
        link_bps = self.link_bps(session)
        if link_bps < np.inf:
            bits = np.minimum(bits, link_bps * max(end_s - from_s, 0.0))
        return bits

    def link_bps(self, session: int) -> float:
        """Return what a link on the way to a session carries; inf where there is none."""
        row = self.edges[session]
        return math.inf if self.links is None else self.links.bps(self.contact_id(row))

    def close(self, session: int) -> None:
        """Let a session go with its links, if it was asked for; those of parts with the last."""
        group = self.group[session]
        if session + 1 == len(self) or self.group[session + 1] != group:
            made = self._made.pop(group, None)
            if made is not None:
                made.close()

    def close_before(self, session: int) -> None:
        """Let all that were asked for before a session go with their links."""
        for group in [made for made in self._made if made < self.group[session]]:
            self._made.pop(group).close()


def sessions_of(contacts: ContactTable, numbers: Ints) -> PlannedSessions:
    """Return the sessions over served contacts in order of time, of which one may have several."""
    session = contacts.session[numbers]
    new = np.flatnonzero(session[1:] != session[:-1]) + 1
    edges = [0, *new.tolist(), len(numbers)] if len(numbers) else [0]
    opens_s, closes_s = contacts.start_s[numbers].tolist(), contacts.end_s[numbers].tolist()
    many = len(edges) - 1
    return PlannedSessions(
        contacts=contacts,
        numbers=numbers,
        opens_s=opens_s,
        closes_s=closes_s,
        edges=edges,
        starts_s=[opens_s[edge] for edge in edges[:-1]],
        ends_s=[closes_s[edge - 1] for edge in edges[1:]],
        group=range(many),
        repeats=np.zeros(many, bool),
    )


def in_parts(whole: PlannedSessions, longest_s: float | None, span_s: float) -> PlannedSessions:
    """Return sessions of which none lasts longer than ``longest_s``.

    None stands for any length, but for a session that lasts all of ``span_s``: that has parts of
    ``PART_S``. Transfers and rounds go on from part to part.
    """
    limits_s = [
        _limit_s(start_s, end_s, longest_s, span_s)
        for start_s, end_s in zip(whole.starts_s, whole.ends_s, strict=True)
    ]
    if not any(limits_s):
        return whole
    group: list[int] = []
    opens_s: list[float] = []
    closes_s: list[float] = []
    rows: list[int] = []
    edges: list[int] = []
    for session, limit_s in enumerate(limits_s):
        latest = -1
        start_s = whole.starts_s[session]
        for row in range(whole.edges[session], whole.edges[session + 1]):
            open_s = whole.opens_s[row]
            close_s = whole.closes_s[row]
            first = math.floor((open_s - start_s) / limit_s) if limit_s else 0
            last = math.ceil((close_s - start_s) / limit_s) if limit_s else 1
            for part in range(first, max(last, first + 1)):
                begin_s = max(open_s, start_s + part * limit_s)
                end_s = min(close_s, start_s + (part + 1) * limit_s) if limit_s else close_s
                if limit_s and end_s - begin_s < ROUNDING_S:
                    continue
                if part != latest:
                    edges.append(len(opens_s))
                    group.append(session)
                    latest = part
                opens_s.append(begin_s)
                closes_s.append(end_s)
                rows.append(row)
    edges.append(len(opens_s))
    return PlannedSessions(
        contacts=whole.contacts,
        numbers=whole.numbers[rows],
        opens_s=opens_s,
        closes_s=closes_s,
        edges=edges,
        starts_s=[opens_s[edge] for edge in edges[:-1]],
        ends_s=[closes_s[edge - 1] for edge in edges[1:]],
        group=group,
        repeats=np.array(limits_s)[group] > 0.0,
        links=whole.links,
    )


def _limit_s(start_s: float, end_s: float, longest_s: float | None, span_s: float) -> float:
    """Return how long the parts of a session are; 0 for one that is short enough."""
    if longest_s == math.inf:
        return 0.0
    if lasts_all_of(start_s, end_s, span_s):
        return PART_S if longest_s is None else longest_s
    return longest_s if longest_s is not None and end_s - start_s > longest_s else 0.0


def lasts_all_of(start_s: float, end_s: float, span_s: float) -> bool:
    """Whether a session can bring no other one: it is there from the start to the end."""
    return start_s <= 0.0 and end_s >= span_s
