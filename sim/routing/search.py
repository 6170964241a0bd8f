"""The search of the earliest way of a message over free times: plain functions over flat rows.

The seam: :class:`sim.routing.carrier.Carrier` asks :func:`route` for one message after the other,
and books what it says. Of all ways the message takes one that is there first; of these, one of the
fewest hops; of these, the first by number of node in each round, with the contacts of a node by
their begins. That is what :func:`rounds` find, Bellman and Ford's search with one hop more in each
round, as contact graph routing has it (CCSDS 734.3-B-1, schedule-aware bundle routing). All else
finds the same way sooner, or says that it is in doubt:

1. The best pass first. Each pass has a key, when a message may be through over it, that only grows:
   by its free times, then by its rates, then with the way to it. The least key is looked at next.
2. The straight way (:mod:`sim.routing.straight_ways`), of the fewest links. It also bounds how
   early any other way could be there: if that is no earlier, it is the best one.
3. Rounds, where a longer way may be better, or another one as good.

Nothing that opens behind a slot (:mod:`sim.routing.slots`) is known of it. Where that matters, the
search is done anew with a span that is longer. The node behind all, the hub, is where passes lead
to; no message passes through it, but in rounds.

The same source runs as it is or compiled (:mod:`sim.routing.free_times`).
"""

from __future__ import annotations

from math import inf

from sim.routing.free_times import NONE, WANTED, first_fit
from sim.routing.slots import beyond_s, forget_over, forward, hops_from, hops_to, slot_at
from sim.routing.state import (
    DOWN,
    FAR,
    LAST,
    MARK,
    NEXT,
    OPEN,
    ROUND,
    UP,
    WAYS,
    Best,
    Message,
    Search,
)
from sim.routing.straight_ways import add_way, has_room, set_way, straight

LOOKS_FARTHER = 8.0
"""How many times as far rounds look, where nothing is there by then."""


def route(search: Search, message: Message, by_rounds: bool) -> int:  # noqa: FBT001
    """Find the way of a message; return its hops, or NONE where it never arrives.

    Of each hop ``hop_rows`` then has the row, begin, end and arrival. Where a row is wanted, the
    answer is of no use. With ``by_rounds``, they alone are searched.
    """
    forward(search)
    search.counters[WAYS] = 0
    search.book.counters[WANTED] = NONE
    best = search.best[0]
    best.way = NONE
    best.arrival_s = inf
    best.doubt_s = message.ready_s
    if not by_rounds:
        _in_slots(search, message)
        if search.book.counters[WANTED] != NONE:
            return NONE
    way = best.way
    if best.doubt_s < inf and best.doubt_s <= best.arrival_s:
        other = _rounds_ahead(search, message, best.arrival_s)
        if other != NONE:
            way = other
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


def _in_slots(search: Search, message: Message) -> None:
    """Find the best straight way, by spans that are as long as it takes to know."""
    level = message.level
    best = search.best[0]
    while True:
        search.counters[WAYS] = 0
        best.way = NONE
        best.arrival_s = best.doubt_s = best.beyond_s = inf
        if message.target == search.hub:
            _to_hub(search, message, level)
        elif message.source == search.hub:
            _from_hub(search, message, level)
        else:
            _between(search, message, level)
        wanted = search.book.counters[WANTED] != NONE
        if wanted or best.beyond_s == inf or best.beyond_s > best.arrival_s:
            return
        level += 1
        if level == len(search.spans_s):
            best.doubt_s = min(best.doubt_s, best.beyond_s)
            return


def _between(search: Search, message: Message, level: int) -> None:
    """Find the straight way of a message over links alone."""
    slot = slot_at(search, message.ready_s, level)
    later_s = beyond_s(search, message.ready_s, level)
    hops = hops_to(search, slot, message.target)
    there_s, way, aside_s = straight(
        search, message, slot, hops, message.source, message.ready_s, NONE, later_s
    )
    best = search.best[0]
    best.way = way
    best.arrival_s = there_s
    _doubt(best, aside_s, aside_s, there_s, later_s)


def _doubt(best: Best, aside_s: float, sooner_s: float, there_s: float, later_s: float) -> None:
    """Note that a message may be there sooner by what is aside, or opens later than the slot."""
    if sooner_s < inf and sooner_s <= there_s:
        if aside_s >= later_s:
            best.beyond_s = min(best.beyond_s, sooner_s)
        else:
            best.doubt_s = min(best.doubt_s, sooner_s)


def _keep(search: Search, way: int, arrival_s: float) -> None:
    """Keep a way if it is there first; which of two that are there together, rounds decide."""
    best = search.best[0]
    if arrival_s < best.arrival_s:
        best.way = way
        best.arrival_s = arrival_s
    elif arrival_s == best.arrival_s and arrival_s < inf:
        best.doubt_s = min(best.doubt_s, arrival_s)


def _to_hub(search: Search, message: Message, level: int) -> None:
    """Find the way over the pass by which a message is at the hub first."""
    book = search.book
    best = search.best[0]
    ready_s = message.ready_s
    slot = slot_at(search, ready_s, level)
    later_s = beyond_s(search, ready_s, level)
    hops = hops_from(search, slot, message.source)
    keys = search.keys
    place = count = 0
    while True:
        least_s, least = _least_key(search, count)
        by_s = min(least_s, best.arrival_s)
        known = count
        place, count = _add_keys(search, message, UP, hops, later_s, place, count, by_s)
        if count > known:
            least_s, least = _least_key(search, count)
        if least_s == inf or least_s > best.arrival_s or least_s > best.beyond_s:
            break
        key = keys[least]
        row = key.row
        contact = book.contacts[row]
        if key.stage == 0:  # by its rates, and the hops to it
            key.stage = 1
            there_s = ready_s + search.hops[hops + contact.source] * message.least_s
            key.at_least_s = first_fit(book, row, ready_s, message.bits, ready_s)
            if contact.begin_s < there_s:
                key.at_least_s = first_fit(book, row, there_s, message.bits, ready_s)
            continue
        key.at_least_s = inf
        _over_pass_up(search, message, slot, row, least_s, later_s)
    if later_s <= best.arrival_s < inf:  # what opens until then may spare hops
        best.beyond_s = min(best.beyond_s, best.arrival_s)


def _add_keys(
    search: Search,
    message: Message,
    way: int,
    hops: int,
    later_s: float,
    place: int,
    count: int,
    by_s: float,
) -> tuple[int, int]:
    """Add keys of passes of a way that open by a time, or by the least of their keys.

    To the hub ``hops`` are those from the message's source in its slot, which is known until
    ``later_s``. Return how many passes were looked at, and how many keys there are.
    """
    contacts = search.book.contacts
    let_in = search.let_in[way]
    keys = search.keys
    while place < search.counters[OPEN + way] or _let_in(search, way, by_s):
        row = let_in[place]
        if contacts[row].opens_s > by_s:
            break
        place += 1
        if way == UP:
            key_s = _key_up(search, message, hops, row, later_s)
        else:
            key_s = _key_down(search, message, row)
        if key_s < inf:
            key = keys[count]
            key.at_least_s = key_s
            key.row = row
            key.stage = 0
            count += 1
            if key_s < by_s:
                by_s = key_s
    return place, count


def _key_up(search: Search, message: Message, hops: int, row: int, later_s: float) -> float:
    """Return when a message is through over a pass to the hub, at least, by its free times."""
    contact = search.book.contacts[row]
    ready_s = message.ready_s
    if contact.closes_s < ready_s:
        return inf
    if search.hops[hops + contact.source] == FAR:
        if later_s <= contact.closes_s:
            there_s = first_fit(search.book, row, later_s, message.bits, ready_s)
            search.best[0].beyond_s = min(search.best[0].beyond_s, there_s)
        return inf
    key_s = ready_s + search.hops[hops + contact.source] * message.least_s
    begin_s = search.book.gaps[contact.first_gap].begin_s
    if begin_s > key_s:
        key_s = begin_s
    if (
        message.bits >= contact.bound_bits
        and ready_s >= contact.bound_from_s
        and contact.bound_begin_s > key_s
    ):
        key_s = contact.bound_begin_s
    return key_s if key_s <= contact.closes_s else inf


def _over_pass_up(
    search: Search, message: Message, slot: int, row: int, least_s: float, later_s: float
) -> None:
    """Find the straight way to a pass, over which it is not through before ``least_s``."""
    book = search.book
    satellite = book.contacts[row].source
    hops = hops_to(search, slot, satellite)
    ready_s = message.ready_s
    there_s, way, aside_s = straight(
        search, message, slot, hops, message.source, ready_s, NONE, later_s
    )
    arrival_s = inf
    if there_s < inf:
        arrival_s = first_fit(book, row, there_s, message.bits, ready_s)
        if arrival_s < inf:
            way = add_way(search, row, way)
    if aside_s < there_s and arrival_s > least_s:
        sooner_s = first_fit(book, row, aside_s, message.bits, ready_s)
        _doubt(search.best[0], aside_s, sooner_s, arrival_s, later_s)
    _keep(search, way, arrival_s)


def _from_hub(search: Search, message: Message, level: int) -> None:
    """Find the way over the pass behind which links bring a message to its target first."""
    book = search.book
    best = search.best[0]
    keys = search.keys
    place = count = 0
    while True:
        least_s, least = _least_key(search, count)
        by_s = min(least_s, best.arrival_s)
        known = count
        place, count = _add_keys(search, message, DOWN, 0, inf, place, count, by_s)
        if count > known:
            least_s, least = _least_key(search, count)
        if least_s == inf or least_s > best.arrival_s or least_s > best.beyond_s:
            return
        key = keys[least]
        satellite = book.contacts[key.row].target
        if key.stage == 0:  # with the hops behind it
            key.stage = 1
            slot = slot_at(search, least_s, level)
            hops = search.hops[hops_to(search, slot, message.target) + satellite]
            if hops == FAR:
                best.beyond_s = min(best.beyond_s, beyond_s(search, least_s, level))
                key.at_least_s = inf
            else:
                key.at_least_s = least_s + hops * message.least_s
            continue
        key.at_least_s = inf
        _over_pass_down(search, message, key.row, level)


def _key_down(search: Search, message: Message, row: int) -> float:
    """Return when a message is through over a pass from the hub."""
    contact = search.book.contacts[row]
    ready_s = message.ready_s
    if contact.asked_bits == message.bits and contact.asked_from_s <= ready_s <= contact.begin_s:
        return contact.arrival_s  # as nearly always, and quicker than the same asked
    return first_fit(search.book, row, ready_s, message.bits, ready_s)


def _over_pass_down(search: Search, message: Message, row: int, level: int) -> None:
    """Find the straight way from a pass on."""
    satellite = search.book.contacts[row].target
    from_s = first_fit(search.book, row, message.ready_s, message.bits, message.ready_s)
    first = add_way(search, row, NONE)
    slot = slot_at(search, from_s, level)
    later_s = beyond_s(search, from_s, level)
    hops = hops_to(search, slot, message.target)
    there_s, way, aside_s = straight(search, message, slot, hops, satellite, from_s, first, later_s)
    if aside_s < there_s:
        _doubt(search.best[0], aside_s, aside_s, there_s, later_s)
    _keep(search, way, there_s)


def _let_in(search: Search, way: int, by_s: float) -> bool:
    """Let another pass in that opens by a time; return whether there is one."""
    counters = search.counters
    following = counters[NEXT + way]
    passes = search.passes[way]
    if following == len(passes) or search.book.contacts[passes[following]].opens_s > by_s:
        return False
    search.let_in[way][counters[OPEN + way]] = passes[following]
    counters[NEXT + way] = following + 1
    counters[OPEN + way] += 1
    return True


def _least_key(search: Search, count: int) -> tuple[float, int]:
    """Return the least of so many keys and its place, the first of equal ones."""
    least_s = inf
    least = NONE
    keys = search.keys
    for place in range(count):
        if keys[place].at_least_s < least_s:
            least_s = keys[place].at_least_s
            least = place
    return least_s, least


def spread(search: Search, message: Message) -> int:
    """Find when a message can be at each node, over whatever contacts; return their mark.

    Where a row is wanted, the answer is of no use.
    """
    search.counters[WAYS] = 0
    search.book.counters[WANTED] = NONE
    _rounds(search, message, inf)
    return search.counters[MARK]


def _rounds_ahead(search: Search, message: Message, by_s: float) -> int:
    """Return the way that rounds find by a time, or where that is inf, as far ahead as it takes."""
    if by_s < inf:
        return _rounds(search, message, by_s)
    span_s = 2.0 * search.spans_s[0]
    while True:
        until_s = message.ready_s + span_s
        if until_s > search.times_s[LAST]:
            return _rounds(search, message, inf)
        way = _rounds(search, message, until_s)
        if way != NONE or search.book.counters[WANTED] != NONE:
            return way
        span_s *= LOOKS_FARTHER


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
