"""Earliest routes over links and passes, of which each hop books its time.

The rules are those of :mod:`sim.network.routing`, for a plan in which the contacts of a pair do not
overlap. There are many messages and many contacts: a search looks at those contacts only that
a message could use next.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf, nan
from typing import NamedTuple

from sim.network.routing import Hop, Sent


@dataclass(eq=False)
class _Lane:
    """The times in which one node can send to another, and nothing is booked, in order."""

    starts_s: list[float] = field(default_factory=list)
    ends_s: list[float] = field(default_factory=list)
    contacts: list[int] = field(default_factory=list)

    def add(self, contact: int, start_s: float, end_s: float) -> None:
        """Add the next contact; raise ValueError where it begins before the last one ends."""
        if self.ends_s and start_s < self.ends_s[-1]:
            raise ValueError(f"contact {contact} begins before the one before it ends")
        self.starts_s.append(start_s)
        self.ends_s.append(end_s)
        self.contacts.append(contact)

    def book(self, hop: Hop) -> None:
        """Take the time of a hop out; raise ValueError where it is not free."""
        place = bisect_left(self.ends_s, hop.sent_s)
        free = place < len(self.ends_s) and self.contacts[place] == hop.contact
        if not (free and self.starts_s[place] <= hop.begin_s):
            raise ValueError(f"contact {hop.contact} is not free at {hop.begin_s:g} s")
        start_s = self.starts_s[place]
        self.starts_s[place] = hop.sent_s
        if start_s < hop.begin_s:
            self.starts_s.insert(place, start_s)
            self.ends_s.insert(place, hop.begin_s)
            self.contacts.insert(place, hop.contact)


class Steady(NamedTuple):
    """The rate of the first contacts, and how long each delays what it carries."""

    rate_bps: float
    delays_s: Sequence[float]


class _Message(NamedTuple):
    """What is looked for: where to, how many bits, and how long these take over steady links."""

    target: int
    bits: float
    lasts_s: float


class Routes:
    """Routes over contacts, each from one node to another: what is sent back has its own.

    ``contacts`` are numbers with their nodes, begin and end in seconds, those of
    each pair in order of time. ``sent``
    says when bits have left over one of them, and are there; of the ``steady`` ones nobody asks it.
    """

    def __init__(
        self,
        nodes: int,
        contacts: Iterable[tuple[int, int, int, float, float]],
        sent: Sent,
        steady: Steady | None = None,
    ) -> None:
        self._sent = sent
        self._steady = Steady(nan, ()) if steady is None else steady
        self._steady_contacts = len(self._steady.delays_s)
        self._lanes: list[dict[int, _Lane]] = [{} for _ in range(nodes)]
        for contact, source, target, start_s, end_s in contacts:
            lane = self._lanes[source].setdefault(target, _Lane())
            lane.add(contact, start_s, end_s)

    def route(
        self, source: int, target: int, bits: float, ready_s: float, avoid: int | None = None
    ) -> list[Hop] | None:
        """Return the hops of a message that is ready at ``source``; None if it never arrives.

        It arrives as early as any route lets it, and with the fewest hops of those that do. No hop
        leads to the node that it is to ``avoid``.
        """
        message = _Message(target, bits, bits / self._steady.rate_bps)
        earliest = {source: ready_s}
        if avoid is not None:
            earliest[avoid] = -inf
        rounds: list[dict[int, Hop]] = []
        reached = {source: ready_s}
        while reached:
            hops: dict[int, Hop] = {}
            for node, time_s in reached.items():
                self._go_on(node, time_s, message, earliest, hops)
            rounds.append(hops)
            reached = {node: hop.arrival_s for node, hop in hops.items()}
            earliest.update(reached)
            reached.pop(target, None)
        return _way_back(rounds, source, target) if target in earliest else None

    def _go_on(
        self,
        node: int,
        time_s: float,
        message: _Message,
        earliest: dict[int, float],
        hops: dict[int, Hop],
    ) -> None:
        """Add the hops from a node on that are there earlier than others, to the others' ``hops``.

        None that comes later than the message is at its target is of use.
        """
        target = message.target
        last_s = hops[target].arrival_s if target in hops else earliest.get(target, inf)
        if time_s >= last_s:
            return
        for other, lane in self._lanes[node].items():
            before_s = earliest.get(other, inf)
            if before_s <= time_s:  # nearly always: it was there before
                continue
            if other in hops:
                before_s = hops[other].arrival_s
            if last_s < before_s:
                before_s = last_s
            place = bisect_left(lane.ends_s, time_s)
            if place == len(lane.ends_s) or lane.starts_s[place] >= before_s:
                continue
            hop = self._first(lane, place, (time_s, before_s), (node, other), message)
            if hop is not None:
                hops[other] = hop
                if other == target:
                    last_s = hop.arrival_s

    def _first(
        self,
        lane: _Lane,
        place: int,
        between_s: tuple[float, float],
        ends: tuple[int, int],
        message: _Message,
    ) -> Hop | None:
        """Return the hop from a place of a lane on that is there first, and before another."""
        time_s, before_s = between_s
        starts_s = lane.starts_s
        steady = self._steady_contacts
        hop: Hop | None = None
        while place < len(starts_s):
            begin_s = starts_s[place]
            if begin_s < time_s:
                begin_s = time_s
            if begin_s >= before_s:
                break
            contact = lane.contacts[place]
            if contact < steady:
                sent_s = begin_s + message.lasts_s
                there_s = sent_s + self._steady.delays_s[contact]
            else:
                sent_s, there_s = self._sent(contact, ends[0], begin_s, message.bits)
            if there_s < before_s and sent_s <= lane.ends_s[place]:
                hop = Hop(contact, *ends, begin_s, sent_s, there_s)
                before_s = there_s
            place += 1
        return hop

    def book(self, hops: Sequence[Hop]) -> None:
        """Take the times of ``hops`` out: later routes use what is left.

        Raises ValueError for a time that is not free.
        """
        for hop in hops:
            if hop.sent_s > hop.begin_s:
                self._lanes[hop.source][hop.target].book(hop)


def _way_back(rounds: Sequence[dict[int, Hop]], source: int, target: int) -> list[Hop]:
    """Return the hops to the target: each from where the round before has come."""
    hops: list[Hop] = []
    node = target
    for found in reversed(rounds):
        if node in found and node != source:
            hops.append(found[node])
            node = found[node].source
    return hops[::-1]
