"""Carrier: finds the earliest way of a message over contacts, and books it.

The seam between a mesh and its search: nodes are numbers, and what goes in and out is routes. The
:class:`sim.routing.book.Book` knows what is free, and :mod:`sim.routing.search` finds ways.
"""

from __future__ import annotations

from math import inf, ulp
from typing import Any, NamedTuple

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from sim.routing.book import Book, Contacts
from sim.routing.free_times import FULL, NONE, WANTED
from sim.routing.hop import HOP, Route
from sim.routing.rows import array_of
from sim.routing.state import (
    COUNTERS,
    NOW,
    SLOTS_OF_LEVEL,
    Best,
    Key,
    Message,
    Node,
    Search,
    Way,
)

SPAN_S = 32.0
"""How long the shortest spans last: windows of links last for minutes."""
LONGEST_SPAN_S = 8192.0
"""How long the longest ones last; rounds look farther."""
HOPS_OF_SPAN = 64.0
"""A span in which a message is looked for lasts so many hops over links or longer."""
HOP_COUNTS = 1 << 22
"""Counts of hops that are kept, about; two bytes each where the search is compiled."""
ROUNDINGS = 4
"""How often a time is rounded for each hop, at most."""


class Least(NamedTuple):
    """The highest rate and the shortest delay of any link, and the ``hub``: passes are with it."""

    rate_bps: float
    delay_s: float
    hub: int


class Carrier:
    """Finds ways between so many ``nodes`` over the contacts of a ``book``.

    With ``least``, the best pass and straight ways are tried first; else rounds alone search.
    """

    def __init__(self, nodes: int, book: Book, least: Least | None = None) -> None:
        self._nodes = nodes
        self._book = book
        self._least = least
        self._rounding_s = ROUNDINGS * ulp(book.last_end_s)
        self._functions = book.functions
        self._search = _search(nodes, book, NONE if least is None else least.hub)
        self._has_passes = any(len(passes) for passes in self._search.passes)

    def route(
        self,
        source: int,
        target: int,
        bits: float,
        ready_s: float,
        avoid: int | None = None,
        *,
        by_rounds: bool = False,
    ) -> Route | None:
        """Return the hops of a message that is ready at ``source``; None if it never arrives.

        It arrives as early as any way lets it, and with the fewest hops of those that do. No hop
        leads to the node that it is to ``avoid``. Where it is searched ``by_rounds`` alone, the
        answer is the same.
        """
        if source == target:
            return Route.of([])
        least = self._least
        least_s = 0.0
        level = 0
        if least is not None:
            lasts_s = bits / least.rate_bps + least.delay_s
            least_s = max(0.0, lasts_s - self._rounding_s)
            level = self._level(HOPS_OF_SPAN * lasts_s)
            by_rounds |= not self._is_simple(source, target, avoid, least.hub)
        message = Message(
            source,
            target,
            float(bits),
            float(ready_s),
            least_s,
            level,
            NONE if avoid is None else avoid,
        )
        return self._found(message, by_rounds=by_rounds or least is None)

    def arrivals(self, source: int, bits: float, ready_s: float) -> Floats:
        """Return when a message can be at each node (N,), over whatever contacts; inf for never."""
        message = Message(source, NONE, float(bits), float(ready_s), 0.0, 0, NONE)
        mark = self._answer("spread", message)
        nodes = [(node.mark, node.there_s) for node in self._search.nodes]
        return np.array([there_s if own == mark else inf for own, there_s in nodes])

    def _is_simple(self, source: int, target: int, avoid: int | None, hub: int) -> bool:
        """Whether a message goes over one pass or none."""
        if avoid not in (None, hub):
            return False
        return hub in (source, target) or avoid == hub or not self._has_passes

    def _level(self, lasts_s: float) -> int:
        """Return the first level whose spans last so long, or the last one."""
        spans_s = self._search.spans_s
        level = 0
        while spans_s[level] < lasts_s and level < len(spans_s) - 1:
            level += 1
        return level

    def _found(self, message: Message, *, by_rounds: bool) -> Route | None:
        """Return what the search finds."""
        count = self._answer("route", message, by_rounds)
        if count == NONE:
            return None
        figures: Any = self._search.hop_rows[: HOP * count]
        return Route.of(figures.copy())  # the next search writes there, too

    def _answer(self, function: str, *asked: Any) -> int:
        """Return what a function of the search answers, once it has got all that it wants."""
        book = self._book
        while True:
            if self._search.book is not book.rows:
                self._search = self._search._replace(book=book.rows)
            search = self._search
            answer: int = self._functions[function](search, *asked)
            wanted = book.rows.counters[WANTED]
            if wanted == NONE:
                return answer
            if wanted == FULL:
                ways = 2 * len(search.ways)
                self._search = search._replace(ways=book.kept(Way, array_of(Way, ways, {})))
            else:
                book.look_up()

    def book(self, route: Route) -> None:
        """Take the times of a route's hops out: later messages use what is left.

        Raises ValueError for a time that is not free.
        """
        self._book.take(route)

    def forward(self, now_s: float) -> None:
        """Forget what is over: no message will be ready earlier."""
        self._book.now_s = now_s
        self._search.times_s[NOW] = now_s

    def delay(self, row: int, delay_s: float) -> None:
        """Let signals take so long from now on over the contact of a row."""
        self._book.delay(row, delay_s)


def _search(nodes: int, book: Book, hub: int) -> Search:
    """Return a search that knows nothing yet."""
    contacts = book.contacts
    of_links = (contacts.source != hub) & (contacts.target != hub)
    by_start = np.lexsort((contacts.start_s, contacts.source))
    edges = np.searchsorted(contacts.source[by_start], np.arange(nodes + 1))
    places = {"first": edges[:-1], "later": edges[:-1], "last": edges[1:]}
    passes = [
        np.flatnonzero((ends == hub) & ~of_links) for ends in (contacts.target, contacts.source)
    ]
    passes = [own[np.argsort(contacts.start_s[own], kind="stable")] for own in passes]
    most = max(map(len, passes))
    starts_s = np.sort(contacts.start_s[of_links])
    ends_s = np.sort(contacts.end_s[of_links])
    spans = _Spans.of(starts_s, ends_s, book.last_end_s)
    counts = max(8, min(8 * nodes, HOP_COUNTS // max(nodes, 1)))
    slots = len(spans.slot_places)

    def whole(*shape: int, value: int = 0, kind: type = np.int64) -> Any:
        return book.plain(np.full(shape, value, kind))

    return Search(
        book=book.rows,
        hub=hub,
        both_ways=_lead_both_ways(contacts, of_links),
        nodes=book.kept(Node, array_of(Node, nodes, places)),
        leaving=book.plain(by_start),
        passes=(book.plain(passes[0]), book.plain(passes[1])),
        let_in=(whole(most), whole(most)),
        counters=whole(COUNTERS),
        times_s=book.plain(np.array([-inf, book.last_end_s, -inf])),
        opens_s=book.plain(starts_s),
        spans_s=book.plain(spans.spans_s),
        levels=book.plain(spans.levels),
        epochs=book.plain(spans.epochs),
        slot_epochs=whole(slots, value=NONE),
        slot_places=book.plain(spans.slot_places),
        link_edges=whole(slots, nodes + 1),
        links=whole(spans.links),
        targets=whole(spans.links),
        source_edges=whole(slots, nodes + 1),
        sources=whole(spans.links),
        hops=whole(counts * nodes, kind=np.int16),
        hop_tags=whole(counts, value=NONE),
        front=whole(nodes + 1),
        front_ways=whole(nodes + 1),
        ahead=whole(nodes + 1),
        ways=book.kept(Way, array_of(Way, 16 * nodes + 64, {})),
        keys=book.kept(Key, array_of(Key, most + 1, {})),
        best=book.kept(Best, array_of(Best, 1, {})),
        hop_rows=book.plain(np.zeros(4 * nodes + 8)),
    )


class _Spans(NamedTuple):
    """Spans of all levels: see :class:`Search`; and for how many ``links`` there is to be room."""

    spans_s: Floats
    levels: Ints
    epochs: Ints
    slot_places: Ints
    links: int

    @classmethod
    def of(cls, starts_s: Floats, ends_s: Floats, last_s: float) -> _Spans:
        """Return the spans of links that begin and end, both sorted, by a time."""
        spans_s = [SPAN_S]
        while spans_s[-1] < min(last_s, LONGEST_SPAN_S):
            spans_s.append(2.0 * spans_s[-1])
        levels = [0]
        epochs = []
        places = [0]
        number = 0
        for span_s in spans_s:
            begins_s = span_s * np.arange(int(last_s / span_s) + 2)
            opened = np.searchsorted(starts_s, begins_s + 2.0 * span_s, side="right")
            closed = np.searchsorted(ends_s, begins_s, side="left")
            is_new = (np.diff(opened, prepend=0) + np.diff(closed, prepend=0)) > 0
            is_new[0] = True
            epochs.append(number + np.cumsum(is_new))
            number = int(epochs[-1][-1])
            levels.append(levels[-1] + len(begins_s))
            most = int((opened - closed).max())
            places += [places[-1] + most * slot for slot in range(1, SLOTS_OF_LEVEL + 1)]
        return cls(
            np.array(spans_s),
            np.array(levels),
            np.concatenate(epochs),
            np.array(places[:-1]),
            places[-1],
        )


def _lead_both_ways(contacts: Contacts, of_links: Mask) -> bool:
    """Whether each link has one back, open at the same times."""
    one, other = contacts.source[of_links], contacts.target[of_links]
    start_s, end_s = contacts.start_s[of_links], contacts.end_s[of_links]
    forth = np.lexsort((end_s, start_s, other, one))
    back = np.lexsort((end_s, start_s, one, other))
    return all(
        np.array_equal(mine[forth], theirs[back])
        for mine, theirs in ((one, other), (other, one), (start_s, start_s), (end_s, end_s))
    )
