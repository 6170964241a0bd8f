"""Straight ways over links: those of the fewest hops, and a bound of all others.

Links of a mesh hardly differ, so that a message mostly takes one of the shortest ways. Each step
goes on from nodes that are reached to those that are one hop nearer.
"""

from __future__ import annotations

from math import inf

from sim.routing.free_times import FIXED, FULL, NONE, WANTED, first_fit
from sim.routing.state import FAR, MARK, WAYS, Message, Search


def add_way(search: Search, row: int, before: int) -> int:
    """Keep the hop over a row that was asked last; return its number."""
    number = search.counters[WAYS]
    search.counters[WAYS] = number + 1
    contact = search.book.contacts[row]
    set_way(search, number, row, before, contact.begin_s, contact.sent_s, contact.arrival_s)
    return number


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


def straight(
    search: Search,
    message: Message,
    slot: int,
    hops: int,
    source: int,
    from_s: float,
    before: int,
    later_s: float,
) -> tuple[float, int, float]:
    """Return when a message is there by the earliest of the ways of the fewest links, and that way.

    It is at ``source`` from a time on, by the way ``before``; ``hops`` are those to where it is to
    be. Behind them is a bound of all other ways: they may begin with what opens at ``later_s``.
    Where there is no such way, its time is inf.
    """
    nodes = search.nodes
    if search.hops[hops + source] == FAR or not has_room(search):
        return inf, NONE, later_s
    search.counters[MARK] += 1
    node = nodes[source]
    node.there_s = from_s
    node.mark = search.counters[MARK]
    node.way = before
    search.front[0] = source
    reached = 1
    aside_s = later_s
    for left in range(search.hops[hops + source] - 1, -1, -1):
        found = 0
        for at in range(reached):
            found, bound_s = _nearer(search, message, slot, hops, search.front[at], left, found)
            if bound_s < aside_s:
                aside_s = bound_s
        if found == 0:
            return inf, NONE, aside_s
        for at in range(found):
            search.front[at] = search.ahead[at]
        reached = found
    node = nodes[search.front[0]]
    return node.there_s, node.way, aside_s


def _nearer(
    search: Search,
    message: Message,
    slot: int,
    hops: int,
    number: int,
    left: int,
    found: int,
) -> tuple[int, float]:
    """Go on from a node to those from which so many hops are left; return how many are ahead.

    Behind that is a bound of when a message is there that goes on to others.
    """
    contacts = search.book.contacts
    nodes = search.nodes
    targets = search.targets
    counts = search.hops
    edges = search.link_edges[slot]
    mark = search.counters[MARK]
    links = search.links
    time_s = nodes[number].there_s
    soonest_s = time_s + message.least_s
    before = nodes[number].way
    aside_s = inf
    for edge in range(edges[number], edges[number + 1]):
        other = targets[edge]
        node = nodes[other]
        if node.mark == mark and node.there_s <= soonest_s:
            continue
        row = links[edge]
        contact = contacts[row]
        if contact.closes_s < time_s:
            continue
        count = counts[hops + other]
        if count == left:
            found = _reach(search, message, row, time_s, before, found)
        elif count < FAR:
            bound_s = search.book.gaps[contact.first_gap].begin_s
            if bound_s < time_s:
                bound_s = time_s
            bound_s += (1 + count) * message.least_s
            if bound_s < aside_s:
                aside_s = bound_s
    return found, aside_s


def _reach(
    search: Search, message: Message, row: int, time_s: float, before: int, found: int
) -> int:
    """Go over a link from a time on, behind a way, if that is sooner; return how many are ahead.

    Nodes ahead are kept by number, so that of ways that are equal always the same is taken.
    """
    contact = search.book.contacts[row]
    last = search.book.gaps[row]
    if contact.kind == FIXED and time_s >= last.begin_s:  # nearly always: nothing is booked then
        begin_s = time_s
        sent_s = time_s + message.bits / contact.rate_bps
        arrival_s = sent_s + contact.delay_s if sent_s <= last.end_s else inf
    else:
        arrival_s = first_fit(search.book, row, time_s, message.bits, message.ready_s)
        begin_s = contact.begin_s
        sent_s = contact.sent_s
    other = contact.target
    node = search.nodes[other]
    mark = search.counters[MARK]
    if arrival_s == inf or (node.mark == mark and arrival_s >= node.there_s):
        return found
    if node.mark != mark:
        node.mark = mark
        node.way = search.counters[WAYS]
        search.counters[WAYS] += 1
        place = found
        ahead = search.ahead
        while place > 0 and ahead[place - 1] > other:
            ahead[place] = ahead[place - 1]
            place -= 1
        ahead[place] = other
        found += 1
    node.there_s = arrival_s
    way = search.ways[node.way]
    way.row = row
    way.before = before
    way.begin_s = begin_s
    way.sent_s = sent_s
    way.arrival_s = arrival_s
    return found
