"""Earliest routes over contacts, of which each hop books its time.

Routes are those of contact graph routing (CCSDS 734.3-B-1, schedule-aware bundle routing): a
message goes in one piece over each contact, and waits at a node for the next one. Among the routes
that arrive first, those of the fewest hops are found by Bellman and Ford's rounds, each with one
hop more. Three bounds keep the rounds to contacts that matter: how early any last or first hop can
be over, when a last hop is no longer early enough, and a time up to which a search looks, which
is put off as long as nothing arrives by then.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import inf, nan
from typing import NamedTuple

from sim.network.contact_bands import Band, ContactBands, Contacts, Hop

LOOKS_AHEAD = 8.0
"""How many hops longer than it takes at least a first search looks; a next one so often as far."""
LEAST_AHEAD_S = 1e-3
"""For hops that take no time."""

Sent = Callable[[int, int, float, float], tuple[float, float]]
"""When bits have left, and are there, that go over a contact from a node and a time on.

Who begins later is never there earlier."""


class Steady(NamedTuple):
    """The rate of the first contacts, and how long each delays what it carries."""

    rate_bps: float
    delays_s: Sequence[float]


class _Message(NamedTuple):
    """What is looked for, how long its bits take over steady contacts, and where it may not go."""

    source: int
    target: int
    bits: float
    lasts_s: float
    ready_s: float
    avoid: int | None


class Routes:
    """Routes over contacts, each from one node to another: what is sent back has its own.

    ``sent`` says when bits have left over a contact, by its number, and are there; of the
    ``steady`` ones nobody asks it.
    """

    def __init__(
        self, nodes: int, contacts: Contacts, sent: Sent, steady: Steady | None = None
    ) -> None:
        self._nodes = nodes
        self._bands = ContactBands(nodes, contacts)
        self._sent = sent
        self._steady = Steady(nan, ()) if steady is None else steady
        self._steady_contacts = len(self._steady.delays_s)

    def route(
        self, source: int, target: int, bits: float, ready_s: float, avoid: int | None = None
    ) -> list[Hop] | None:
        """Return the hops of a message that is ready at ``source``; None if it never arrives.

        It arrives as early as any route lets it, and with the fewest hops of those that do. No hop
        leads to the node that it is to ``avoid``.
        """
        if source == target:
            return []
        message = _Message(source, target, bits, bits / self._steady.rate_bps, ready_s, avoid)
        first = self._soonest(message, source, ready_s, inf, coming=False)
        last = self._soonest(message, target, ready_s, inf, coming=True)
        if first is None or last is None:
            return None
        earliest_s = max(first.arrival_s, last.arrival_s)
        lasts_s = min(hop.arrival_s - hop.begin_s for hop in (first, last))
        ahead_s = max(LOOKS_AHEAD * lasts_s, LEAST_AHEAD_S)
        while True:
            until_s = earliest_s + ahead_s
            if until_s > self._bands.last_end_s:
                until_s = inf
            rounds = self._rounds(message, earliest_s, until_s)
            if rounds is not None:
                return _way_back(rounds, source, target)
            if until_s == inf:
                return None
            ahead_s *= LOOKS_AHEAD

    def book(self, hops: Sequence[Hop]) -> None:
        """Take the times of ``hops`` out: later routes use what is left.

        Raises ValueError for a time that is not free.
        """
        for hop in hops:
            if hop.sent_s > hop.begin_s:
                self._bands.book(hop)

    def _rounds(
        self, message: _Message, earliest_s: float, until_s: float
    ) -> list[dict[int, Hop]] | None:
        """Return the hops of each round that are there earlier than all before, by their targets.

        The last round leads to the message's target, before ``until_s``; None where none does.
        Nothing can be there before ``earliest_s``: what is there by then ends the search.
        """
        target = message.target
        there_s = [inf] * self._nodes
        there_s[message.source] = message.ready_s
        there_s[target] = until_s
        if message.avoid is not None:
            there_s[message.avoid] = -inf
        useful_s = until_s
        rounds: list[dict[int, Hop]] = []
        reached = [(message.source, message.ready_s)]
        while reached:
            hops: dict[int, Hop] = {}
            rounds.append(hops)
            for node, time_s in reached:
                if time_s < useful_s:
                    useful_s = self._go_on(message, node, time_s, useful_s, there_s, hops)
                if there_s[target] <= earliest_s:
                    return rounds
            # By number, so that of hops that are there at the same time always the same is taken.
            reached = sorted((node, hop.arrival_s) for node, hop in hops.items() if node != target)
        return rounds if there_s[target] < until_s else None

    def _go_on(
        self,
        message: _Message,
        node: int,
        time_s: float,
        useful_s: float,
        there_s: list[float],
        hops: dict[int, Hop],
    ) -> float:
        """Add the hops from a node on that are there earlier than others; return what is useful.

        ``there_s`` is when the message is at each node so far. Where it has to be somewhere else
        than at its target by ``useful_s``, it may have to be there earlier afterwards.
        """
        for band in self._bands.leaving(node, time_s, useful_s):
            other = band.target
            before_s = there_s[other]
            if before_s <= time_s:  # nearly always: it was there before
                continue
            at_target = other == message.target
            if useful_s < before_s and not at_target:
                before_s = useful_s
            hop = self._hop(message, band, time_s, before_s)
            if hop is not None:
                hops[other] = hop
                there_s[other] = hop.arrival_s
                if at_target:
                    useful_s = self._useful_s(message, hop)
        return useful_s

    def _useful_s(self, message: _Message, last: Hop) -> float:
        """Return by when a message has to be somewhere to be at its target before its last hop.

        That is before this hop begins, unless another one from then on would be earlier.
        """
        other = self._soonest(message, last.target, last.begin_s, last.arrival_s, coming=True)
        return last.begin_s if other is None else last.arrival_s

    def _soonest(
        self, message: _Message, node: int, from_s: float, before_s: float, *, coming: bool
    ) -> Hop | None:
        """Return the hop from or to a node that is over first, from a time on and before another.

        None of those from the node that is to be avoided is looked at.
        """
        soonest: Hop | None = None
        for begins_s, bands in self._bands.ahead(node, from_s, coming=coming):
            if begins_s >= before_s:
                break
            for band in bands:
                if band.source == message.avoid:
                    continue
                hop = self._hop(message, band, from_s, before_s)
                if hop is not None:
                    soonest = hop
                    before_s = hop.arrival_s
        return soonest

    def _hop(self, message: _Message, band: Band, time_s: float, before_s: float) -> Hop | None:
        """Return the first hop over a band, from a time on, if it is there before another."""
        ends_s = band.ends_s
        place = bisect_left(ends_s, time_s)
        contact = band.contact
        while place < len(ends_s):
            begin_s = band.starts_s[place]
            if begin_s < time_s:
                begin_s = time_s
            if begin_s >= before_s:
                return None
            if contact < self._steady_contacts:
                sent_s = begin_s + message.lasts_s
                there_s = sent_s + self._steady.delays_s[contact]
            else:
                sent_s, there_s = self._sent(contact, band.source, begin_s, message.bits)
            if sent_s <= ends_s[place]:
                if there_s < before_s:
                    return Hop(contact, band.source, band.target, begin_s, sent_s, there_s)
                return None
            place += 1
        return None


def _way_back(rounds: Sequence[dict[int, Hop]], source: int, target: int) -> list[Hop]:
    """Return the hops to the target: each from where the round before has come."""
    hops: list[Hop] = []
    node = target
    for found in reversed(rounds):
        if node in found and node != source:
            hops.append(found[node])
            node = found[node].source
    return hops[::-1]
