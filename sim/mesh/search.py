"""The search of the earliest way of a message over free times: plain functions over flat rows.

:func:`route` is asked for one message after the other. Of all ways a message takes one that is
there first; of these, one of the fewest hops; of these, the first by number of node in each round,
with the contacts of a node by their begins: Bellman and Ford's search with one hop more in each
round, as contact graph routing has it (CCSDS 734.3-B-1, schedule-aware bundle routing).

Rounds leave nodes out from which a message cannot be at its target by a time, as A* does:
:func:`_look_back` says how long it takes at least. The way is the same; without this, a download
over 1,000 satellites looks at 690 of them.

The same source runs as it is or compiled, like that of :mod:`sim.mesh.free_times`.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from sim.mesh.free_times import FULL, NONE, WANTED, Rows, first_fit

# Counters of a search: marks that were given, ways that are kept, the first way of a round.
MARK, WAYS, ROUND = range(3)
COUNTERS = 3
NOW, LAST, ROUNDING = range(3)
"""Times: no message will be ready before the first one, no contact ends behind the second one, and
a hop may seem shorter than it is by the third one."""


@dataclass(slots=True)
class Rank:
    """Contacts at a node, by begin: ``first`` to ``last`` are not all over.

    Those before ``later`` may be.
    """

    first: int
    later: int
    last: int


@dataclass(slots=True)
class Node:
    """A message is at a node at ``there_s`` in the search of that ``mark``, by a ``way``."""

    mark: int
    way: int
    there_s: float


@dataclass(slots=True)
class Outlook:
    """How long ``bits`` take at least from each node to a ``target``, without the node ``avoid``.

    That holds for messages that are ready from ``from_s`` on, and there before ``until_s``.
    """

    target: int
    avoid: int
    bits: float
    from_s: float
    until_s: float


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
    """What a search knows, and where it writes.

    ``rows`` has those from each node and behind all of these, those to each node, of which
    ``ranks`` say where. ``least_s`` has those from each node, for each of ``outlooks``; nodes in
    ``ahead`` wait for their turn.
    """

    book: Rows
    nodes: Sequence[Node]
    ranks: Sequence[Rank]
    rows: MutableSequence[int]
    outlooks: Sequence[Outlook]
    least_s: MutableSequence[float]
    counters: MutableSequence[int]
    times_s: MutableSequence[float]
    front: MutableSequence[int]
    front_ways: MutableSequence[int]
    ahead: MutableSequence[int]
    ways: Sequence[PathHop]
    best: Sequence[Best]
    hop_rows: MutableSequence[float]


LOOKS_AHEAD_S = 64.0
"""How far rounds look at most at first: nearly all messages are there by then."""
LOOKS_FARTHER = 8.0
"""How many times as far they look next, where nothing is there by then."""
SLACK = 0.03
"""How much longer than at least a way may take at first, as a share: links are seldom busy."""
MORE_SLACK = 4.0


def route(search: Search, message: Message) -> int:
    """Find the way of a message; return its hops, or NONE where it never arrives.

    Of each hop ``hop_rows`` then has the row, begin, end and arrival. Where a row is wanted, the
    answer is of no use.
    """
    search.book.counters[WANTED] = NONE
    span_s = LOOKS_AHEAD_S
    way = NONE
    while way == NONE and search.book.counters[WANTED] == NONE:
        until_s = message.ready_s + span_s
        is_all = until_s > search.times_s[LAST]
        way = _way_by(search, message, inf if is_all else until_s)
        if is_all:
            break
        span_s *= LOOKS_FARTHER
    return NONE if way == NONE else _write(search, way)


def _way_by(search: Search, message: Message, until_s: float) -> int:
    """Return the way by which a message is there first, by a time; NONE where there is none.

    Rounds look little farther at first than to the soonest time at which it could be there.
    """
    least = _least(search, message, until_s)
    soonest_s, left_s = _soonest_s(search, message, least, until_s)
    if soonest_s == inf:
        return NONE
    slack_s = SLACK * left_s
    while True:
        by_s = soonest_s + slack_s
        if slack_s == 0.0 or by_s > until_s or by_s > search.times_s[LAST]:
            by_s = until_s
        way = _rounds(search, message, least, by_s)
        if way != NONE or by_s == until_s or search.book.counters[WANTED] != NONE:
            return way
        slack_s *= MORE_SLACK


def _soonest_s(search: Search, message: Message, least: int, until_s: float) -> tuple[float, float]:
    """Return when a message could be there, by what is booked of its first hop; inf for never.

    Behind that is how much of it is behind the first hop.
    """
    rank = search.ranks[message.source]
    forget_over(search, rank)
    soonest_s = inf
    behind_s = 0.0
    for place in range(rank.first, rank.last):
        row = search.rows[place]
        contact = search.book.contacts[row]
        if contact.opens_s > soonest_s or contact.opens_s > until_s:
            break
        left_s = search.least_s[least + contact.target]
        if left_s == inf or contact.closes_s < message.ready_s or contact.target == message.avoid:
            continue
        there_s = first_fit(search.book, row, message.ready_s, message.bits)
        there_s += left_s
        if there_s < soonest_s and there_s <= until_s:
            soonest_s = there_s
            behind_s = left_s
    return soonest_s, behind_s


def _least(search: Search, message: Message, until_s: float) -> int:
    """Return where it is written how long a message takes at least to its target from each node.

    That is over contacts that are open at some time from when it is ready until ``until_s``. What
    closes later, or is booked, leaves fewer ways: it holds until another contact opens.
    """
    number = message.target % len(search.outlooks)
    outlook = search.outlooks[number]
    if (
        outlook.target != message.target
        or outlook.avoid != message.avoid
        or outlook.bits != message.bits
        or outlook.from_s > message.ready_s
        or (outlook.until_s <= until_s and outlook.until_s < inf)
    ):
        outlook.target = message.target
        outlook.avoid = message.avoid
        outlook.bits = message.bits
        outlook.from_s = message.ready_s
        outlook.until_s = inf
        _look_back(search, message, number, until_s)
    return number * len(search.nodes)


def _look_back(search: Search, message: Message, number: int, until_s: float) -> None:
    """Write down how long a message takes at least, from the target back: Bellman and Ford's queue.

    Each node stands in the queue once: its mark says so.
    """
    nodes = search.nodes
    count = len(nodes)
    search.counters[MARK] += 1
    for place in range(number * count, (number + 1) * count):
        search.least_s[place] = inf
    search.least_s[number * count + message.target] = 0.0
    search.ahead[0] = message.target
    first = 0
    waiting = 1
    while waiting > 0:
        node = search.ahead[first]
        first = (first + 1) % count
        waiting -= 1
        nodes[node].mark = NONE
        waiting = _step_back(search, message, number, node, until_s, first, waiting)


def _step_back(
    search: Search,
    message: Message,
    number: int,
    node: int,
    until_s: float,
    first: int,
    waiting: int,
) -> int:
    """Go one contact back from a node, but not to the one to avoid; return how many are waiting.

    What is found holds until another contact opens.
    """
    outlook = search.outlooks[number]
    count = len(search.nodes)
    rank = search.ranks[count + node]
    forget_over(search, rank)
    for place in range(rank.first, rank.last):
        contact = search.book.contacts[search.rows[place]]
        other = contact.source
        if other == message.avoid or contact.closes_s < message.ready_s:
            continue
        if contact.opens_s > until_s:
            if contact.opens_s < outlook.until_s:
                outlook.until_s = contact.opens_s
            break
        least_s = search.least_s[number * count + node]
        if contact.rate_bps > 0.0:
            lasts_s = message.bits / contact.rate_bps + contact.delay_s - search.times_s[ROUNDING]
            least_s += lasts_s if lasts_s > 0.0 else 0.0
        if least_s >= search.least_s[number * count + other]:
            continue
        search.least_s[number * count + other] = least_s
        if search.nodes[other].mark != search.counters[MARK]:
            search.nodes[other].mark = search.counters[MARK]
            search.ahead[(first + waiting) % count] = other
            waiting += 1
    return waiting


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
    search.book.counters[WANTED] = NONE
    _rounds(search, message, NONE, inf)
    return search.counters[MARK]


def _rounds(search: Search, message: Message, least: int, by_s: float) -> int:
    """Return the way by which a message is there first, by a time; of equal ones, of fewest hops.

    Each round goes one hop on from the nodes that the last one was at sooner than all before. NONE
    where there is none.
    """
    nodes = search.nodes
    search.counters[WAYS] = 0
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
                ahead = _go_on(search, message, least, search.front[at], time_s, before, ahead)
        _go_ahead(search, ahead)
        reached = ahead
    return best.way


def _go_on(
    search: Search,
    message: Message,
    least: int,
    number: int,
    time_s: float,
    before: int,
    ahead: int,
) -> int:
    """Go one hop on from a node, where that is sooner; return how many nodes are ahead."""
    best = search.best[0]
    mark = search.counters[MARK]
    first = search.counters[ROUND]
    rank = search.ranks[number]
    forget_over(search, rank)
    for place in range(rank.first, rank.last):
        row = search.rows[place]
        contact = search.book.contacts[row]
        if contact.opens_s > best.arrival_s:
            break
        other = search.nodes[contact.target]
        is_known = other.mark == mark
        if is_known and (other.there_s <= time_s or other.there_s <= contact.opens_s):
            continue
        left_s = 0.0 if least == NONE else search.least_s[least + contact.target]
        if (
            contact.closes_s < time_s
            or contact.target == message.avoid
            or left_s == inf
            or time_s + left_s > best.arrival_s
        ):
            continue
        arrival_s = first_fit(search.book, row, time_s, message.bits)
        if arrival_s == inf or (is_known and arrival_s >= other.there_s):
            continue
        is_second = arrival_s == best.arrival_s and best.way != NONE
        if is_second or arrival_s + left_s > best.arrival_s:
            continue
        is_new = not is_known or other.way < first
        if is_new:
            other.way = search.counters[WAYS]
            search.counters[WAYS] += 1
        other.mark = mark
        other.there_s = arrival_s
        way = search.ways[other.way]
        way.row = row
        way.before = before
        way.begin_s = contact.begin_s
        way.sent_s = contact.sent_s
        way.arrival_s = arrival_s
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


def has_room(search: Search) -> bool:
    """Whether there is room for a way to each node; else the answer is of no use."""
    if search.counters[WAYS] + len(search.nodes) + 2 <= len(search.ways):
        return True
    search.book.counters[WANTED] = FULL
    return False


def forget_over(search: Search, rank: Rank) -> None:
    """Leave contacts at a node out that are over."""
    contacts = search.book.contacts
    rows = search.rows
    now_s = search.times_s[NOW]
    later = rank.later
    while later < rank.last and contacts[rows[later]].opens_s <= now_s:
        later += 1
    if later == rank.later and (
        rank.first == rank.last or contacts[rows[rank.first]].closes_s >= now_s
    ):
        return
    first = later
    for place in range(later - 1, rank.first - 1, -1):
        if contacts[rows[place]].closes_s >= now_s:
            first -= 1
            rows[first] = rows[place]
    rank.first = first
    rank.later = later
