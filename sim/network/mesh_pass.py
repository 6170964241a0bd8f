"""MeshPass: a pass of one client over the server: its rates, and how long signals take."""

from __future__ import annotations

from functools import cached_property
from math import inf

from channel import LinkCurve
from sim.facts.directions import Way
from sim.links.plain_curve import PlainCurve
from sim.links.steady_way import SteadyWay
from sim.plan.contacts import PlannedContact, PlannedSession
from sim.routing.book import Curve, Rates


class MeshPass:
    """Says how a served pass carries bits, and how long signals take.

    It keeps what it needs of the contact's links, and lets these go.
    """

    def __init__(self, contact: PlannedContact) -> None:
        self._span_s = contact.start_s, contact.end_s
        self._ways = {way: _way(contact, way) for way in Way}
        self._plain: dict[Way, PlainCurve] = {}
        self.delay_s = contact.links.delay_of_one()
        contact.links.close()

    @cached_property
    def longest_delay_s(self) -> float:
        """How long a signal takes at most: the range over a station is largest at an end."""
        return max(self.delay_s(time_s) for time_s in self._span_s)

    def rates(self, way: Way) -> Rates:
        """Return the rates one way, with the longest delay."""
        rates = self._ways[way]
        if rates is None:
            return Rates(self.longest_delay_s, inf)
        if isinstance(rates, SteadyWay):
            return Rates(self.longest_delay_s, rates.rate_bps, counted=True)
        curve = Curve(rates.time_s[0], rates.rate_bps[0], rates.bits[0])
        return Rates(self.longest_delay_s, inf, curve)

    def sent_s(self, way: Way, begin_s: float, bits: float) -> float:
        """Return when bits that leave from a time on have left; inf if they never have."""
        rates = self._ways[way]
        if not bits or rates is None:
            return begin_s
        if isinstance(rates, SteadyWay):
            sent_s = rates.sent_s(self._span_s, begin_s, bits)
            return inf if sent_s is None else sent_s
        if way not in self._plain:
            self._plain[way] = PlainCurve(rates)
        return self._plain[way].completion_time_s(bits, begin_s)


def _way(contact: PlannedContact, way: Way) -> SteadyWay | LinkCurve | None:
    """Return the rates one way as long as the pass is served; None where that link is neglected."""
    steady = contact.links.steady(way)
    if steady is not None and steady.holds(contact.start_s, contact.end_s):
        return steady
    beam = PlannedSession(contact.contact_id, (contact,)).beam(way)
    return None if beam is None else beam.curve
