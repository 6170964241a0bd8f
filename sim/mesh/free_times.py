"""Free times of contacts, and when bits are through in them: plain functions over flat rows.

A contact in one direction is a row. It carries one message after the other, each in one piece: one
that is ready at a time begins in the first free time that holds all of its sending. Who is ready
later is never there earlier, on which the search builds. :func:`first_fit` is the only place that
knows rates and free times, and :func:`take` the only one that changes them.

The same source runs as it is, over lists of the classes below, or compiled, over arrays with their
fields (:mod:`sim.mesh.compiled`), with the same results to the last bit. So it has numbers,
sequences and loops alone; it calls what is not compiled in :func:`asked` alone.
"""

from __future__ import annotations

from collections.abc import Callable, MutableSequence, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any, NamedTuple

# How a contact carries bits: at one rate from any time on; by a curve; as somebody says who is
# asked; or as is not known yet.
FIXED, CURVE, ASKED, UNKNOWN = range(4)

NONE = -1
"""No row, no free time, no way."""
FULL = -2
"""Room is wanted instead of the rates of a row."""

# Counters of a book: the row whose rates are wanted, the first unused gap, how many there are.
WANTED, UNUSED, LEFT = range(3)


@dataclass(slots=True)
class Contact:
    """One contact in one direction.

    Signals take ``delay_s`` over it. Where ``rate_bps`` is above 0, it has no higher one. Its free
    times begin with ``first_gap``; the last one has the number of the row. Of the last question,
    for ``asked_bits`` from ``asked_from_s`` on, it keeps the answer: ``begin_s``, ``sent_s`` and
    ``arrival_s`` (inf for never).
    """

    source: int
    target: int
    kind: int
    first_point: int
    points: int
    first_gap: int
    opens_s: float
    closes_s: float
    rate_bps: float
    delay_s: float
    asked_bits: float
    asked_from_s: float
    begin_s: float
    sent_s: float
    arrival_s: float


@dataclass(slots=True)
class Gap:
    """A free time of a contact, and the one ``after`` it, or that there is none."""

    begin_s: float
    end_s: float
    after: int


class Rows(NamedTuple):
    """All contacts, their free times, and points of their curves: time, rate and bits by then.

    ``ask`` says when bits have left over a row from a time on, and are there.
    """

    contacts: Sequence[Contact]
    gaps: Sequence[Gap]
    points: Sequence[float]
    counters: MutableSequence[int]
    ask: Callable[[int, float, float], tuple[float, float]] | None


def asked(book: Any, row: int, begin_s: float, bits: float) -> tuple[float, float]:
    """Return when bits have left over a row whose rates are a function, and are there."""
    answer: tuple[float, float] = book.ask(row, begin_s, bits)
    return answer


def first_fit(book: Rows, row: int, from_s: float, bits: float) -> float:
    """Return when bits are there at first over a row, from a time on; inf for never.

    The row keeps when they begin and have left. A row whose rates are not known yet is noted, and
    the answer is of no use.
    """
    contact = book.contacts[row]
    if contact.asked_bits == bits and contact.asked_from_s <= from_s <= contact.begin_s:
        return contact.arrival_s
    if contact.kind == UNKNOWN:
        if book.counters[WANTED] == NONE:
            book.counters[WANTED] = row
        return inf
    begin_s = sent_s = arrival_s = inf
    place = contact.first_gap if from_s <= contact.closes_s else NONE
    while place != NONE and arrival_s == inf:
        gap = book.gaps[place]
        place = gap.after
        if gap.end_s >= from_s:
            begin_s = gap.begin_s if gap.begin_s > from_s else from_s
            sent_s, arrival_s = _sent_s(book, row, begin_s, bits)
            if sent_s > gap.end_s:
                arrival_s = inf
    if arrival_s == inf:
        begin_s = sent_s = inf
    contact.asked_bits = bits
    contact.asked_from_s = from_s
    contact.begin_s = begin_s
    contact.sent_s = sent_s
    contact.arrival_s = arrival_s
    return arrival_s


def _sent_s(book: Rows, row: int, begin_s: float, bits: float) -> tuple[float, float]:
    """Return when bits that begin at a time have left and are there, if nothing else is sent."""
    contact = book.contacts[row]
    if contact.kind == ASKED:
        return asked(book, row, begin_s, bits)
    if bits == 0.0:
        sent_s = begin_s
    elif contact.kind == FIXED:
        sent_s = begin_s + bits / contact.rate_bps
    else:
        sent_s = _by_curve_s(book.points, contact, begin_s, bits)
    return sent_s, sent_s + contact.delay_s


def _by_curve_s(points: Sequence[float], contact: Contact, begin_s: float, bits: float) -> float:
    """Return the same by a curve, whose formulas are those of `LinkCurve`."""
    first = 3 * contact.first_point
    last = first + 3 * contact.points - 3
    if begin_s >= points[last]:
        return inf
    goal = bits
    if begin_s > points[first]:
        goal += _bits_by(points, contact, begin_s)
    if goal > points[last + 2]:
        return inf
    if goal <= 0.0:
        return points[first] if points[first] > begin_s else begin_s
    low = 0
    high = contact.points
    while low < high:  # the first point with so many bits
        middle = (low + high) // 2
        if points[first + 3 * middle + 2] < goal:
            low = middle + 1
        else:
            high = middle
    at = first + 3 * (low - 1)
    end_s = points[at + 3]
    sent_s = end_s
    if goal < points[at + 5]:
        left = goal - points[at + 2]
        slope = (points[at + 4] - points[at + 1]) / (end_s - points[at])
        square = points[at + 1] * points[at + 1] + 2.0 * slope * left
        root = sqrt(square) if square > 0.0 else 0.0
        within_s = points[at] + 2.0 * left / (points[at + 1] + root)
        if within_s < end_s:
            sent_s = within_s
    return begin_s if begin_s > sent_s else sent_s


def _bits_by(points: Sequence[float], contact: Contact, time_s: float) -> float:
    """Return how many bits a curve has by a time behind its begin and before its end."""
    first = 3 * contact.first_point
    low = 0
    high = contact.points
    while low < high:  # the last point by then
        middle = (low + high) // 2
        if time_s < points[first + 3 * middle]:
            high = middle
        else:
            low = middle + 1
    at = first + 3 * (low - 1)
    since_s = time_s - points[at]
    share = since_s / (points[at + 3] - points[at])
    mean_bps = points[at + 1] + (points[at + 4] - points[at + 1]) * share / 2.0
    before = points[at + 2] + mean_bps * since_s
    return before if before < points[at + 5] else points[at + 5]


def take(book: Rows, row: int, begin_s: float, sent_s: float, now_s: float) -> bool:
    """Take a time out of a row; return whether it was free. What is over by now is forgotten.

    A free time is left of the book: :func:`LEFT` is above 0.
    """
    if sent_s <= begin_s:
        return True
    contact = book.contacts[row]
    gaps = book.gaps
    counters = book.counters
    first = contact.first_gap
    while gaps[first].after != NONE and gaps[first].end_s < now_s:
        over = first
        first = gaps[over].after
        gaps[over].after = counters[UNUSED]
        counters[UNUSED] = over
        counters[LEFT] += 1
    contact.first_gap = first
    before = NONE
    place = first
    while place != NONE and gaps[place].end_s < sent_s:
        before = place
        place = gaps[place].after
    if place == NONE or gaps[place].begin_s > begin_s:
        return False
    contact.asked_bits = -1.0
    start_s = gaps[place].begin_s
    gaps[place].begin_s = sent_s
    if start_s < begin_s:
        new = counters[UNUSED]
        counters[UNUSED] = gaps[new].after
        counters[LEFT] -= 1
        gaps[new].begin_s = start_s
        gaps[new].end_s = begin_s
        gaps[new].after = place
        if before == NONE:
            contact.first_gap = new
        else:
            gaps[before].after = new
    return True


def take_all(book: Rows, hops: Sequence[float], now_s: float) -> int:
    """Take hops out, of each four figures: row, begin, end, arrival; return which was not free."""
    for place in range(0, len(hops), 4):
        if not take(book, int(hops[place]), hops[place + 1], hops[place + 2], now_s):
            return place // 4
    return NONE
