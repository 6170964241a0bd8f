"""Book: what of each contact is free, and the earliest way of a message over that.

Nodes are numbers, and what goes in and out is routes: ``route`` finds one, ``take`` takes its
times, and ``forward`` forgets what is over. The functions are those of :mod:`sim.mesh.search` and
:mod:`sim.mesh.free_times`; a book holds their rows, and makes room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from math import inf, isnan
from numbers import Integral
from typing import Any

import numpy as np

from sim.mesh.compiled import functions_of_search
from sim.mesh.contacts import HOP, ContactPlan, Contacts, Hop, Load, Route, Sent
from sim.mesh.free_times import (
    ASKED,
    CURVE,
    FIXED,
    FULL,
    LEFT,
    NONE,
    UNKNOWN,
    UNUSED,
    WANTED,
    Contact,
    Gap,
    Rows,
)
from sim.mesh.search import (
    COUNTERS,
    NOW,
    Best,
    Message,
    Node,
    Outlook,
    PathHop,
    Rank,
    Search,
)
from statements.arrays import Floats

SPARE = 1024
"""Free times that there is room for at first, behind one of each contact."""
LOADED_AHEAD_S = 120.0
"""Rates of contacts that open so soon behind a wanted one are looked up together with them."""

OUTLOOKS = 1 << 20
"""Times that are kept of nodes to the targets that were asked for last, at most."""
ROUNDINGS = 4.0
"""A hop may seem shorter than it is by so many of the smallest differences between times."""
POINTS = 3 * 4096
"""Numbers that there is room for at first, three for each point of a curve."""


class Book:
    """The free times of ``contacts`` between so many ``nodes``, and ways over them.

    They are rows for plain functions, or ``compiled`` ones. ``sent`` and ``load`` are asked where
    contacts have no rate of their own.
    """

    def __init__(
        self,
        nodes: int,
        contacts: Contacts,
        sent: Sent | None = None,
        load: Load | None = None,
        *,
        compiled: bool = False,
    ) -> None:
        self._contacts = contacts
        self._compiled = compiled
        self._load = load
        self._sent = sent
        self._number: list[int] = contacts.number.tolist()
        self._source: list[int] = contacts.source.tolist()
        self._now_s = -np.inf
        self._known: set[int] = set()
        self._looked_up = 0
        self._points = 0
        self._curves: list[tuple[int, int, int]] = []
        self._functions = functions_of_search(compiled=compiled)
        kind = np.where(np.isnan(contacts.rate_bps), ASKED, FIXED)
        kind[contacts.rate_bps == 0.0] = UNKNOWN
        count = len(kind)
        asked = bool((kind == ASKED).any())
        assert not (asked and compiled)  # whoever asks to compile knows that nobody is asked
        rows = array_of(
            Contact,
            count,
            {
                "source": contacts.source,
                "target": contacts.target,
                "kind": kind,
                "first_gap": np.arange(count),
                "opens_s": contacts.start_s,
                "closes_s": contacts.end_s,
                "rate_bps": contacts.rate_bps,
                "delay_s": contacts.delay_s,
                "asked_bits": -1.0,
            },
        )
        self._unknown = np.flatnonzero(kind == UNKNOWN)
        self._unknown = self._unknown[np.argsort(contacts.start_s[self._unknown], kind="stable")]
        self._unknown_s: Floats = contacts.start_s[self._unknown]
        gaps = self._gaps(count + SPARE, count)
        gaps["begin_s"][:count] = contacts.start_s
        gaps["end_s"][:count] = contacts.end_s
        gaps["after"][:count] = NONE
        own = Rows(
            contacts=self._kept(Contact, rows),
            gaps=self._kept(Gap, gaps),
            points=self._plain(np.zeros(0)),
            counters=self._plain(np.array([NONE, count, SPARE])),
            ask=self._ask if asked else None,
        )
        self._search = self._search_over(nodes, own)

    def _search_over(self, nodes: int, own: Rows) -> Search:
        """Return a search over rows that knows nothing yet."""
        contacts = self._contacts
        ends = np.append(contacts.source, nodes + contacts.target)
        by_start = np.lexsort((np.tile(contacts.start_s, 2), ends))
        edges = np.searchsorted(ends[by_start], np.arange(2 * nodes + 1))
        ranks = {"first": edges[:-1], "later": edges[:-1], "last": edges[1:]}
        outlooks = max(1, min(nodes, OUTLOOKS // max(nodes, 1)))
        nobody = {"target": np.full(outlooks, NONE)}
        last_s = contacts.end_s.max(initial=0.0)

        def numbers(count: int) -> Any:
            return self._plain(np.zeros(count, np.int64))

        return Search(
            book=own,
            nodes=self._kept(Node, array_of(Node, nodes, {})),
            ranks=self._kept(Rank, array_of(Rank, 2 * nodes, ranks)),
            rows=self._plain(by_start % max(len(contacts.source), 1)),
            outlooks=self._kept(Outlook, array_of(Outlook, outlooks, nobody)),
            least_s=self._plain(np.zeros(outlooks * nodes)),
            counters=numbers(COUNTERS),
            times_s=self._plain(np.array([-inf, last_s, ROUNDINGS * np.spacing(last_s)])),
            front=numbers(nodes),
            front_ways=numbers(nodes),
            ahead=numbers(nodes),
            ways=self._kept(PathHop, array_of(PathHop, 16 * nodes + 64, {})),
            best=self._kept(Best, array_of(Best, 1, {})),
            hop_rows=self._plain(np.zeros(4 * nodes + 8)),
        )

    @property
    def _rows(self) -> Rows:
        """The rows of contacts, and their free times."""
        return self._search.book

    def _replace(self, **rows: Any) -> None:
        """Let the search go on with other rows of a kind."""
        self._search = self._search._replace(book=self._rows._replace(**rows))

    def route(
        self, source: int, target: int, bits: float, ready_s: float, avoid: int | None = None
    ) -> Route | None:
        """Return the hops of a message that is ready at ``source``; None if it never arrives.

        It arrives as early as any way lets it, and with the fewest hops of those that do. No hop
        leads to the node that it is to ``avoid``.
        """
        if source == target:
            return Route.of([])
        avoids = NONE if avoid is None else avoid
        count = self._answer("route", Message(source, target, float(bits), float(ready_s), avoids))
        if count == NONE:
            return None
        figures: Any = self._search.hop_rows[: HOP * count]
        return Route.of(figures.copy())  # the next search writes there, too

    def arrivals(self, source: int, bits: float, ready_s: float) -> Floats:
        """Return when a message can be at each node (N,), over whatever contacts; inf for never."""
        mark = self._answer("spread", Message(source, NONE, float(bits), float(ready_s), NONE))
        nodes = [(node.mark, node.there_s) for node in self._search.nodes]
        return np.array([there_s if own == mark else inf for own, there_s in nodes])

    def _answer(self, function: str, message: Message) -> int:
        """Return what a function of the search answers, once it has got all that it wants."""
        while True:
            answer: int = self._functions[function](self._search, message)
            wanted = self._rows.counters[WANTED]
            if wanted == NONE:
                return answer
            if wanted == FULL:
                ways = array_of(PathHop, 2 * len(self._search.ways), {})
                self._search = self._search._replace(ways=self._kept(PathHop, ways))
            else:
                self._look_up(wanted)

    def _plain(self, values: Any) -> Any:
        """Return an array of numbers as functions of the search take it."""
        return values if self._compiled else values.tolist()

    def _kept(self, kind: type, rows: np.ndarray) -> Any:
        """Return rows of a kind as functions of the search take them."""
        return rows if self._compiled else objects_of(kind, rows)

    @staticmethod
    def _gaps(count: int, first: int) -> np.ndarray:
        """Return so many free times, those from ``first`` on each with the one after it."""
        gaps = array_of(Gap, count, {})
        gaps["after"][first:] = np.append(np.arange(first + 1, count), NONE)
        return gaps

    def _ask(self, row: int, begin_s: float, bits: float) -> tuple[float, float]:
        assert self._sent is not None  # where rates are nan
        return self._sent(self._number[row], self._source[row], begin_s, bits)

    def forward(self, now_s: float) -> None:
        """Forget what is over: no message will be ready earlier, and nothing begins earlier."""
        self._now_s = self._search.times_s[NOW] = now_s

    def take(self, route: Route) -> None:
        """Take the times of a route's hops out: later messages use what is left.

        Raises ValueError for a time that is not free.
        """
        if not route:
            return
        counters = self._rows.counters
        if counters[LEFT] < len(route):
            self._add_gaps(len(route))
        taken: int = self._functions["take_all"](self._rows, route.figures, self._now_s)
        if taken != NONE:
            contact, begin_s = self._number[route.row[taken]], route.begin_s[taken]
            raise ValueError(f"contact {contact} is not free at {begin_s:g} s")

    def _add_gaps(self, least: int) -> None:
        """Make room for free times, at least so many."""
        gaps: Any = self._rows.gaps
        count = len(gaps)
        new = self._gaps(2 * count + least, count)
        new["after"][-1] = self._rows.counters[UNUSED]
        if self._compiled:
            new[:count] = gaps
            self._replace(gaps=self._kept(Gap, new))
        else:
            gaps += objects_of(Gap, new[count:])
        self._rows.counters[UNUSED] = count
        self._rows.counters[LEFT] += len(new) - count

    def delay(self, row: int, delay_s: float) -> None:
        """Let signals take so long from now on over the contact of a row."""
        self._change(row, delay_s=delay_s, asked_bits=-1.0)

    def _change(self, row: int, **values: float) -> None:
        contacts: Any = self._rows.contacts
        for name, value in values.items():
            if self._compiled:
                contacts[name][row] = value
            else:
                setattr(contacts[row], name, value)

    def _look_up(self, wanted: int) -> None:
        """Look the rates up that are wanted, and those of contacts that open soon behind."""
        until_s = self._contacts.start_s[wanted] + LOADED_AHEAD_S
        last = int(np.searchsorted(self._unknown_s, until_s, side="right"))
        new = self._unknown[self._looked_up : last]
        self._looked_up = max(self._looked_up, last)
        for row in new[self._contacts.end_s[new] >= self._now_s].tolist():
            self._know(row)
        self._know(wanted)

    def _know(self, row: int) -> None:
        """Look the rates of a row up, unless they are known."""
        if row in self._known:
            return
        assert self._load is not None  # where rates are 0
        self._known.add(row)
        rates = self._load(self._number[row], self._source[row])
        if rates.curve is None:
            self._change(row, kind=FIXED, rate_bps=rates.rate_bps, delay_s=rates.delay_s)
            return
        curve = rates.curve
        points = np.array([curve.time_s[0], curve.rate_bps[0], curve.bits[0]]).T.ravel()
        if self._points + len(points) > len(self._rows.points):
            self._forget_points(len(points))
        first = self._points
        self._points += len(points)
        self._curves.append((row, first, len(points)))
        held: Any = self._rows.points
        held[first : self._points] = self._plain(points)
        self._change(
            row,
            kind=CURVE,
            first_point=first // 3,
            points=len(points) // 3,
            rate_bps=float(curve.rate_bps.max()),
            delay_s=rates.delay_s,
        )

    def _forget_points(self, more: int) -> None:
        """Leave curves of contacts out that are over, and make room for more points."""
        ends_s = self._contacts.end_s
        curves = [one for one in self._curves if ends_s[one[0]] >= self._now_s]
        left = sum(count for _, _, count in curves)
        points = np.zeros(2 * (left + more) + POINTS)
        self._curves = []
        self._points = 0
        for row, first, count in curves:
            held = self._rows.points[first : first + count]
            points[self._points : self._points + count] = held
            self._curves.append((row, self._points, count))
            self._change(row, first_point=self._points // 3)
            self._points += count
        self._replace(points=self._plain(points))


TYPES = {"int": np.int64, "float": np.float64}


def array_of(kind: type, count: int, columns: Mapping[str, Any]) -> np.ndarray:
    """Return so many rows with the fields of a dataclass; those without a column are 0."""
    names = [(field.name, TYPES[str(field.type)]) for field in fields(kind)]
    rows = np.zeros(count, np.dtype(names, align=True))
    for name, values in columns.items():
        rows[name] = values
    return rows


def objects_of(kind: type, rows: np.ndarray) -> list[Any]:
    """Return an object of a dataclass for each row of an array."""
    return [kind(*row) for row in rows.tolist()]


class ContactGraph:
    """What of the time of the contacts of a ``plan`` is not booked yet, and the routes over it.

    A message goes in one piece over each contact, and waits at a node for the next one. Nodes are
    numbers of the plan, times seconds; questions may come in any order. Raises ValueError for a
    plan with a contact that cannot be.
    """

    def __init__(self, plan: ContactPlan) -> None:
        contacts = plan.contacts()
        self._book = Book(plan.nodes, contacts, plan.sent)
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
        route = self._book.route(source, target, bits, ready_s)
        if route is None:
            return None
        return [Hop(*self._contacts[row], *times_s) for row, *times_s in route.hops()]

    def arrivals(self, source: int, bits: float, ready_s: float) -> Floats:
        """Return when a message can be at each node (N,), over whatever contacts; inf for never.

        Raises ValueError as :meth:`route` does.
        """
        self._check(source, source, bits, ready_s)
        return self._book.arrivals(source, bits, ready_s)

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
        self._book.take(Route.of(figures))

    def _check(self, source: int, target: int, bits: float, ready_s: float) -> None:
        for node in (source, target):
            if not isinstance(node, Integral) or not 0 <= node < self.nodes:
                there = f"nodes are 0 to {self.nodes - 1}" if self.nodes else "the plan has none"
                raise ValueError(f"node {node!r} is not there; {there}")
        if isnan(ready_s):
            raise ValueError("ready_s is nan; give a number of seconds")
        if not 0.0 <= bits < np.inf:
            raise ValueError(f"bits are {bits:g}; give a number of at least 0")
