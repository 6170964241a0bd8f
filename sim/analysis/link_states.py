"""LinkStates: whether a link or a pass was there at a time, and whether somebody else had it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sim.analysis.critical_path import RoundLink
from sim.analysis.journeys import Sent
from sim.analysis.spans import LINK_ENDS, Course, Intervals, NumberedSpans, places_of
from sim.trace.arrow import as_numpy
from statements.arrays import Floats, Ints

CONTACT_COLUMNS = (
    *("contact_id", "satellite", "cluster", "station", "rise_s", "set_s", "served"),
    *("service_start_s", "service_end_s"),
)
"""What is read of the contacts."""


class State(Enum):
    """What a transfer finds: no link that lasts long enough, one that others have, or a free one.

    Or no pass of its own, but a free one of a satellite to which links lead (``ELSEWHERE``).
    """

    SHUT = 0
    TAKEN = 1
    FREE = 2
    ELSEWHERE = 3


class _Used:
    """When transfers (M,) use links, by the numbers of the links."""

    def __init__(self, number: Ints, begin_s: Floats, end_s: Floats) -> None:
        self._number = number
        self._begin_s = begin_s
        self._end_s = end_s
        self._spans = NumberedSpans(number, begin_s, end_s)

    def gaps_s(
        self, number: int, row: int, between_s: tuple[float, float]
    ) -> Iterator[tuple[float, float]]:
        """Yield from when to when no transfer but that of a row uses a link.

        Nor those over the same link that begin as it does: it shares the link with them.
        """
        from_s, until_s = between_s
        if not from_s < until_s:
            return
        places = self._spans.near(number, between_s)
        if self._number[row] == number:
            places = places[self._begin_s[places] != self._begin_s[row]]
        places = places[np.argsort(self._begin_s[places], kind="stable")]
        begins_s, ends_s = self._begin_s[places].tolist(), self._end_s[places].tolist()
        for begin_s, end_s in zip(begins_s, ends_s, strict=True):
            if begin_s > from_s:
                yield from_s, begin_s
            from_s = max(from_s, end_s)
        if until_s > from_s:
            yield from_s, until_s


def _there(spans: Sequence[tuple[float, float]]) -> Intervals:
    """Return the spans of time that last."""
    begin_s, end_s = np.array(spans).reshape(-1, 2).T
    lasts = begin_s < end_s
    return Intervals(np.sort(begin_s[lasts]), np.sort(end_s[lasts]))


class _Windows(NamedTuple):
    """Windows of links, or passes (N,): when they are there, and when they can be used (2, N).

    ``spans`` finds them by what they are looked up by, ``used`` has the transfers over them.
    """

    spans: NumberedSpans
    there_s: Floats
    usable_s: Floats
    used: _Used


class LinkStates:
    """The links and passes of a run, by its tables.

    A pass is there while a client is in view, and so much of it is left as a transfer took. It is
    taken while the client is not served, or where transfers of others in the same direction leave
    no gap as long as the longest of its kind took: what is sent at a low elevation takes longer. A
    link likewise. A pass that is not there is taken too if one of a satellite to which links lead
    is.
    """

    def __init__(self, tables: Mapping[str, pa.Table], sent: Sent) -> None:
        self._sent = sent
        self._contacts = tables["contacts"].select(CONTACT_COLUMNS)
        self._contact_ids = as_numpy(self._contacts["contact_id"])
        between = sent.peer >= 0
        way = np.where(between, self._way(sent.cluster, sent.peer), -1)
        pairs, open_s = [np.zeros(0, int)], [np.zeros((2, 0))]
        self._group = np.arange(len(sent.names))
        for name, columns in LINK_ENDS.items():
            if name in tables:
                a, b = (places_of(tables[name][column], sent.names) for column in columns)
                pairs.append(self._way(np.minimum(a, b), np.maximum(a, b)))
                open_s.append(np.stack([as_numpy(tables[name][k]) for k in ("start_s", "end_s")]))
                if name == "isl_windows":
                    self._group = _linked(len(sent.names), a, b)
        edges_s = np.concatenate(open_s, axis=1)
        used = _Used(way, sent.start_s, sent.end_s)
        spans = NumberedSpans(np.concatenate(pairs), *edges_s)
        self._links = _Windows(spans, edges_s, edges_s, used)
        over = np.where(between, -1, 2 * sent.contact + sent.to_server)
        used = _Used(over, sent.start_s, sent.end_s)
        client = places_of(self._contacts["cluster"], sent.names)
        self._own_passes = self._passes(client, used)
        self._all_passes = self._passes(self._group[client], used)
        self._lasts_s = sent.end_s - sent.start_s
        self._most_s = _longest_s(sent)
        self._pass_between = cache(self._pass_between_)

    def _way(self, source: Any, target: Any) -> Any:
        """Return the number of a direction between two nodes, or of several."""
        return source * len(self._sent.names) + target

    def _passes(self, met: Ints, used: _Used) -> _Windows:
        """Return the passes by a number of each contact."""
        contacts = self._contacts
        rise_s, set_s = as_numpy(contacts["rise_s"]), as_numpy(contacts["set_s"])
        served = as_numpy(contacts["served"])
        begin_s = np.where(served, as_numpy(contacts["service_start_s"], np.nan), set_s)
        end_s = np.where(served, as_numpy(contacts["service_end_s"], np.nan), set_s)
        there_s = np.stack([rise_s, set_s])
        return _Windows(NumberedSpans(met, *there_s), there_s, np.stack([begin_s, end_s]), used)

    def link(self, row: int) -> RoundLink:
        """Return the link of a transfer."""
        sent = self._sent
        if sent.peer[row] >= 0:
            source, target = sent.names[sent.cluster[row]], sent.names[sent.peer[row]]
            return RoundLink("pass" if sent.feeder[row] else "isl", source, target)
        client, server = self._pass_between(int(sent.contact[row]))
        return RoundLink("pass", *((client, server) if sent.to_server[row] else (server, client)))

    def _pass_between_(self, contact_id: int) -> tuple[str, str]:
        """Return who meets in a contact: the client, or its satellite, and the server's side."""
        place = int(np.searchsorted(self._contact_ids, contact_id))
        contact = self._contacts.slice(place, 1).to_pylist()[0]
        if contact["station"] is None:
            return contact["cluster"], contact["satellite"]
        return contact["satellite"], contact["station"]

    def before(self, row: int, begin_s: float) -> Iterator[tuple[float, State]]:
        """Yield what a transfer finds from ``begin_s`` to its begin: until when, and the state."""
        end_s = float(self._sent.start_s[row])
        if begin_s < end_s:
            for until_s, state in self._course(row, (begin_s, end_s)).between(begin_s, end_s):
                yield until_s, State(state)

    def _course(self, row: int, between_s: tuple[float, float]) -> Course:
        sent = self._sent
        cluster, peer = int(sent.cluster[row]), int(sent.peer[row])
        if peer >= 0:
            ends = self._way(min(cluster, peer), max(cluster, peer))
            way = self._way(cluster, peer)
            return self._states(self._links, ends, lambda _: way, row, between_s)
        toward = int(sent.to_server[row])

        def used_as(place: int) -> int:
            return 2 * int(self._contact_ids[place]) + toward

        own = self._states(self._own_passes, cluster, used_as, row, between_s)
        # The server has every pass; an upload has those of its satellite first.
        enough = [State.FREE.value, *([State.TAKEN.value] if toward else [])]
        if np.isin(own.states, enough).all():
            return own
        group = int(self._group[cluster])
        every = self._states(self._all_passes, group, used_as, row, between_s)
        begins_s = np.union1d(own.begins_s, every.begins_s)
        states, of_all = own.at(begins_s), every.at(begins_s)
        others = np.where(of_all == State.FREE.value, State.ELSEWHERE.value, of_all)
        return Course.of(np.where(np.isin(states, enough), states, others), begins_s)

    def _states(
        self,
        windows: _Windows,
        number: int,
        used_as: Callable[[int], int],
        row: int,
        between_s: tuple[float, float],
    ) -> Course:
        """Return what a transfer finds in the windows of a number from one time to another.

        ``used_as`` tells the number by which a window is used.
        """
        lasts_s, most_s = float(self._lasts_s[row]), float(self._most_s[row])
        # A link may be open all the time: of its gaps those in question are looked at alone, whole
        # so far as the longest transfer could still begin in one.
        near_s = between_s[0], between_s[1] + 2.0 * most_s + 1.0
        free: list[tuple[float, float]] = []
        taken: list[tuple[float, float]] = []
        for place in windows.spans.near(number, between_s).tolist():
            rise_s, set_s = windows.there_s[:, place].tolist()
            begin_s, end_s = windows.usable_s[:, place].tolist()
            taken += [(rise_s, begin_s), (begin_s, end_s - lasts_s), (end_s, set_s)]
            usable_s = max(begin_s, near_s[0]), min(end_s, near_s[1])
            for from_s, until_s in windows.used.gaps_s(used_as(place), row, usable_s):
                free.append((from_s, until_s - most_s))
        each = are_free, are_taken = _there(free), _there(taken)
        edges_s = np.concatenate([edge for one in each for edge in (one.begin_s, one.end_s)])
        within = (between_s[0] < edges_s) & (edges_s < between_s[1])
        begins_s = np.append(between_s[0], np.unique(edges_s[within]))
        found = [are_free.cover(begins_s), are_taken.cover(begins_s)]
        kinds = [State.FREE.value, State.TAKEN.value]
        return Course.of(np.select(found, kinds, State.SHUT.value), begins_s)


def _longest_s(sent: Sent) -> Floats:
    """Return how long the longest transfer (N,) took of the same payload over the same links."""
    kind = 4 * sent.payload + np.where(sent.peer >= 0, 2 + sent.feeder, sent.to_server)
    longest_s = np.zeros(1 + kind.max(initial=0))
    np.maximum.at(longest_s, kind, sent.end_s - sent.start_s)
    return longest_s[kind]


def _linked(nodes: int, a: Ints, b: Ints) -> Ints:
    """Return for each node the least one that links between ``a`` and ``b`` (L,) lead to."""
    least = np.arange(nodes)
    while True:
        before = least.copy()
        low = np.minimum(least[a], least[b])
        np.minimum.at(least, a, low)
        np.minimum.at(least, b, low)
        if np.array_equal(before, least):
            return least
