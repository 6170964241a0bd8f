"""Sessions of clients that reach their server over links between satellites, and passes.

A message of a satellite may set off as soon as there is a path in time: over links that are open
one after the other, to a satellite that then has a pass. A session of a satellite is the time in
which its messages come in by one pass, whoever has it.

Of devices on the ground a session is a pass, where what it brings is at the server no later than
what any later pass brings: a satellite may be linked to the server while it is over a cluster, or
carry a message to where a link opens. The server is one of the satellites, or the stations, which
satellites reach over feeder links.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from math import inf, nextafter

import numpy as np

from sim.plan.contacts import ContactTable, LinksBetween, PlannedSessions
from sim.plan.feeder import FeederPlan
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from statements.arrays import Floats, Ints


def with_sessions(plan: Plan) -> Plan:
    """Return a plan with the sessions of clients over links, where messages take these."""
    if not plan.topology.mesh or plan.isls is None:
        return plan
    if plan.topology.over_mesh:
        return replace(plan, mesh=_of_satellites(plan.contacts, plan.isls))
    return replace(plan, mesh=_of_clusters(plan, plan.isls))


def _of_satellites(contacts: ContactTable, isls: IslPlan) -> dict[str, PlannedSessions]:
    """Return the sessions of each satellite, by name, over all links and served passes.

    One from which no message ever arrives has none.
    """
    found = _Search(contacts, isls).sessions()
    columns = {
        key: (np.asarray(own.numbers), *own.spans_s(contacts))
        for key, own in {id(own): own for own in found}.items()
    }
    index_of = {cluster.name: index for index, cluster in enumerate(contacts.clusters)}
    sessions = {}
    for name, own in zip(isls.names, found, strict=True):
        links = LinksBetween(contacts.client, index_of.get(name, -1), isls.least_bps)
        sessions[name] = _of_passes(contacts, *columns[id(own)], links, cuts=False)
    return sessions


def _of_passes(
    contacts: ContactTable,
    numbers: Ints,
    starts_s: Sequence[float],
    ends_s: Sequence[float],
    links: LinksBetween,
    *,
    cuts: bool,
) -> PlannedSessions:
    """Return sessions of one pass each; ``numbers`` are the passes in order."""
    many = len(numbers)
    return PlannedSessions(
        contacts=contacts,
        numbers=numbers,
        opens_s=starts_s,
        closes_s=ends_s,
        edges=range(many + 1),
        starts_s=starts_s,
        ends_s=ends_s,
        group=range(many),
        repeats=np.broadcast_to(np.False_, many),
        links=links,
        cuts=cuts,
    )


@dataclass
class _Passes:
    """Passes, by number, by which satellites' messages come in, and when these may set off."""

    numbers: array[int] = field(default_factory=lambda: array("q"))
    begins_s: array[float] = field(default_factory=lambda: array("d"))

    def add(self, number: int, begin_s: float) -> None:
        """Add a pass for messages that set off from a time on, unless another has that time."""
        place = len(self.begins_s)
        if begin_s <= self.begun_s:
            place = bisect_left(self.begins_s, begin_s)
            if self.begins_s[place] == begin_s:
                return
        self.numbers.insert(place, number)
        self.begins_s.insert(place, begin_s)

    @property
    def begun_s(self) -> float:
        """When the last session has begun; -inf without one."""
        return self.begins_s[-1] if self.begins_s else -inf

    def at(self, time_s: float) -> int:
        """Return the pass of the session that had begun last by a time; -1 for none."""
        place = bisect_right(self.begins_s, time_s) - 1
        return self.numbers[place] if place >= 0 else -1

    def copy(self) -> _Passes:
        """Return the same passes, to which others may be added."""
        return _Passes(self.numbers[:], self.begins_s[:])

    def spans_s(self, contacts: ContactTable) -> tuple[array[float], array[float]]:
        """Return begins and ends of sessions: each ends with its pass, or where the next begins."""
        ends_s = contacts.end_s[np.asarray(self.numbers)]
        ends_s[:-1] = np.minimum(ends_s[:-1], np.asarray(self.begins_s)[1:])
        return self.begins_s, array("d", ends_s.tobytes())


@dataclass(order=True)
class _Open:
    """A pass that has risen, by its end: number and satellite, and who has a session by it."""

    end_s: float
    number: int
    gateway: int = field(compare=False)
    users: set[int] = field(default_factory=set, compare=False)


class _Search:
    """Looks for each pass who can make use of it, and when a message has to set off for that.

    Passes are gone through as they rise. One is used by who is linked to its satellite then, or has
    to set off before over links that are over by then, or is linked to it while it goes on. As it
    ends, who has had it goes on by another one that is open.
    """

    def __init__(self, contacts: ContactTable, isls: IslPlan) -> None:
        self._contacts = contacts
        number_of = {name: number for number, name in enumerate(isls.names)}
        self._satellites = [number_of.get(cluster.name, -1) for cluster in contacts.clusters]
        self._windows = windows_of_each(isls)
        self._linked = _LinkedSatellites(isls)
        # Satellites that are all linked have all passes in common, which are kept once.
        self._in_common: _Passes | None = _Passes()
        self._found = [self._in_common for _ in isls.names]
        self._open: list[_Open] = []

    def sessions(self) -> list[_Passes]:
        """Return the passes of each satellite, in order of time."""
        contacts = self._contacts
        served = np.flatnonzero(contacts.served)
        in_order = served[np.argsort(contacts.start_s[served], kind="stable")]
        for number in in_order.tolist():
            rise_s = float(contacts.start_s[number])
            self._end_passes(rise_s)
            satellite = self._satellites[contacts.client[number]]
            risen = _Open(float(contacts.end_s[number]), number, satellite)
            self._rise(risen, rise_s)
            heappush(self._open, risen)
        self._end_passes(inf)
        return self._found

    def _use(self, opened: _Open, satellites: Collection[int], begin_s: float) -> None:
        """Let satellites have a session by a pass from a time on."""
        if self._in_common is not None and len(satellites) == len(self._found):
            self._in_common.add(opened.number, begin_s)
        elif satellites:
            if self._in_common is not None:
                self._found = [self._in_common.copy() for _ in self._found]
                self._in_common = None
            for satellite in satellites:
                self._found[satellite].add(opened.number, begin_s)
        opened.users.update(satellites)

    def _rise(self, risen: _Open, rise_s: float) -> None:
        """Add a pass to the sessions of all who make use of it."""
        linked = self._linked.among(risen.gateway, rise_s)
        self._use(risen, linked, max(rise_s, 0.0))
        if len(linked) < len(self._found):
            missing = self._use_early(risen, rise_s, linked)
            self._use_late(risen, rise_s, missing)

    def _use_early(self, risen: _Open, rise_s: float, linked: AbstractSet[int]) -> list[int]:
        """Let those use a pass who have to set off before it; return the others.

        These are not among the ``linked`` ones, and could not set off so late by their last one.
        """
        latest = self._latest(rise_s, linked)
        missing = []
        for satellite in range(len(self._found)):
            if satellite in linked:
                continue
            begun_s = self._found[satellite].begun_s
            departs_s, opens_s = latest.get(satellite, (-inf, -inf))
            if departs_s <= begun_s:
                missing.append(satellite)
            else:
                self._use(risen, [satellite], max(opens_s, nextafter(begun_s, inf), 0.0))
        return missing

    def _use_late(self, opened: _Open, from_s: float, missing: Iterable[int]) -> None:
        """Let those use a pass whose links to it open while it goes on, from a time on.

        They are ``missing`` at that time: they are not linked to it.
        """
        latest = self._latest(opened.end_s, {opened.gateway})
        for satellite in missing:
            if latest.get(satellite, (-inf, -inf))[0] <= from_s:
                continue
            _, begin_s = _earliest_s(
                self._windows, satellite, opened.gateway, max(from_s, 0.0), opened.end_s
            )
            if begin_s < opened.end_s:
                self._use(opened, [satellite], begin_s)

    def _end_passes(self, before_s: float) -> None:
        """End the passes that are over before a time.

        Who has a session by one of them then goes on by the one that lasts longest.
        """
        while self._open and self._open[0].end_s < before_s:
            over = heappop(self._open)
            idle = self._idle(over)
            others = sorted((one for one in self._open if one.end_s > over.end_s), reverse=True)
            for other in others:
                if not idle:
                    break
                linked = idle & self._linked.among(other.gateway, over.end_s)
                self._use(other, linked, over.end_s)
                idle -= linked
            for other in others if idle else ():
                self._use_late(other, over.end_s, idle)

    def _idle(self, over: _Open) -> set[int]:
        """Return who has had no later session by the end of a pass."""
        if self._in_common is not None:
            goes_on = self._in_common.at(over.end_s) != over.number
            return set() if goes_on else set(over.users)
        users = ((satellite, self._found[satellite]) for satellite in over.users)
        return {satellite for satellite, own in users if own.at(over.end_s) == over.number}

    def _latest(self, by_s: float, linked: AbstractSet[int]) -> dict[int, tuple[float, float]]:
        """Return when messages have to set off at the latest that are at one of some by a time.

        Behind that, when the first of their links opens. The satellites to which they go are
        ``linked`` at that time, and may wait for it.
        """
        latest: dict[int, tuple[float, float]] = {}
        ahead = [(-by_s, node, by_s) for node in linked]
        heapify(ahead)
        while ahead:
            minus_s, node, opens_s = heappop(ahead)
            if node in latest:
                continue
            time_s = -minus_s
            latest[node] = time_s, opens_s
            for other, (starts_s, ends_s) in self._windows[node].items():
                if other in latest:
                    continue
                window = bisect_right(starts_s, time_s) - 1
                if window >= 0:
                    departs_s = min(ends_s[window], time_s)
                    heappush(ahead, (-departs_s, other, starts_s[window]))
        return latest


Windows = Mapping[int, tuple[list[float], list[float]]]
"""Begins and ends of the windows with each other satellite, in order."""


def windows_of_each(isls: IslPlan) -> list[Windows]:
    """Return the windows of each satellite, by its number."""
    pairs: list[dict[int, tuple[list[float], list[float]]]] = [
        defaultdict(lambda: ([], [])) for _ in isls.names
    ]
    columns = (isls.a.tolist(), isls.b.tolist(), isls.start_s.tolist(), isls.end_s.tolist())
    for one, other, start_s, end_s in zip(*columns, strict=True):
        for here, there in ((one, other), (other, one)):
            starts_s, ends_s = pairs[here][there]
            starts_s.append(start_s)
            ends_s.append(end_s)
    return list(pairs)


def arrivals(
    windows: Sequence[Windows], source: int, from_s: float, by_s: float = inf
) -> Iterator[tuple[int, float, float]]:
    """Yield each satellite that a message can get to over open links, in the order of arrival.

    With it come when the message is there, and when it has set off from its source. It waits there
    from a time on, and goes over links that open before another one.
    """
    reached: set[int] = set()
    ahead = [(from_s, source, inf)]
    while ahead:
        time_s, node, departed_s = heappop(ahead)
        if node in reached:
            continue
        reached.add(node)
        yield node, time_s, departed_s
        for other, (starts_s, ends_s) in windows[node].items():
            window = bisect_right(ends_s, time_s)
            if other in reached or window == len(starts_s) or starts_s[window] >= by_s:
                continue
            begin_s = max(starts_s[window], time_s)
            heappush(ahead, (begin_s, other, begin_s if node == source else departed_s))


def _earliest_s(
    windows: Sequence[Windows], source: int, target: int, from_s: float, by_s: float = inf
) -> tuple[float, float]:
    """Return when a message is at a satellite, and when it sets off; inf where no way opens."""
    ways = arrivals(windows, source, from_s, by_s)
    return next(((there_s, off_s) for node, there_s, off_s in ways if node == target), (inf, inf))


def _of_clusters(plan: Plan, isls: IslPlan) -> dict[str, PlannedSessions]:
    """Return the sessions of each cluster, by name; without an arrival, none."""
    contacts, server, feeder = plan.contacts, plan.server, plan.feeder
    arrival_s = _arrivals_s(contacts, isls, server, feeder)
    least_bps = isls.least_bps if feeder is None else min(isls.least_bps, feeder.rate_bps)
    satellites = list(contacts.servers)
    end = satellites.index(server) if server in satellites else -1
    found: dict[str, PlannedSessions] = {}
    for cluster in contacts.clusters:
        numbers = contacts.services(cluster.name)
        there_s = arrival_s[numbers]
        # Of each pass, when what goes with any later one is there at the earliest.
        later_s = np.minimum.accumulate(np.append(there_s[1:], inf)[::-1])[::-1]
        numbers = numbers[np.isfinite(there_s) & (there_s <= later_s)]
        found[cluster.name] = _of_passes(
            contacts,
            numbers,
            contacts.start_s[numbers].tolist(),
            contacts.end_s[numbers].tolist(),
            LinksBetween(contacts.server, end, least_bps),
            cuts=True,
        )
    return found


def _arrivals_s(
    contacts: ContactTable, isls: IslPlan, server: str, feeder: FeederPlan | None
) -> Floats:
    """Return for each contact (N,) when what is sent as it begins is at the server; inf for never.

    Links of the search take no time, as far as they are open.
    """
    number_of = {name: number for number, name in enumerate(isls.names)}
    flying = [number_of[name] for name in contacts.servers]
    windows = windows_of_each(isls)
    if feeder is None:
        target = number_of[server]
    else:
        target = len(windows)
        # The ground is the node behind them all.
        windows = [dict(own) | {target: feeder.windows(n)} for n, own in enumerate(windows)]
    arrival_s: Floats = np.full(len(contacts), inf)
    for number in np.flatnonzero(contacts.served).tolist():
        satellite = flying[contacts.server[number]]
        start_s = float(contacts.start_s[number])
        arrival_s[number], _ = _earliest_s(windows, satellite, target, start_s)
    return arrival_s


class _LinkedSatellites:
    """Satellites by number, and the links between them that are open at a time.

    The times that are asked for may not fall: each window opens and closes once.
    """

    def __init__(self, isls: IslPlan) -> None:
        self._pairs = list(zip(isls.a.tolist(), isls.b.tolist(), strict=True))
        self._start_s = isls.start_s.tolist()
        self._end_s = isls.end_s.tolist()
        self._to_open = np.argsort(-isls.start_s, kind="stable").tolist()
        self._to_close = np.argsort(-isls.end_s, kind="stable").tolist()
        self._open: list[dict[int, int]] = [{} for _ in isls.names]
        self._latest: AbstractSet[int] = frozenset()  # while the same links are open

    def among(self, satellite: int, time_s: float) -> AbstractSet[int]:
        """Return who is linked to a satellite at a time, over any number of links; it is too."""
        if self._pass_to(time_s) or satellite not in self._latest:
            self._latest = self._linked_to(satellite)
        return self._latest

    def _linked_to(self, satellite: int) -> AbstractSet[int]:
        linked = {satellite}
        ahead = [satellite]
        while ahead and len(linked) < len(self._open):
            for other in self._open[ahead.pop()]:
                if other not in linked:
                    linked.add(other)
                    ahead.append(other)
        return linked

    def _pass_to(self, time_s: float) -> bool:
        """Open the windows that begin by a time, and close those that end before it.

        Return whether there were any.
        """
        left = len(self._to_open), len(self._to_close)
        while self._to_open and self._start_s[self._to_open[-1]] <= time_s:
            window = self._to_open.pop()
            one, other = self._pairs[window]
            self._open[one][other] = self._open[other][one] = window
        while self._to_close and self._end_s[self._to_close[-1]] < time_s:
            window = self._to_close.pop()
            one, other = self._pairs[window]
            if self._open[one].get(other) == window:  # else the next one of the pair is open
                del self._open[one][other], self._open[other][one]
        return left != (len(self._to_open), len(self._to_close))
