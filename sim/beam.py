"""One direction of a satellite's beam over one contact: what each device's link carries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from channel import Link, LinkCurve, Signal, signal_rate_bps
from learning.requests.cluster import Floats, Mask
from sim.fluid import Stretch

Sharing = Literal["fixed_subchannel", "equal_share", "rounds", "broadcast"]


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

    @property
    def alone(self) -> bool:
        """Whether nobody uses a sub-channel together with others."""
        return self.sharing == "fixed_subchannel"

    def narrowed(self, sharing: int) -> Link:
        """The link of one of so many devices that divide the whole band, with all its power.

        A fixed rate falls with the band.
        """
        band_hz, link = self.total_bandwidth_hz / sharing, self.link
        fixed_bps = link.fixed_rate_bps
        if fixed_bps is not None:
            fixed_bps *= band_hz / link.bandwidth_hz
        return replace(link, bandwidth_hz=band_hz, fixed_rate_bps=fixed_bps)


Narrow = Callable[[Link, float, Mask], tuple[LinkCurve, float]]
"""Curve (K rows) of those in a mask for another link, from a time on, and until when it holds."""


@dataclass(frozen=True, eq=False)
class Beam:
    """Rates of all devices (K) in one direction, each with a sub-channel of its own, and how they
    share. ``signal`` (K, T) belongs to the points of ``curve``.

    Without ``radio`` there is no limit to the band. Without ``whole`` and ``narrow``, which make
    curves for a narrower band, these come from the signal and the points of the curve.
    """

    curve: LinkCurve
    radio: Radio | None = None
    signal: Signal | None = None
    whole: Callable[[Link], LinkCurve] | None = None
    narrow: Narrow | None = None

    def reach(self, senders: int) -> LinkCurve:
        """Curves of so many devices that share: who carries anything has a link."""
        if not self._narrows(senders):
            return self.curve
        assert self.radio is not None
        link = self.radio.narrowed(senders)
        return self._of_signal(link) if self.whole is None else self.whole(link)

    def stretch(self, sharing: int, now_s: float, who: Mask) -> Stretch:
        """What the devices in ``who`` can send at from a time on, if so many share the band."""
        radio = self.radio
        if radio is None or sharing <= radio.channels:
            return Stretch(self.curve)
        if radio.sharing == "rounds":  # everybody has the sub-channel, by turns
            return Stretch(self.curve, radio.channels / sharing)
        link = radio.narrowed(sharing)
        if self.narrow is None:
            return Stretch(self._of_signal(link))
        curve, until_s = self.narrow(link, now_s, who)
        return Stretch(curve, 1.0, until_s)

    def _narrows(self, sharing: int) -> bool:
        radio = self.radio
        return radio is not None and radio.sharing == "equal_share" and sharing > radio.channels

    def _of_signal(self, link: Link) -> LinkCurve:
        assert self.radio is not None  # only then anything is narrowed
        assert self.signal is not None  # who has a radio has a signal
        rate: Floats = signal_rate_bps(self.radio.link, self.signal, link.bandwidth_hz)
        return LinkCurve(self.curve.time_s, np.where(self.curve.rate_bps > 0, rate, 0.0))
