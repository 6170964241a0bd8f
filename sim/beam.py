"""One direction of a satellite's beam over one contact: what each device's link carries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from channel import Link, LinkCurve, Signal, signal_rate_bps
from learning.requests import Floats, Mask
from sim.rowwise import along

Sharing = Literal["fixed_subchannel", "equal_share", "rounds", "broadcast"]

TIMES_KNOWN = 8


@dataclass(frozen=True)
class Radio:
    """A direction of a cluster's link: that of one device, and how the beam's band is shared.

    ``total_bandwidth_hz`` is divided into ``channels`` sub-channels of the link's bandwidth.
    """

    link: Link
    total_bandwidth_hz: float
    sharing: Sharing

    @property
    def channels(self) -> int:
        """How many sub-channels there are; as many devices have one of their own."""
        return int(self.total_bandwidth_hz / self.link.bandwidth_hz * (1 + 1e-9))


@dataclass(frozen=True, eq=False)
class Beam:
    """Rates of all devices (K) in one direction, each with a sub-channel of its own, and how they
    share. ``signal`` (K, T) belongs to the points of ``curve``.

    Without ``radio`` there is no limit to the band.
    """

    curve: LinkCurve
    radio: Radio | None = None
    signal: Signal | None = None
    _known: dict[float, tuple[Floats, Signal | None]] = field(default_factory=dict, repr=False)

    def rates_bps(self, start_s: float, end_s: float, sharing: int) -> tuple[Floats, Floats]:
        """Rates (K,) just behind one time and just before another, if so many devices share.

        0 for devices that do not see the satellite in all of the time between.
        """
        seen = (self.curve.time_s[:, 0] <= start_s) & (end_s <= self.curve.time_s[:, -1])
        return self._rate_bps(start_s, sharing, seen), self._rate_bps(end_s, sharing, seen)

    def _rate_bps(self, time_s: float, sharing: int, seen: Mask) -> Floats:
        alone, signal = self._at(time_s)
        radio = self.radio
        if radio is None or sharing <= radio.channels:
            return np.where(seen, alone, 0.0)
        if radio.sharing == "rounds":  # everybody has the sub-channel, by turns
            return np.where(seen, alone * radio.channels / sharing, 0.0)
        assert signal is not None  # only links without a radio have none
        narrowed = signal_rate_bps(radio.link, signal, radio.total_bandwidth_hz / sharing)
        return np.where(seen & (alone > 0), narrowed, 0.0)

    def _at(self, time_s: float) -> tuple[Floats, Signal | None]:
        """Rates of devices that have a sub-channel each, and their signals, at one time.

        The end of one interval is mostly the start of the next: the last times are remembered.
        """
        if time_s not in self._known:
            if len(self._known) > TIMES_KNOWN:
                self._known.clear()
            self._known[time_s] = self.curve.rate_at_bps(time_s), self._signal(time_s)
        return self._known[time_s]

    def _signal(self, time_s: float) -> Signal | None:
        signal, radio = self.signal, self.radio
        if signal is None or radio is None:
            return None
        when = np.full(len(self.curve.time_s), time_s)
        k = signal.rician_k_linear
        if radio.link.environment is None:  # it is the same everywhere
            return Signal(along(self.curve.time_s, signal.snr_db, when), k[:, 0])
        return Signal(*(along(self.curve.time_s, grid, when) for grid in (signal.snr_db, k)))
