"""Earliest routes over contacts, of which each hop books its time.

Routes are those of contact graph routing (CCSDS 734.3-B-1, schedule-aware bundle routing): a
message goes in one piece over each contact, and waits at a node for the next one. Among the routes
that arrive first, those of the fewest hops are found by Bellman and Ford's rounds, each with one
hop more. They are searched only where no straight route is known to be one of them. Four bounds
keep the rounds to contacts that matter: how early any last or first hop can be over, when a last
hop is no longer early enough, how many hops are left, and a time up to which a search looks, which
is put off as long as nothing arrives by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nextafter, ulp

from sim.network.contact_bands import ContactBands, Contacts, Hop
from sim.network.horizon import Ahead
from sim.network.straight_routes import StraightRoutes
from sim.network.transit import Least, MessageToRoute, Sent, Steady, Transits

LOOKS_AHEAD = 8.0
"""How many hops longer than it takes at least a first search looks."""
LOOKS_FARTHER = 1024.0
"""How many times as far a next one looks: what waits mostly waits for long."""
LEAST_AHEAD_S = 1e-3
"""For hops that take no time."""
ROUNDINGS = 4
"""How often a time is rounded for each hop, at most."""


class Routes:
    """Routes over contacts, each from one node to another: what is sent back has its own.

    ``sent`` says when bits have left over a contact, by its number, and are there; of the
    ``steady`` ones nobody asks it. Where it is known how long contacts take at ``least``, straight
    routes are tried first.
    """

    def __init__(
        self,
        nodes: int,
        contacts: Contacts,
        sent: Sent,
        steady: Steady | None = None,
        least: Least | None = None,
    ) -> None:
        self._nodes = nodes
        self._bands = ContactBands(nodes, contacts)
        self._transits = Transits(self._bands, sent, steady)
        self._least = least
        self._straight = None
        if least is not None:
            self._straight = StraightRoutes(nodes, self._bands, self._transits, least)
        self._rounding_s = ROUNDINGS * ulp(self._bands.last_end_s)
        self._anywhere = Ahead([0] * nodes, 0.0)

    def route(
        self, source: int, target: int, bits: float, ready_s: float, avoid: int | None = None
    ) -> list[Hop] | None:
        """Return the hops of a message that is ready at ``source``; None if it never arrives.

        It arrives as early as any route lets it, and with the fewest hops of those that do. No hop
        leads to the node that it is to ``avoid``.
        """
        if source == target:
            return []
        lasts_s = bits / self._transits.steady_bps
        least_s = 0.0 if self._least is None else self._least.lasts_s(bits)
        spared_s = max(0.0, least_s - self._rounding_s)
        message = MessageToRoute(source, target, bits, lasts_s, least_s, spared_s, ready_s, avoid)
        straight = None if self._straight is None else self._straight.find(message)
        if straight is None:
            return self._by_rounds(message)
        if straight.is_best or straight.hops is None:
            return straight.hops
        until_s = nextafter(straight.hops[-1].arrival_s, inf)
        rounds = self._rounds(message, straight.earliest_s, until_s, straight.ahead)
        return straight.hops if rounds is None else _way_back(rounds, source, target)

    def _by_rounds(self, message: MessageToRoute) -> list[Hop] | None:
        """Search a route among all there are, as far ahead as it takes."""
        source = message.source
        target = message.target
        ready_s = message.ready_s
        first = self._transits.soonest(message, source, ready_s, inf, coming=False)
        last = self._transits.soonest(message, target, ready_s, inf, coming=True)
        if first is None or last is None:
            return None
        earliest_s = max(first.arrival_s, last.arrival_s)
        lasts_s = min(hop.arrival_s - hop.begin_s for hop in (first, last))
        ahead_s = max(LOOKS_AHEAD * lasts_s, LEAST_AHEAD_S)
        while True:
            until_s = earliest_s + ahead_s
            if until_s > self._bands.last_end_s:
                until_s = inf
            rounds = self._rounds(message, earliest_s, until_s, self._anywhere)
            if rounds is not None:
                return _way_back(rounds, source, target)
            if until_s == inf:
                return None
            ahead_s *= LOOKS_FARTHER

    def book(self, hops: Sequence[Hop]) -> None:
        """Take the times of ``hops`` out: later routes use what is left.

        Raises ValueError for a time that is not free.
        """
        for hop in hops:
            if hop.sent_s > hop.begin_s:
                self._bands.book(hop)

    def forget(self, hop: Hop) -> None:
        """Ask anew for hops over the contact of a hop, which takes longer than was known."""
        self._bands.forget(hop)

    def _rounds(
        self, message: MessageToRoute, earliest_s: float, until_s: float, ahead: Ahead
    ) -> list[dict[int, Hop]] | None:
        """Return the hops of each round that are there earlier than all before, by their targets.

        The last round leads to the message's target, before ``until_s``; None where none does.
        Nothing can be there before ``earliest_s``: what is there by then ends the search. It leaves
        out nodes from which the hops ``ahead`` take too long.
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
                    useful_s = self._go_on(message, node, time_s, useful_s, ahead, there_s, hops)
                if there_s[target] <= earliest_s:
                    return rounds
            # By number, so that of hops that are there at the same time always the same is taken.
            reached = sorted((node, hop.arrival_s) for node, hop in hops.items() if node != target)
        return rounds if there_s[target] < until_s else None

    def _go_on(
        self,
        message: MessageToRoute,
        node: int,
        time_s: float,
        useful_s: float,
        ahead: Ahead,
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
            if not at_target:
                before_s = min(before_s, useful_s, there_s[message.target] - ahead.left_s(other))
            hop = self._transits.hop(message, band, time_s, before_s)
            if hop is not None:
                hops[other] = hop
                there_s[other] = hop.arrival_s
                if at_target:
                    useful_s = self._useful_s(message, hop)
        return useful_s

    def _useful_s(self, message: MessageToRoute, last: Hop) -> float:
        """Return by when a message has to be somewhere to be at its target before its last hop.

        That is before this hop begins, unless another one from then on would be earlier.
        """
        other = self._transits.soonest(
            message, last.target, last.begin_s, last.arrival_s, coming=True
        )
        return last.begin_s if other is None else last.arrival_s


def _way_back(rounds: list[dict[int, Hop]], source: int, target: int) -> list[Hop]:
    """Return the hops to the target: each from where the round before has come."""
    hops: list[Hop] = []
    node = target
    for found in reversed(rounds):
        if node in found and node != source:
            hops.append(found[node])
            node = found[node].source
    return hops[::-1]
