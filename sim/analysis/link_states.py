"""LinkStates: whether a link or a pass was there at a time, and whether somebody else had it."""

from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.requests.cluster import Floats, Ints
from sim.analysis.intervals import NumberedSpans, cuts
from sim.analysis.journeys import Sent
from sim.trace.arrow import array, as_numpy

CONTACT_COLUMNS = (
    *("contact_id", "satellite", "cluster", "station", "rise_s", "set_s", "served"),
    *("service_start_s", "service_end_s"),
)
"""What is read of the contacts."""


class RoundLink(NamedTuple):
    """A direction of a link between satellites, or of the passes of one node over another."""

    kind: Literal["isl", "pass"]
    source: str
    target: str


class State(Enum):
    """What a sender finds: no link, one that somebody else has, or one that is free.

    Or no pass of its own, but a free one of a satellite to which links lead (``ELSEWHERE``).
    """

    SHUT = 0
    TAKEN = 1
    FREE = 2
    ELSEWHERE = 3


class _Spans(NamedTuple):
    """Of links by number: when they are there, when they can be used, and when they are."""

    there: NumberedSpans
    usable: NumberedSpans
    used: NumberedSpans

    def states(
        self, number: int, used_as: int, between_s: tuple[float, float]
    ) -> tuple[Floats, Ints]:
        """Return times (T + 1,) from one to another, and the state (T,) between them.

        All that can be used is taken where as many transfers use it.
        """
        near = self.there.near(number, between_s), self.usable.near(number, between_s)
        there, usable, used = *near, self.used.near(used_as, between_s)
        begin_s, end_s = between_s
        edges_s = cuts([there, usable, used], np.zeros(0), end_s)
        edges_s = np.append(begin_s, edges_s[edges_s > begin_s])
        time_s = edges_s[:-1]
        taken = used.count(time_s) >= usable.count(time_s)
        found = np.where(taken, State.TAKEN.value, State.FREE.value)
        return edges_s, np.where(there.cover(time_s), found, State.SHUT.value)


class LinkStates:
    """The links and passes of a run, by its tables.

    A pass is there while a client is in view. It is taken while the client is not served, or a
    transfer of another client goes over it in the same direction; a link likewise. A pass that is
    not there is taken too while all passes of satellites to which links lead are.
    """

    def __init__(self, tables: Mapping[str, pa.Table], sent: Sent) -> None:
        self._sent = sent
        names = array(np.array(sent.names, str))

        def places(column: pa.ChunkedArray) -> Ints:
            found: Ints = as_numpy(pc.index_in(column, value_set=names), -1)
            return found.astype(int)

        self._contacts = tables["contacts"].select(CONTACT_COLUMNS)
        self._contact_ids = as_numpy(self._contacts["contact_id"])
        windows = tables.get("isl_windows")
        a, b = (np.zeros(0, int) if windows is None else places(windows[end]) for end in "ab")
        self._group = _linked(len(sent.names), a, b)
        none = NumberedSpans(np.zeros(0, int), np.zeros(0), np.zeros(0))
        open_ = none
        if windows is not None:
            open_ = NumberedSpans.of(self._pair(a, b), windows, "start_s", "end_s")
        feeders = tables.get("feeder_windows")
        over_gateways = none
        if feeders is not None:
            ends = places(feeders["satellite"]), places(feeders["station"])
            over_gateways = NumberedSpans.of(self._pair(*ends), feeders, "start_s", "end_s")
        between = sent.peer >= 0
        used = NumberedSpans(
            self._way(sent.cluster, sent.peer)[between],
            sent.start_s[between],
            sent.end_s[between],
        )
        self._links = _Spans(open_, open_, used)
        self._feeders = _Spans(over_gateways, over_gateways, used)
        client = places(self._contacts["cluster"])
        self._own_passes = self._passes(client, sent.cluster)
        self._all_passes = self._passes(self._group[client], self._group[sent.cluster])
        self._pass_between = cache(self._pass_between_)

    def _pair(self, a: Ints, b: Ints) -> Ints:
        return self._way(np.minimum(a, b), np.maximum(a, b))

    def _way(self, source: Ints, target: Ints) -> Ints:
        return source * len(self._sent.names) + target

    def _passes(self, met: Ints, sender: Ints) -> _Spans:
        """Return the passes by a number of each contact, and of each transfer."""
        contacts, sent = self._contacts, self._sent
        served = as_numpy(contacts["served"])
        over = np.flatnonzero(sent.peer < 0)
        return _Spans(
            NumberedSpans.of(met, contacts, "rise_s", "set_s"),
            NumberedSpans.of(
                met[served], contacts.filter(array(served)), "service_start_s", "service_end_s"
            ),
            NumberedSpans(
                (2 * sender + sent.to_server)[over], sent.start_s[over], sent.end_s[over]
            ),
        )

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
        begins_s = float(self._sent.start_s[row])
        if not begin_s < begins_s:
            return
        edges_s, state = self._states(row, (begin_s, begins_s))
        last = np.append(state[1:] != state[:-1], [True])
        for found, until_s in zip(state[last].tolist(), edges_s[1:][last].tolist(), strict=True):
            yield until_s, State(found)

    def _states(self, row: int, between_s: tuple[float, float]) -> tuple[Floats, Ints]:
        sent = self._sent
        cluster, peer = int(sent.cluster[row]), int(sent.peer[row])
        if peer >= 0:
            ends = len(sent.names) * min(cluster, peer) + max(cluster, peer)
            links = self._feeders if sent.feeder[row] else self._links
            return links.states(ends, len(sent.names) * cluster + peer, between_s)
        up, group = int(sent.to_server[row]), int(self._group[cluster])
        own_s, own = self._own_passes.states(cluster, 2 * cluster + up, between_s)
        all_s, every = self._all_passes.states(group, 2 * group + up, between_s)
        edges_s = np.union1d(own_s, all_s)
        own = own[np.searchsorted(own_s, edges_s[:-1], "right") - 1]
        every = every[np.searchsorted(all_s, edges_s[:-1], "right") - 1]
        every = np.where(every == State.FREE.value, State.ELSEWHERE.value, every)
        return edges_s, np.where(own == State.SHUT.value, every, own)


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
