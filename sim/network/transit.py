"""Transits: how a message goes over one contact, at the earliest.

A message goes in one piece over each contact, and waits at a node for the next one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import inf, nan
from typing import NamedTuple

from sim.network.contact_bands import Band, ContactBands, Found, Hop

Sent = Callable[[int, int, float, float], tuple[float, float]]
"""When bits have left, and are there, that go over a contact from a node and a time on.

Who begins later is never there earlier."""


class Steady(NamedTuple):
    """The rate of the first contacts, and how long each delays what it carries."""

    rate_bps: float
    delays_s: Sequence[float]


class Least(NamedTuple):
    """How long the first so many contacts take at least: by their highest rate, shortest delay.

    Those behind them are passes: contacts that are all with one node, the ``hub``.
    """

    contacts: int
    rate_bps: float
    delay_s: float
    hub: int

    def lasts_s(self, bits: float) -> float:
        """Return how long so many bits take at least over one of the first contacts."""
        return bits / self.rate_bps + self.delay_s


class MessageToRoute(NamedTuple):
    """What is looked for: bits that are ready at a node, and are to avoid another.

    ``lasts_s`` is how long they are sent over steady contacts, ``least_s`` how long they take over
    one of the first contacts at least, and ``spared_s`` how much earlier they are there for each
    of these less at least: sums of times are rounded.
    """

    source: int
    target: int
    bits: float
    lasts_s: float
    least_s: float
    spared_s: float
    ready_s: float
    avoid: int | None


class Transits:
    """Says when a message is through over one of the ``bands``.

    ``sent`` says when bits have left over a contact, by its number, and are there; of the
    ``steady`` ones nobody asks it.
    """

    def __init__(self, bands: ContactBands, sent: Sent, steady: Steady | None) -> None:
        self._bands = bands
        self._sent = sent
        self._steady = Steady(nan, ()) if steady is None else steady
        self._steady_contacts = len(self._steady.delays_s)

    @property
    def steady_bps(self) -> float:
        """The rate of steady contacts; nan where there are none."""
        return self._steady.rate_bps

    def hop(
        self, message: MessageToRoute, band: Band, time_s: float, before_s: float
    ) -> Hop | None:
        """Return the first hop over a band, from a time on, if it is there before another."""
        if band.contact < self._steady_contacts:
            return self._steady_hop(message, band, time_s, before_s)
        found = band.found
        if found is None or not found.answers(message.bits, time_s):
            if self.at_least_s(message, band, time_s) >= before_s:  # nobody has to ask for that
                return None
            found = Found(message.bits, time_s, self._asked_hop(message, band, time_s))
            band.found = found
            if time_s == message.ready_s:  # others will be ready later
                band.least = found
        hop = found.hop
        return hop if hop is not None and hop.arrival_s < before_s else None

    def arrival_s(
        self, message: MessageToRoute, band: Band, time_s: float, before_s: float
    ) -> float:
        """Return when the first hop over a band arrives; inf if that is not before ``before_s``."""
        if band.contact < self._steady_contacts and time_s >= band.starts_s[-1]:
            # Mostly: nothing is booked any more.
            sent_s = time_s + message.lasts_s
            if sent_s <= band.closes_s:
                there_s = sent_s + self._steady.delays_s[band.contact]
                return there_s if there_s < before_s else inf
            return inf
        hop = self.hop(message, band, time_s, before_s)
        return inf if hop is None else hop.arrival_s

    @staticmethod
    def at_least_s(message: MessageToRoute, band: Band, time_s: float) -> float:
        """Return a lower bound of when a message is through over a band, from a time on."""
        if band.closes_s < time_s:
            return inf
        begins_s = band.starts_s[0]
        if begins_s < time_s:
            begins_s = time_s
        known = band.least
        if known is None or message.bits < known.bits or time_s < known.from_s:
            return begins_s
        if known.hop is None:
            return inf
        there_s = known.hop.arrival_s
        return there_s if there_s > begins_s else begins_s

    def _asked_hop(self, message: MessageToRoute, band: Band, time_s: float) -> Hop | None:
        """Return the first hop over a band, from a time on, as long as that is open."""
        ends_s = band.ends_s
        for place in range(bisect_left(ends_s, time_s), len(ends_s)):
            begin_s = band.starts_s[place]
            if begin_s < time_s:
                begin_s = time_s
            sent_s, there_s = self._sent(band.contact, band.source, begin_s, message.bits)
            if sent_s <= ends_s[place]:
                return Hop(band.contact, band.source, band.target, begin_s, sent_s, there_s)
        return None

    def _steady_hop(
        self, message: MessageToRoute, band: Band, time_s: float, before_s: float
    ) -> Hop | None:
        """Return the same over a band of a steady contact."""
        ends_s = band.ends_s
        for place in range(bisect_left(ends_s, time_s), len(ends_s)):
            begin_s = band.starts_s[place]
            if begin_s < time_s:
                begin_s = time_s
            if begin_s >= before_s:
                return None
            sent_s = begin_s + message.lasts_s
            if sent_s <= ends_s[place]:
                there_s = sent_s + self._steady.delays_s[band.contact]
                if there_s < before_s:
                    return Hop(band.contact, band.source, band.target, begin_s, sent_s, there_s)
                return None
        return None

    def soonest(
        self, message: MessageToRoute, node: int, from_s: float, before_s: float, *, coming: bool
    ) -> Hop | None:
        """Return the hop from or to a node that is over first, from a time on and before another.

        None of those from the node that is to be avoided is looked at.
        """
        soonest: Hop | None = None
        for begins_s, bands in self._bands.ahead(node, from_s, coming=coming):
            if begins_s >= before_s:
                break
            sooner = self.soonest_of(message, bands, from_s, before_s)
            if sooner is not None:
                soonest = sooner
                before_s = sooner.arrival_s
        return soonest

    def soonest_of(
        self, message: MessageToRoute, bands: Sequence[Band], from_s: float, before_s: float
    ) -> Hop | None:
        """Return the same over some bands."""
        soonest: Hop | None = None
        for band in bands:
            if band.source == message.avoid:
                continue
            hop = self.hop(message, band, from_s, before_s)
            if hop is not None:
                soonest = hop
                before_s = hop.arrival_s
        return soonest
