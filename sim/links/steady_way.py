"""SteadyWay: one way of a contact for its only device, at a rate that does not change."""

from __future__ import annotations

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
