"""Store-and-forward over a plan of contacts: the earliest arrival, and volumes that are booked.

Routes are those of contact graph routing (CCSDS 734.3-B-1, schedule-aware bundle routing): a
message goes in one piece over each contact, and waits at a node for the next one.

The search is that of a mesh (:mod:`sim.network.carrier_search`), by rounds alone: a plan of
anybody's has no node that all passes lead to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike

from channel import SPEED_OF_LIGHT_M_S
from learning.requests.cluster import Floats
from sim.network.book import Book, Contacts, Sent
from sim.network.carrier import Carrier
from sim.network.hop import Hop
from sim.network.sessions import ClusterSessions
from sim.plan.isl import IslPlan


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

    def contacts(self) -> Contacts:
        """Return all contacts in each direction, sorted by start.

        Raises ValueError for columns of other lengths or nodes that are no whole numbers and, with
        the number of the first one, for a contact that ends before it starts, has a rate that is
        not above 0 (nan needs ``sent``) or a delay below 0, or is between nodes that are not there.
        """
        self._check_columns()
        count = len(np.asarray(self.a))
        one, other = np.asarray(self.a).astype(np.int64), np.asarray(self.b).astype(np.int64)
        forth = Contacts(
            np.arange(count),
            one,
            other,
            *(
                np.broadcast_to(np.asarray(values, float), count)
                for values in (self.start_s, self.end_s, self.rate_bps, self.delay_s)
            ),
        )
        self._check(forth)
        ways = [forth] if self.directed else [forth, forth._replace(source=other, target=one)]
        columns = [np.concatenate(each) for each in zip(*ways, strict=True)]
        order = np.argsort(columns[3], kind="stable")
        return Contacts(*(column[order] for column in columns))

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

    def _check(self, contacts: Contacts) -> None:
        """Raise ValueError for the first contact that cannot be."""
        asked = np.isnan(contacts.rate_bps) & (self.sent is not None)
        ends = np.stack([contacts.source, contacts.target])
        for wrong, what in (
            (~(contacts.end_s >= contacts.start_s), "ends before it starts"),
            (~((contacts.rate_bps > 0.0) | asked), "has a rate_bps that is not above 0"),
            (~(contacts.delay_s >= 0.0), "has a delay_s below 0"),
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
    numbers of the plan, times seconds; questions may come in any order. Raises ValueError for a
    plan with a contact that cannot be.
    """

    def __init__(self, plan: ContactPlan) -> None:
        self._carrier = Carrier(plan.nodes, Book(plan.contacts(), plan.sent))
        self.nodes = plan.nodes

    def route(self, source: int, target: int, bits: float, ready_s: float) -> list[Hop] | None:
        """Return the hops of a message that is ready at ``source``; None if it never arrives.

        It arrives as early as any route lets it, and with the fewest hops of those that do. Raises
        ValueError for a node that is not there, for bits that are not a number of at least 0, and
        for a time that is no number.
        """
        self._check(source, target, bits, ready_s)
        return self._carrier.route(source, target, bits, ready_s)

    def arrivals(self, source: int, bits: float, ready_s: float) -> Floats:
        """Return when a message can be at each node (N,), over whatever contacts; inf for never.

        Raises ValueError as :meth:`route` does.
        """
        self._check(source, source, bits, ready_s)
        return self._carrier.arrivals(source, bits, ready_s)

    def book(self, hops: Sequence[Hop]) -> None:
        """Take the times of ``hops`` out of the plan: later routes use what is left of it.

        Raises ValueError for a time that is not free.
        """
        self._carrier.book(hops)

    def _check(self, source: int, target: int, bits: float, ready_s: float) -> None:
        for node in (source, target):
            if not isinstance(node, Integral) or not 0 <= node < self.nodes:
                there = f"nodes are 0 to {self.nodes - 1}" if self.nodes else "the plan has none"
                raise ValueError(f"node {node!r} is not there; {there}")
        if isnan(ready_s):
            raise ValueError("ready_s is nan; give a number of seconds")
        if not 0.0 <= bits < np.inf:
            raise ValueError(f"bits are {bits:g}; give a number of at least 0")


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
