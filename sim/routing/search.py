"""The search of the earliest way of a message over free times: plain functions over flat rows.

The seam: :class:`sim.routing.carrier.Carrier` asks :func:`route` for one message after the other,
and books what it says. Of all ways the message takes one that is there first; of these, one of the
fewest hops; of these, the first by number of node in each round, with the contacts of a node by
their begins: Bellman and Ford's search with one hop more in each round, as contact graph routing
has it (CCSDS 734.3-B-1, schedule-aware bundle routing).

The same source runs as it is or compiled (:mod:`sim.routing.free_times`).
"""

from __future__ import annotations

from math import inf

from sim.routing.free_times import FULL, NONE, WANTED, first_fit
from sim.routing.state import LAST, MARK, NOW, ROUND, WAYS, Message, Node, Search

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
