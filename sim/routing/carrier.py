"""Carrier: finds the earliest way of a message over contacts, and books it.

The seam between a mesh and its search: nodes are numbers, and what goes in and out is routes. The
:class:`sim.routing.book.Book` knows what is free, and :mod:`sim.routing.search` finds ways.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from learning.requests.cluster import Floats
from sim.routing.book import Book
from sim.routing.free_times import FULL, NONE, WANTED
from sim.routing.hop import HOP, Route
from sim.routing.rows import array_of
from sim.routing.state import COUNTERS, NOW, Best, Message, Node, Search, Way


class Carrier:
    """Finds ways between so many ``nodes`` over the contacts of a ``book``."""

    def __init__(self, nodes: int, book: Book) -> None:
        self._book = book
        self._functions = book.functions
        self._search = _search(nodes, book)

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
        book = self._book
        while True:
            if self._search.book is not book.rows:
                self._search = self._search._replace(book=book.rows)
            search = self._search
            answer: int = self._functions[function](search, message)
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


def _search(nodes: int, book: Book) -> Search:
    """Return a search that knows nothing yet."""
    contacts = book.contacts
    by_start = np.lexsort((contacts.start_s, contacts.source))
    edges = np.searchsorted(contacts.source[by_start], np.arange(nodes + 1))
    places = {"first": edges[:-1], "later": edges[:-1], "last": edges[1:]}

    def numbers(count: int) -> Any:
        return book.plain(np.zeros(count, np.int64))

    return Search(
        book=book.rows,
        nodes=book.kept(Node, array_of(Node, nodes, places)),
        leaving=book.plain(by_start),
        counters=numbers(COUNTERS),
        times_s=book.plain(np.array([-inf, book.last_end_s])),
        front=numbers(nodes + 1),
        front_ways=numbers(nodes + 1),
        ahead=numbers(nodes + 1),
        ways=book.kept(Way, array_of(Way, 16 * nodes + 64, {})),
        best=book.kept(Best, array_of(Best, 1, {})),
        hop_rows=book.plain(np.zeros(4 * nodes + 8)),
    )
