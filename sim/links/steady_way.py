"""SteadyWay: one way of a contact for its only device, at a rate that does not change."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

from sim.links.beam import Beam, Radio


class SteadyWay(NamedTuple):
    """A rate from the rise to the set, and how the band is shared; no limit without ``radio``."""

    rate_bps: float
    rise_s: float
    set_s: float
    radio: Radio | None

    @classmethod
    def of(cls, beam: Beam | None) -> Self | None:
        """Return what a beam comes to; None for none, several devices, or a rate that changes."""
        if beam is None or beam.curve.time_s.shape != (1, 2):
            return None
        rise_s, set_s = beam.curve.time_s[0].tolist()
        rate_bps, end_rate_bps = beam.curve.rate_bps[0].tolist()
        return cls(rate_bps, rise_s, set_s, beam.radio) if rate_bps == end_rate_bps else None

    def is_alone(self, *, personal: bool) -> bool:
        """Whether the device has a sub-channel to itself, and hears nobody else's broadcast."""
        if self.radio is None:
            return True
        return personal if self.radio.sharing == "broadcast" else self.radio.channels > 0

    def holds(self, opens_s: float, closes_s: float) -> bool:
        """Whether it goes on at its rate from one time to another, with bits to send."""
        return self.rate_bps > 0.0 and self.rise_s <= opens_s < closes_s <= self.set_s

    def sent_s(self, span_s: tuple[float, float], begin_s: float, bits: float) -> float | None:
        """When bits that leave from ``begin_s`` on are sent, as a `LinkCurve` over a span has it.

        It ``holds`` in that span, and ``begin_s`` lies within; None where bits remain at the end.
        """
        opens_s, closes_s = span_s
        rate_bps = self.rate_bps
        capacity_bits = rate_bps * (closes_s - opens_s)
        before_bits = 0.0
        if begin_s > opens_s:
            before_bits = min(rate_bps * (begin_s - opens_s), capacity_bits)
        goal_bits = before_bits + bits
        if not goal_bits < capacity_bits:
            return None
        sent_s = opens_s + 2.0 * goal_bits / (rate_bps + math.sqrt(rate_bps * rate_bps))
        return max(min(sent_s, closes_s), begin_s)
