"""Store-and-forward over a plan of contacts: the earliest arrival, and volumes that are booked.

Routes are those of contact graph routing (CCSDS 734.3-B-1, schedule-aware bundle routing): a
message goes in one piece over each contact, and waits at a node for the next one.

The search of :mod:`sim.network.carrier_search` has the same rules. This one looks at arrays of
contacts at once, also from one node to all others; that one goes from node to node, for a mesh in
which many messages look for a route to one target each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from channel import SPEED_OF_LIGHT_M_S
from learning.requests.cluster import Floats, Ints
from sim.network.book import Sent
from sim.network.hop import Hop
from sim.network.sessions import ClusterSessions
from sim.plan.isl import IslPlan

FIRST_CONTACTS = 4096
"""How many contacts a search looks at first; each time that these are too few, twice as many."""

Free = NDArray[Any]
FREE = np.dtype(
    [(name, "i8") for name in ("contact", "source", "target")]
    + [(name, "f8") for name in ("start_s", "end_s", "rate_bps", "delay_s")]
)
"""A row for each time of a contact, in one direction, that nothing has booked."""


@dataclass(frozen=True, eq=False)
class ContactPlan:
    """M contacts between so many ``nodes``.

    ``a`` and ``b`` (M,) are nodes, counted from 0. Bits leave from ``start_s`` to ``end_s`` at
    ``rate_bps``, and are there ``delay_s`` later: arrays (M,), or one number. Of a contact with the
    rate nan ``sent`` says so; who begins later is never there earlier. A contact goes both ways,
    with a band of its own for each, unless all are ``directed``.
    """

    nodes: int
    a: ArrayLike
    b: ArrayLike
    start_s: ArrayLike
    end_s: ArrayLike
    rate_bps: ArrayLike
    delay_s: ArrayLike = 0.0
    directed: bool = False
    sent: Sent | None = None

    def free(self) -> Free:
        """Return the times of all contacts in each direction, sorted by start.

        Raises ValueError for columns of other lengths or nodes that are no whole numbers and, with
        the number of the first one, for a contact that ends before it starts, has a rate that is
        not above 0 (nan needs ``sent``) or a delay below 0, or is between nodes that are not there.
        """
        self._check_columns()
        free = np.zeros(np.shape(self.a), FREE)
        free["contact"] = np.arange(len(free))
        free["source"] = self.a
        free["target"] = self.b
        free["start_s"] = self.start_s
        free["end_s"] = self.end_s
        free["rate_bps"] = self.rate_bps
        free["delay_s"] = self.delay_s
        self._check(free)
        if not self.directed:
            back = free.copy()
            back["source"] = self.b
            back["target"] = self.a
            free = np.concatenate([free, back])
        return free[np.argsort(free["start_s"], kind="stable")]

    def _check_columns(self) -> None:
        """Raise ValueError for columns that are not of the same contacts."""
        shape = np.shape(self.a)
        if len(shape) != 1:
            raise ValueError("a is no row; give the first node of each contact")
        for name in ("b", "start_s", "end_s", "rate_bps", "delay_s"):
            own = np.shape(getattr(self, name))
            if own != shape and (name == "b" or own):
                raise ValueError(f"{name} has the shape {own}, and a {shape}; give one per contact")
        for name in ("a", "b"):
            nodes = np.asarray(getattr(self, name))
            if nodes.dtype.kind not in "iuf" or (nodes != np.floor(nodes)).any():
                raise ValueError(f"{name} has other nodes than whole numbers")

    def _check(self, free: Free) -> None:
        """Raise ValueError for the first contact that cannot be."""
        asked = np.isnan(free["rate_bps"]) & (self.sent is not None)
        ends = np.stack([free["source"], free["target"]])
        for wrong, what in (
            (~(free["end_s"] >= free["start_s"]), "ends before it starts"),
            (~((free["rate_bps"] > 0.0) | asked), "has a rate_bps that is not above 0"),
            (~(free["delay_s"] >= 0.0), "has a delay_s below 0"),
            (
                ((ends < 0) | (ends >= self.nodes)).any(axis=0),
                f"is between nodes that are not 0 to {self.nodes - 1}",
            ),
        ):
            if wrong.any():
                raise ValueError(f"contact {int(wrong.argmax())} {what}")


class ContactGraph:
    """What of the time of the contacts of a ``plan`` is not booked yet, and the routes over it.

    A message goes in one piece over each contact, and waits at a node for the next one. Nodes are
    numbers of the plan, times seconds. Raises ValueError for a plan with a contact that cannot be.
    """

    def __init__(self, plan: ContactPlan) -> None:
        self._free = plan.free()
        self._sent = plan.sent
        self.nodes = plan.nodes

    def route(self, source: int, target: int, bits: float, ready_s: float) -> list[Hop] | None:
        """Return the hops of a message that is ready at ``source``; None if it never arrives.

        It arrives as early as any route lets it, and with the fewest hops of those that do. Raises
        ValueError for a node that is not there, for bits that are not a number of at least 0, and
        for a time that is no number.
        """
        self._check(source, target, bits, ready_s)
        labels, via, free = self._search(source, bits, ready_s, target)
        if labels[-1][target] == np.inf:
            return None
        hops: list[Hop] = []
        for ready, arrival, took in zip(labels[-2::-1], labels[:0:-1], via[::-1], strict=True):
            if arrival[target] < ready[target]:  # else it was there with fewer hops
                one = free[took[target]]
                begin_s = max(float(one["start_s"]), float(ready[one["source"]]))
                sent_s = begin_s + bits / float(one["rate_bps"])
                if self._sent is not None and isnan(sent_s):
                    sent_s, _ = self._sent(one["contact"], one["source"], begin_s, bits)
                contact, target, there = int(one["contact"]), int(one["source"]), target
                hops.append(Hop(contact, target, there, begin_s, sent_s, float(arrival[there])))
        return hops[::-1]

    def arrivals(self, source: int, bits: float, ready_s: float) -> Floats:
        """Return when a message can be at each node (N,), over whatever contacts; inf for never.

        Raises ValueError as :meth:`route` does.
        """
        self._check(source, source, bits, ready_s)
        return self._search(source, bits, ready_s)[0][-1]

    def book(self, hops: Sequence[Hop]) -> None:
        """Take the times of ``hops`` out of the plan: later routes use what is left of it.

        Raises ValueError for a time that is not free.
        """
        for hop in hops:
            free = self._free
            mine = (free["contact"] == hop.contact) & (free["source"] == hop.source)
            mine &= (free["start_s"] <= hop.begin_s) & (hop.sent_s <= free["end_s"])
            if not mine.any():
                raise ValueError(f"contact {hop.contact} is not free at {hop.begin_s:g} s")
            before = int(mine.argmax())
            rest = free[before : before + 1].copy()
            rest["start_s"] = hop.sent_s
            free["end_s"][before] = hop.begin_s
            self._free = np.insert(free, np.searchsorted(free["start_s"], hop.sent_s), rest)

    def _check(self, source: int, target: int, bits: float, ready_s: float) -> None:
        for node in (source, target):
            if not isinstance(node, Integral) or not 0 <= node < self.nodes:
                there = f"nodes are 0 to {self.nodes - 1}" if self.nodes else "the plan has none"
                raise ValueError(f"node {node!r} is not there; {there}")
        if isnan(ready_s):
            raise ValueError("ready_s is nan; give a number of seconds")
        if not 0.0 <= bits < np.inf:
            raise ValueError(f"bits are {bits:g}; give a number of at least 0")

    def _search(
        self, source: int, bits: float, ready_s: float, target: int | None = None
    ) -> tuple[list[Floats], list[Ints], Free]:
        """Return :func:`_arrivals` over all contacts that matter for ``target``, and these."""
        ahead = self._free[self._free["end_s"] >= ready_s]
        count = FIRST_CONTACTS
        while True:
            labels, via = _arrivals(ahead[:count], self.nodes, source, bits, ready_s, self._sent)
            last = labels[-1].max() if target is None else labels[-1][target]
            # What starts later than the message is there makes it neither earlier nor shorter.
            if count >= len(ahead) or last < ahead["start_s"][count]:
                return labels, via, ahead
            count *= 2


def _arrivals(
    free: Free, nodes: int, source: int, bits: float, ready_s: float, sent: Sent | None
) -> tuple[list[Floats], list[Ints]]:
    """Return the earliest arrivals (N,) with at most 0, 1, 2, ... hops, until none is earlier.

    Behind them, for each number of hops but 0, the row of ``free`` by which each node that is
    reached earlier than before is reached: Bellman and Ford's rounds, over all contacts at a time.
    Contacts of ``sent`` are asked one by one, if they begin before the node is reached by others.
    """
    a, b, start, end, delay = (
        np.ascontiguousarray(free[name])
        for name in ("source", "target", "start_s", "end_s", "delay_s")
    )
    lasts = bits / free["rate_bps"]
    asked = np.isnan(lasts)
    contact = free["contact"]
    labels: list[Floats] = [np.full(nodes, np.inf)]
    via: list[Ints] = []
    labels[0][source], later = ready_s, np.full(nodes, np.inf)
    while True:
        before = labels[-1]
        begin = np.maximum(start, before[a])
        arrival = np.where(begin + lasts <= end, begin + lasts + delay, np.inf)
        after = before.copy()
        np.minimum.at(after, b, arrival)
        rows = np.flatnonzero(asked & (before < later)[a] & (begin < np.minimum(end, after[b])))
        for row in rows[np.argsort(begin[rows], kind="stable")]:
            if sent is not None and begin[row] < after[b[row]]:
                sent_s, there_s = sent(contact[row], a[row], float(begin[row]), bits)
                arrival[row] = there_s if sent_s <= end[row] else np.inf
                after[b[row]] = min(after[b[row]], arrival[row])
        later = before
        if not (after < before).any():
            return labels, via
        took = np.full(nodes, -1)
        first = np.flatnonzero((arrival == after[b]) & (arrival < before[b]))[::-1]
        took[b[first]] = first  # of several, the one that starts first
        labels.append(after)
        via.append(took)


def timetable(
    isls: IslPlan, sessions: Mapping[str, ClusterSessions], *, stores: bool
) -> ContactGraph:
    """Return the contacts of satellites with each other, and with the ground, the node behind them.

    Messages go up from the ground only if it ``stores`` what others have sent to it. The delay of a
    link of a fixed rate is that of the longest range of its window.
    """
    ground = len(isls.names)
    links = len(isls)
    found = ((k, sessions[name].planned) for k, name in enumerate(isls.names) if name in sessions)
    passes = [(k, own, place) for k, own in found for place in range(len(own))]

    def sent(contact: int, source: int, begin_s: float, bits: float) -> tuple[float, float]:
        if contact < links:
            sent_s, _ = isls.sent(contact, begin_s, bits)
            return sent_s, sent_s if sent_s == np.inf else sent_s + isls.delay_s(contact, sent_s)
        _, own, place = passes[contact - links]
        session = own[place]
        beam = session.to_client if source == ground else session.to_server
        sent_s = begin_s if beam is None else float(beam.curve.completion_time_s(bits, begin_s)[0])
        if sent_s == np.inf or (source == ground and not stores):
            return np.inf, np.inf
        return sent_s, sent_s + float(session.delay_s(np.array([sent_s]))[0])

    spans = np.array([(k, own.start_s(n), own.end_s(n)) for k, own, n in passes]).reshape(-1, 3).T
    fixed_bps = np.nan if isls.fixed_bps is None else isls.fixed_bps
    plan = ContactPlan(
        nodes=ground + 1,
        a=np.concatenate([isls.a, spans[0].astype(int)]),
        b=np.concatenate([isls.b, np.full(len(passes), ground)]),
        start_s=np.concatenate([isls.start_s, spans[1]]),
        end_s=np.concatenate([isls.end_s, spans[2]]),
        rate_bps=np.repeat([fixed_bps, np.nan], [links, len(passes)]),
        delay_s=np.append(isls.max_range_km * 1e3 / SPEED_OF_LIGHT_M_S, np.zeros(len(passes))),
        sent=sent,
    )
    return ContactGraph(plan)
