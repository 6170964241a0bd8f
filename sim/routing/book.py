"""Book: what of each contact is free, and how it carries bits.

The seam of a carrier: :class:`Contacts` say what there is, ``first_fit`` when a message would go
over one of them, ``take`` books that, and ``forward`` forgets what is over. The functions are those
of :mod:`sim.routing.free_times`; a book holds their rows, and makes room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from learning.requests.cluster import Floats, Ints
from sim.routing import free_times
from sim.routing.compiled import functions_of_search
from sim.routing.free_times import (
    ASKED,
    CURVE,
    FIXED,
    LEFT,
    NONE,
    UNKNOWN,
    UNUSED,
    WANTED,
    Contact,
    Gap,
)
from sim.routing.hop import Route
from sim.routing.rows import array_of, objects_of

SPARE = 1024
"""Free times that there is room for at first, behind one of each contact."""
LOADED_AHEAD_S = 120.0
"""Rates of contacts that open so soon behind a wanted one are looked up together with them."""

POINTS = 3 * 4096
"""Numbers that there is room for at first, three for each point of a curve."""

Sent = Callable[[int, int, float, float], tuple[float, float]]
"""When bits have left, and are there, that go over a contact from a node and a time on.

Who begins later is never there earlier."""


class Curve(NamedTuple):
    """Times, rates at them, and bits by then (T,): those of a `LinkCurve` of one device."""

    time_s: Floats
    rate_bps: Floats
    bits: Floats


class Rates(NamedTuple):
    """How a contact carries bits: at a rate or by a curve; and how long signals take."""

    delay_s: float
    rate_bps: float
    curve: Curve | None = None


Load = Callable[[int, int], Rates]
"""The rates of a contact from a node."""


class Contacts(NamedTuple):
    """Arrays (M,) over contacts, each from one node to another: a number, and begin and end.

    What is sent back has a contact of its own, with the same number. ``rate_bps`` is nan where a
    function says when bits are there (:data:`Sent`), and 0 where rates are looked up when they are
    needed (:data:`Load`); else signals take ``delay_s``.
    """

    number: Ints
    source: Ints
    target: Ints
    start_s: Floats
    end_s: Floats
    rate_bps: Floats
    delay_s: Floats


class Book:
    """The free times of ``contacts``: rows for plain functions, or ``compiled`` ones.

    ``sent`` and ``load`` are asked where contacts have no rate of their own.
    """

    def __init__(
        self,
        contacts: Contacts,
        sent: Sent | None = None,
        load: Load | None = None,
        *,
        compiled: bool = False,
    ) -> None:
        self.contacts = contacts
        self.compiled = compiled
        self._load = load
        self._sent = sent
        self._number: list[int] = contacts.number.tolist()
        self._source: list[int] = contacts.source.tolist()
        self.last_end_s = float(contacts.end_s.max(initial=0.0))
        self.now_s = -np.inf
        self._known: set[int] = set()
        self._looked_up = 0
        self._points = 0
        self._curves: list[tuple[int, int, int]] = []
        self.functions = functions_of_search(compiled=compiled)
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
                "bound_bits": np.inf,
            },
        )
        self._unknown = np.flatnonzero(kind == UNKNOWN)
        self._unknown = self._unknown[np.argsort(contacts.start_s[self._unknown], kind="stable")]
        self._unknown_s: Floats = contacts.start_s[self._unknown]
        gaps = self._gaps(count + SPARE, count)
        gaps["begin_s"][:count] = contacts.start_s
        gaps["end_s"][:count] = contacts.end_s
        gaps["after"][:count] = NONE
        self.rows = free_times.Book(
            contacts=self.kept(Contact, rows),
            gaps=self.kept(Gap, gaps),
            points=self.plain(np.zeros(0)),
            counters=self.plain(np.array([NONE, count, SPARE])),
            ask=self._ask if asked else None,
        )

    def plain(self, values: Any) -> Any:
        """Return an array of numbers as functions of the search take it."""
        return values if self.compiled else values.tolist()

    def kept(self, kind: type, rows: np.ndarray) -> Any:
        """Return rows of a kind as functions of the search take them."""
        return rows if self.compiled else objects_of(kind, rows)

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
        """Let times pass: what is booked from now on begins no earlier."""
        self.now_s = now_s

    def take(self, route: Route) -> None:
        """Take the times of hops out; raise ValueError where one is not free."""
        if not route:
            return
        counters = self.rows.counters
        if counters[LEFT] < len(route):
            self._add_gaps(len(route))
        taken: int = self.functions["take_all"](self.rows, route.figures, self.now_s)
        if taken != NONE:
            contact, begin_s = self._number[route.row[taken]], route.begin_s[taken]
            raise ValueError(f"contact {contact} is not free at {begin_s:g} s")

    def _add_gaps(self, least: int) -> None:
        """Make room for free times, at least so many."""
        gaps: Any = self.rows.gaps
        count = len(gaps)
        new = self._gaps(2 * count + least, count)
        new["after"][-1] = self.rows.counters[UNUSED]
        if self.compiled:
            new[:count] = gaps
            self.rows = self.rows._replace(gaps=self.kept(Gap, new))
        else:
            gaps += objects_of(Gap, new[count:])
        self.rows.counters[UNUSED] = count
        self.rows.counters[LEFT] += len(new) - count

    def delay(self, row: int, delay_s: float) -> None:
        """Let signals take so long from now on over the contact of a row."""
        self._change(row, delay_s=delay_s, asked_bits=-1.0)

    def _change(self, row: int, **values: float) -> None:
        contacts: Any = self.rows.contacts
        for name, value in values.items():
            if self.compiled:
                contacts[name][row] = value
            else:
                setattr(contacts[row], name, value)

    def look_up(self) -> None:
        """Look the rates up that are wanted, and those of contacts that open soon behind."""
        wanted = self.rows.counters[WANTED]
        until_s = self.contacts.start_s[wanted] + LOADED_AHEAD_S
        last = int(np.searchsorted(self._unknown_s, until_s, side="right"))
        new = self._unknown[self._looked_up : last]
        self._looked_up = max(self._looked_up, last)
        for row in new[self.contacts.end_s[new] >= self.now_s].tolist():
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
        points = np.array(rates.curve).T.ravel()
        if self._points + len(points) > len(self.rows.points):
            self._forget_points(len(points))
        first = self._points
        self._points += len(points)
        self._curves.append((row, first, len(points)))
        held: Any = self.rows.points
        held[first : self._points] = self.plain(points)
        self._change(
            row,
            kind=CURVE,
            first_point=first // 3,
            points=len(points) // 3,
            delay_s=rates.delay_s,
        )

    def _forget_points(self, more: int) -> None:
        """Leave curves of contacts out that are over, and make room for more points."""
        ends_s = self.contacts.end_s
        curves = [one for one in self._curves if ends_s[one[0]] >= self.now_s]
        left = sum(count for _, _, count in curves)
        points = np.zeros(2 * (left + more) + POINTS)
        self._curves = []
        self._points = 0
        for row, first, count in curves:
            held = self.rows.points[first : first + count]
            points[self._points : self._points + count] = held
            self._curves.append((row, self._points, count))
            self._change(row, first_point=self._points // 3)
            self._points += count
        self.rows = self.rows._replace(points=self.plain(points))
