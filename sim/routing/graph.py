"""Store-and-forward over a plan of contacts: the earliest arrival, and volumes that are booked.

Routes are those of contact graph routing (CCSDS 734.3-B-1, schedule-aware bundle routing): a
message goes in one piece over each contact, and waits at a node for the next one.

The search is that of a mesh (:mod:`sim.routing.search`), by rounds alone: a plan of anybody's has
no node that all passes lead to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike

from learning.requests.cluster import Floats
from sim.routing.book import Book, Contacts, Sent
from sim.routing.carrier import Carrier
from sim.routing.hop import Hop, Route


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
        contacts = plan.contacts()
        self._carrier = Carrier(plan.nodes, Book(contacts, plan.sent))
        ends = (contacts.number, contacts.source, contacts.target)
        self._contacts = list(zip(*(column.tolist() for column in ends), strict=True))
        self._rows = {contact[:2]: row for row, contact in enumerate(self._contacts)}
        self.nodes = plan.nodes

    def route(self, source: int, target: int, bits: float, ready_s: float) -> list[Hop] | None:
        """Return the hops of a message that is ready at ``source``; None if it never arrives.

        It arrives as early as any route lets it, and with the fewest hops of those that do. Raises
        ValueError for a node that is not there, for bits that are not a number of at least 0, and
        for a time that is no number.
        """
        self._check(source, target, bits, ready_s)
        route = self._carrier.route(source, target, bits, ready_s)
        if route is None:
            return None
        return [Hop(*self._contacts[row], *times_s) for row, *times_s in route.hops()]

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
        figures: list[float] = []
        for hop in hops:
            row = self._rows.get((hop.contact, hop.source))
            if row is None:
                raise ValueError(f"contact {hop.contact} does not begin at node {hop.source}")
            figures += row, hop.begin_s, hop.sent_s, hop.arrival_s
        self._carrier.book(Route.of(figures))

    def _check(self, source: int, target: int, bits: float, ready_s: float) -> None:
        for node in (source, target):
            if not isinstance(node, Integral) or not 0 <= node < self.nodes:
                there = f"nodes are 0 to {self.nodes - 1}" if self.nodes else "the plan has none"
                raise ValueError(f"node {node!r} is not there; {there}")
        if isnan(ready_s):
            raise ValueError("ready_s is nan; give a number of seconds")
        if not 0.0 <= bits < np.inf:
            raise ValueError(f"bits are {bits:g}; give a number of at least 0")
