"""The search of the earliest way of a message over free times: plain functions over flat rows.

A contact in one direction is a row. It carries one message after the other, each in one piece: one
that is ready at a time begins in the first free time that holds all of its sending. Who is ready
later is never there earlier, on which the search builds. :func:`first_fit` is the only place that
knows rates and free times, and :func:`take` the only one that changes them.

:func:`route` is asked for one message after the other. Of all ways a message takes one that is
there first; of these, one of the fewest hops; of these, the first by number of node in each round,
with the contacts of a node by their begins: Bellman and Ford's search with one hop more in each
round, as contact graph routing has it (CCSDS 734.3-B-1, schedule-aware bundle routing).

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

    Signals take ``delay_s`` over it. Its free times begin with ``first_gap``; the last one has the
    number of the row. Of the last question, for ``asked_bits`` from ``asked_from_s`` on, it keeps
    the answer: ``begin_s``, ``sent_s`` and ``arrival_s`` (inf for never). Whatever is booked later,
    ``bound_bits`` from ``bound_from_s`` on do not begin before ``bound_begin_s``.
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
    bound_bits: float
    bound_from_s: float
    bound_begin_s: float


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


def first_fit(book: Rows, row: int, from_s: float, bits: float, ready_s: float) -> float:
    """Return when bits are there at first over a row, from a time on; inf for never.

    The row keeps when they begin and have left. They belong to a message that is ready at
    ``ready_s``: later ones will be ready later. A row whose rates are not known yet is noted, and
    the answer is of no use.
    """
    contact = book.contacts[row]
    if contact.asked_bits == bits and contact.asked_from_s <= from_s <= contact.begin_s:
        return contact.arrival_s
    if contact.kind == UNKNOWN:
        if book.counters[WANTED] == NONE:
            book.counters[WANTED] = row
        return inf
    first_s = from_s
    if (
        bits >= contact.bound_bits
        and from_s >= contact.bound_from_s
        and contact.bound_begin_s > from_s
    ):
        first_s = contact.bound_begin_s
    begin_s = sent_s = arrival_s = inf
    place = contact.first_gap if first_s <= contact.closes_s else NONE
    while place != NONE and arrival_s == inf:
        gap = book.gaps[place]
        place = gap.after
        if gap.end_s >= first_s:
            begin_s = gap.begin_s if gap.begin_s > first_s else first_s
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
    if from_s == ready_s:
        contact.bound_bits = bits
        contact.bound_from_s = from_s
        contact.bound_begin_s = begin_s
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


# Counters of a search: marks that were given, ways that are kept, the first way of a round.
MARK, WAYS, ROUND = range(3)
COUNTERS = 3
NOW, LAST = range(2)
"""Times: no message will be ready before the first one, no contact ends behind the second one."""


@dataclass(slots=True)
class Node:
    """Contacts of a node: ``first`` to ``last`` are not all over; those before ``later`` may be.

    A message is there at ``there_s`` in the search of that ``mark``, by a ``way``.
    """

    first: int
    later: int
    last: int
    mark: int
    way: int
    there_s: float


@dataclass(slots=True)
class PathHop:
    """A hop over a row of the book, behind the way ``before``."""

    row: int
    before: int
    begin_s: float
    sent_s: float
    arrival_s: float


@dataclass(slots=True)
class Best:
    """The way that is there first so far, at ``arrival_s``."""

    way: int
    arrival_s: float


class Message(NamedTuple):
    """Bits that are ready at a node. No hop leads to the node ``avoid``."""

    source: int
    target: int
    bits: float
    ready_s: float
    avoid: int


class Search(NamedTuple):
    """What a search knows, and where it writes: ``leaving`` has rows from each node, by begin."""

    book: Rows
    nodes: Sequence[Node]
    leaving: MutableSequence[int]
    counters: MutableSequence[int]
    times_s: MutableSequence[float]
    front: MutableSequence[int]
    front_ways: MutableSequence[int]
    ahead: MutableSequence[int]
    ways: Sequence[PathHop]
    best: Sequence[Best]
    hop_rows: MutableSequence[float]


LOOKS_AHEAD_S = 64.0
"""How far rounds look at first: nearly all messages are there by then."""
LOOKS_FARTHER = 8.0
"""How many times as far they look next, where nothing is there by then."""


def route(search: Search, message: Message) -> int:
    """Find the way of a message; return its hops, or NONE where it never arrives.

    Of each hop ``hop_rows`` then has the row, begin, end and arrival. Where a row is wanted, the
    answer is of no use.
    """
    search.counters[WAYS] = 0
    search.book.counters[WANTED] = NONE
    span_s = LOOKS_AHEAD_S
    way = NONE
    while way == NONE and search.book.counters[WANTED] == NONE:
        until_s = message.ready_s + span_s
        is_all = until_s > search.times_s[LAST]
        way = _rounds(search, message, inf if is_all else until_s)
        if is_all:
            break
        span_s *= LOOKS_FARTHER
    return NONE if way == NONE else _write(search, way)


def _write(search: Search, way: int) -> int:
    """Write the hops of a way down; return how many they are."""
    hops = 0
    last = way
    while last != NONE:
        hops += 1
        last = search.ways[last].before
    place = 4 * hops
    while way != NONE:
        place -= 4
        hop = search.ways[way]
        search.hop_rows[place] = hop.row
        search.hop_rows[place + 1] = hop.begin_s
        search.hop_rows[place + 2] = hop.sent_s
        search.hop_rows[place + 3] = hop.arrival_s
        way = hop.before
    return hops


def spread(search: Search, message: Message) -> int:
    """Find when a message can be at each node, over whatever contacts; return their mark.

    Where a row is wanted, the answer is of no use.
    """
    search.counters[WAYS] = 0
    search.book.counters[WANTED] = NONE
    _rounds(search, message, inf)
    return search.counters[MARK]


def _rounds(search: Search, message: Message, by_s: float) -> int:
    """Return the way by which a message is there first, by a time; of equal ones, of fewest hops.

    Each round goes one hop on from the nodes that the last one was at sooner than all before. NONE
    where there is none.
    """
    nodes = search.nodes
    search.counters[MARK] += 1
    start = nodes[message.source]
    start.there_s = message.ready_s
    start.mark = search.counters[MARK]
    start.way = NONE
    search.front[0] = message.source
    search.front_ways[0] = NONE
    best = search.best[0]
    best.way = NONE
    best.arrival_s = by_s
    reached = 1
    while reached > 0 and has_room(search):
        ahead = 0
        search.counters[ROUND] = search.counters[WAYS]
        for at in range(reached):
            before = search.front_ways[at]
            time_s = message.ready_s if before == NONE else search.ways[before].arrival_s
            if time_s <= best.arrival_s:
                ahead = _go_on(search, message, search.front[at], time_s, before, ahead)
        _go_ahead(search, ahead)
        reached = ahead
    return best.way


def _go_on(
    search: Search, message: Message, number: int, time_s: float, before: int, ahead: int
) -> int:
    """Go one hop on from a node, where that is sooner; return how many nodes are ahead."""
    best = search.best[0]
    mark = search.counters[MARK]
    first = search.counters[ROUND]
    node = search.nodes[number]
    forget_over(search, node)
    for place in range(node.first, node.last):
        row = search.leaving[place]
        contact = search.book.contacts[row]
        if contact.opens_s > best.arrival_s:
            break
        other = search.nodes[contact.target]
        is_known = other.mark == mark
        if is_known and (other.there_s <= time_s or other.there_s <= contact.opens_s):
            continue
        if contact.closes_s < time_s or contact.target == message.avoid:
            continue
        arrival_s = first_fit(search.book, row, time_s, message.bits, message.ready_s)
        if arrival_s == inf or (is_known and arrival_s >= other.there_s):
            continue
        if arrival_s > best.arrival_s or (arrival_s == best.arrival_s and best.way != NONE):
            continue
        is_new = not is_known or other.way < first
        if is_new:
            other.way = search.counters[WAYS]
            search.counters[WAYS] += 1
        other.mark = mark
        other.there_s = arrival_s
        set_way(search, other.way, row, before, contact.begin_s, contact.sent_s, arrival_s)
        if contact.target == message.target:
            best.arrival_s = arrival_s
            best.way = other.way
        elif is_new:
            search.ahead[ahead] = contact.target
            ahead += 1
    return ahead


def _go_ahead(search: Search, count: int) -> None:
    """Begin the next round at nodes ahead, by number, so that always the same of ties is taken."""
    front = search.front
    for at in range(count):
        number = search.ahead[at]
        place = at
        while place > 0 and front[place - 1] > number:
            front[place] = front[place - 1]
            place -= 1
        front[place] = number
    for at in range(count):
        search.front_ways[at] = search.nodes[front[at]].way


def set_way(
    search: Search,
    number: int,
    row: int,
    before: int,
    begin_s: float,
    sent_s: float,
    arrival_s: float,
) -> None:
    """Write a way down: the hop over a row, behind another way."""
    way = search.ways[number]
    way.row = row
    way.before = before
    way.begin_s = begin_s
    way.sent_s = sent_s
    way.arrival_s = arrival_s


def has_room(search: Search) -> bool:
    """Whether there is room for a way to each node; else the answer is of no use."""
    if search.counters[WAYS] + len(search.nodes) + 2 <= len(search.ways):
        return True
    search.book.counters[WANTED] = FULL
    return False


def forget_over(search: Search, node: Node) -> None:
    """Leave contacts of a node out that are over."""
    contacts = search.book.contacts
    leaving = search.leaving
    now_s = search.times_s[NOW]
    later = node.later
    while later < node.last and contacts[leaving[later]].opens_s <= now_s:
        later += 1
    if later == node.later and (
        node.first == node.last or contacts[leaving[node.first]].closes_s >= now_s
    ):
        return
    first = later
    for place in range(later - 1, node.first - 1, -1):
        if contacts[leaving[place]].closes_s >= now_s:
            first -= 1
            leaving[first] = leaving[place]
    node.first = first
    node.later = later
