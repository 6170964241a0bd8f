"""Slots: the links that are open in a span of time, and how many of them lead from node to node.

Nearly all links of a constellation last many times as long as a message travels, so that one slot
serves many messages. What is booked makes no way shorter. Spans of a level last twice as long as
those of the level below, and each begins in the middle of the one before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from sim.routing.free_times import NONE
from sim.routing.state import DOWN, FAR, FORWARDED, NOW, OPEN, SLOTS_OF_LEVEL, UP, Node, Search

FORWARD_S = 10.0
"""Passes that are over are left out so often."""


def forward(search: Search) -> None:
    """Leave passes out that are over, now and then: no message will be ready earlier."""
    now_s = search.times_s[NOW]
    if now_s < search.times_s[FORWARDED] + FORWARD_S:
        return
    search.times_s[FORWARDED] = now_s
    contacts = search.book.contacts
    for way in (UP, DOWN):
        let_in = search.let_in[way]
        count = search.counters[OPEN + way]
        left = 0
        for place in range(count):
            row = let_in[place]
            if contacts[row].closes_s >= now_s:
                let_in[left] = row
                left += 1
        search.counters[OPEN + way] = left


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


def slot_at(search: Search, time_s: float, level: int) -> int:
    """Return the slot of the span of a level from a time on; make it if it is not kept."""
    span_s = search.spans_s[level]
    number = int(time_s / span_s)
    first = search.levels[level]
    last = search.levels[level + 1] - 1
    epoch = search.epochs[min(first + number, last)]
    slot = SLOTS_OF_LEVEL * level + epoch % SLOTS_OF_LEVEL
    if search.slot_epochs[slot] != epoch:
        search.slot_epochs[slot] = epoch
        _gather(search, slot, number * span_s, (number + 2) * span_s)
    return slot


def beyond_s(search: Search, time_s: float, level: int) -> float:
    """Return when the first link opens that is not in the slot of a time; inf for never."""
    span_s = search.spans_s[level]
    ends_s = (int(time_s / span_s) + 2) * span_s
    opens_s = search.opens_s
    low = 0
    high = len(opens_s)
    while low < high:
        middle = (low + high) // 2
        if opens_s[middle] <= ends_s:
            low = middle + 1
        else:
            high = middle
    return opens_s[low] if low < len(opens_s) else inf


def _gather(search: Search, slot: int, from_s: float, until_s: float) -> None:
    """Write down the links that are open at some time from one to another, by both ends."""
    contacts = search.book.contacts
    edges = search.link_edges[slot]
    arriving = search.source_edges[slot]
    count = len(search.nodes)
    base = search.slot_places[slot]
    place = base
    for number in range(count):
        edges[number] = place
        arriving[number] = 0
        if number == search.hub:
            continue
        node = search.nodes[number]
        forget_over(search, node)
        for at in range(node.first, node.last):
            contact = contacts[search.leaving[at]]
            if contact.opens_s > until_s:
                break
            if contact.closes_s >= from_s and contact.target != search.hub:
                search.links[place] = search.leaving[at]
                search.targets[place] = contact.target
                place += 1
    edges[count] = place
    arriving[count] = 0
    for at in range(base, place):
        arriving[search.targets[at]] += 1
    total = base
    for number in range(count + 1):
        total += arriving[number]
        arriving[number] = total
    for at in range(place - 1, base - 1, -1):
        contact = contacts[search.links[at]]
        arriving[contact.target] -= 1
        search.sources[arriving[contact.target]] = contact.source


def hops_to(search: Search, slot: int, node: int) -> int:
    """Return where it is counted how many links of a slot lead to a node from each, at least.

    That is a place in ``hops``, with as many behind it as there are nodes; FAR where none lead.
    """
    tag = 2 * search.slot_epochs[slot] * len(search.nodes) + node
    return _counted(search, tag, node, search.source_edges[slot], search.sources)


def hops_from(search: Search, slot: int, node: int) -> int:
    """Return where it is counted how many lead from a node to each, at least."""
    if search.both_ways:
        return hops_to(search, slot, node)
    tag = (2 * search.slot_epochs[slot] + 1) * len(search.nodes) + node
    return _counted(search, tag, node, search.link_edges[slot], search.targets)


def _counted(
    search: Search, tag: int, node: int, edges: Sequence[int], others: Sequence[int]
) -> int:
    """Return where hops are counted by a tag; they are counted anew unless they are by it."""
    row = tag % len(search.hop_tags)
    place = row * len(search.nodes)
    if search.hop_tags[row] != tag:
        search.hop_tags[row] = tag
        _count(search, place, node, edges, others)
    return place


def _count(
    search: Search, place: int, node: int, edges: Sequence[int], others: Sequence[int]
) -> None:
    """Count hops from a node on, over edges from each to others."""
    hops = search.hops
    nodes = len(search.nodes)
    for number in range(nodes):
        hops[place + number] = FAR
    hops[place + node] = 0
    reached = search.front
    reached[0] = node
    count = 1
    at = 0
    reachable = nodes if search.hub == NONE else nodes - 1  # no link leads to the hub
    while at < count < reachable:  # each is reached first by the fewest
        number = reached[at]
        at += 1
        farther = hops[place + number] + 1
        for edge in range(edges[number], edges[number + 1]):
            other = others[edge]
            if hops[place + other] > farther:
                hops[place + other] = farther
                reached[count] = other
                count += 1
