"""MeshPass: a pass of one client over the server: its rates, and how long signals take."""

from __future__ import annotations

from functools import cached_property
from math import inf

import numpy as np

from channel import LinkCurve
from sim.facts.directions import Way
from sim.plan.contacts import PlannedContact, PlannedSession
from sim.routing.book import Curve, Rates


class MeshPass:
    """Says how a served pass carries bits, and how long signals take.

    It keeps what it needs of the contact's links, and lets these go.
    """

    def __init__(self, contact: PlannedContact) -> None:
        self._span_s = contact.start_s, contact.end_s
        self._curves = {way: _curve(contact, way) for way in Way}
        self._delays_s = contact.links.devices.delay_s
        contact.links.close()

    def delay_s(self, time_s: float) -> float:
        """How long a signal takes that leaves at a time."""
        return float(self._delays_s(np.array([time_s]))[0])

    @cached_property
    def longest_delay_s(self) -> float:
        """How long a signal takes at most: the range over a station is largest at an end."""
        return max(self.delay_s(time_s) for time_s in self._span_s)

    def rates(self, way: Way) -> Rates:
        """Return the rates one way, with the longest delay."""
        curve = self._curves[way]
        if curve is None:
            return Rates(self.longest_delay_s, inf)
        one = Curve(curve.time_s[0], curve.rate_bps[0], curve.bits[0])
        return Rates(self.longest_delay_s, inf, one)

    def sent_s(self, way: Way, begin_s: float, bits: float) -> float:
        """Return when bits that leave from a time on have left; inf if they never have."""
        curve = self._curves[way]
        if not bits or curve is None:
            return begin_s
        return float(curve.completion_time_s(bits, begin_s)[0])


def _curve(contact: PlannedContact, way: Way) -> LinkCurve | None:
    """Return the rates one way as long as the pass is served; None where that link is neglected."""
    beam = PlannedSession(contact.contact_id, (contact,)).beam(way)
    return None if beam is None else beam.curve
