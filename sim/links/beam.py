"""Radio and Beam: one direction of a contact, of a session; and both of a contact's devices."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from math import ceil
from typing import Literal

import numpy as np

from channel import (
    SPEED_OF_LIGHT_M_S,
    Link,
    LinkCurve,
    Signal,
    joined,
    received_signal,
    signal_rate_bps,
    weakest,
)
from learning.requests.cluster import Floats, Mask
from sim.links.sharing import Allocation, RateSegment, queued, shared

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
        band_hz = self.total_bandwidth_hz / sharing
        link = self.link
        fixed_bps = link.fixed_rate_bps
        if fixed_bps is not None:
            fixed_bps *= band_hz / link.bandwidth_hz
        return replace(link, bandwidth_hz=band_hz, fixed_rate_bps=fixed_bps)


Span = tuple[float, float]
"""Seconds from and to."""
Narrow = Callable[[Link, float, Mask], tuple[LinkCurve, float]]
"""Curve (K rows) of those in a mask for another link, from a time on, and until when it holds."""


@dataclass(frozen=True, eq=False)
class Beam:
    """Rates of all devices (K) in one direction, each with a sub-channel of its own, and how they
    share.

    Without ``radio`` there is no limit to the band. ``whole`` makes the curve for a narrower band,
    ``narrow`` a part of it where all of it takes long.
    """

    curve: LinkCurve
    radio: Radio | None = None
    whole: Callable[[Link], LinkCurve] | None = None
    narrow: Narrow | None = None

    def reach(self, senders: int) -> LinkCurve:
        """Curves of so many devices that share: who carries anything has a link."""
        radio = self.radio
        if radio is None or radio.sharing != "equal_share" or senders <= radio.channels:
            return self.curve
        assert self.whole is not None  # whose band is shared anew has other curves
        return self.whole(radio.narrowed(senders))

    def stretch(self, sharing: int, now_s: float, who: Mask) -> RateSegment:
        """What the devices in ``who`` can send at from a time on, if so many share the band."""
        radio = self.radio
        if radio is None or sharing <= radio.channels:
            return RateSegment(self.curve)
        if radio.sharing == "rounds":  # everybody has the sub-channel, by turns
            return RateSegment(self.curve, radio.channels / sharing)
        if self.narrow is None:
            return RateSegment(self.reach(sharing))
        curve, until_s = self.narrow(radio.narrowed(sharing), now_s, who)
        return RateSegment(curve, until_s=until_s)


Radios = tuple[Radio, Radio | None]
"""To the server and to the clients of a cluster; None where the latter is neglected."""
PAPER_ALTITUDE_M = 600e3
"""Satellite altitude that the paper's fixed large-scale fading stands for: overhead, where there is
no geometry."""


# One direction of a session: the beams of its contacts, one after the other.


@dataclass(frozen=True, eq=False)
class SessionBeam:
    """Beams of the same devices (K), each in use during its span: seconds, in order of time.

    ``whole`` says that the only beam is used from its rise to its set.
    """

    beams: Sequence[Beam]
    spans_s: Sequence[Span]
    whole: bool
    _heard: dict[bytes, LinkCurve] = field(default_factory=dict, repr=False)

    @cached_property
    def curve(self) -> LinkCurve:
        """What each device could send if it were alone; in the gaps nothing moves."""
        return self._after_each_other([beam.curve for beam in self.beams])

    def _after_each_other(self, curves: Sequence[LinkCurve]) -> LinkCurve:
        return curves[0] if self.whole else joined(curves, self.spans_s)

    @cached_property
    def edges_s(self) -> list[tuple[Floats, Floats]]:
        """First and last second (K,) in which each device is served, for each contact."""
        grids = [
            (beam.curve.time_s, span) for beam, span in zip(self.beams, self.spans_s, strict=True)
        ]
        return [(np.clip(t[:, 0], *span), np.clip(t[:, -1], *span)) for t, span in grids]

    @property
    def is_broadcast(self) -> bool:
        """Whether one transmission goes to all devices."""
        radio = self.beams[0].radio
        return radio is not None and radio.sharing == "broadcast"

    @property
    def channels(self) -> int:
        """How many transmissions there can be at a time: sub-channels, or one broadcast."""
        radio = self.beams[0].radio
        return sys.maxsize if radio is None else radio.channels

    def crowding(self, senders: int, personal: bool = False) -> float:
        """How many times as long a transfer takes if so many share, at least 1.

        In a queue the last ones take a whole turn. What is ``personal`` is not broadcast.
        """
        radio = self.beams[0].radio
        if radio is None or (self.is_broadcast and not personal):
            return 1.0
        turns = max(1.0, senders / radio.channels)
        return turns if radio.sharing in ("equal_share", "rounds") else float(ceil(turns))

    def send(
        self, arrival_s: Floats, bits: Floats, who: Mask, personal: bool = False
    ) -> Allocation:
        """Let the devices in ``who`` send ``bits`` (K,) from when they are ready, and share.

        Of a beam that broadcasts, what is ``personal`` has the whole band, device by device.
        """
        radio = self.beams[0].radio
        if self.is_broadcast and not personal:
            return queued(self._broadcast(who), arrival_s, bits, who, len(who))
        channels = len(who) if radio is None else radio.channels
        senders = int(who.sum())
        if senders <= channels or radio is None or radio.alone or self.is_broadcast:
            return queued(self.curve, arrival_s, bits, who, channels)
        reach = self._after_each_other([beam.reach(senders) for beam in self.beams])
        return shared(self._stretch, reach, arrival_s, bits, who)

    def _broadcast(self, who: Mask) -> LinkCurve:
        """The curve of a transmission to ``who``; a session mostly has several to the same ones."""
        key = who.tobytes()
        if key not in self._heard:
            pairs = zip(self.beams, self.spans_s, strict=True)
            lowest = [weakest(beam.curve, who, span_s) for beam, span_s in pairs]
            self._heard.clear()
            self._heard[key] = self._after_each_other(lowest)
        return self._heard[key]

    def _stretch(self, sharing: int, now_s: float, who: Mask) -> RateSegment:
        """What the contact in use at a time gives to the devices in ``who``."""
        begun = [n for n, (first_s, _) in enumerate(self.spans_s) if first_s <= now_s]
        number = begun[-1] if begun else 0
        stretch = self.beams[number].stretch(sharing, now_s, who)
        return replace(stretch, until_s=min(stretch.until_s, self.spans_s[number][1]))


# Both directions of one contact for all its devices.


@dataclass(frozen=True, eq=False)
class DeviceLinks:
    """Both ways of one contact for all its devices (K); no link to the clients is a neglected one.

    ``range_m`` gives the slant range of each device at its time (K,); None stands for no distance.
    ``doppler_hz`` is the largest shift over the cluster's centre and, with that compensated, the
    largest one left over for a device; None without geometry.
    """

    to_server: Beam
    to_client: Beam | None = None
    doppler_hz: tuple[float, float] | None = None
    range_m: Callable[[Floats], Floats] | None = None

    def delay_s(self, time_s: Floats) -> Floats:
        """Seconds that a signal travels between each device and the satellite at its time (K,)."""
        if self.range_m is None:
            return np.zeros_like(time_s)
        return self.range_m(time_s) / SPEED_OF_LIGHT_M_S


@dataclass(frozen=True)
class PassFigures:
    """What is remembered of a pass whose links are let go.

    Bytes that the device with the poorest link could upload, between rise and set and while a beam
    serves the cluster, and the Doppler shifts of ``DeviceLinks``.
    """

    least_bytes: float
    least_in_service_bytes: float
    doppler_hz: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class FigureColumns:
    """Figures of N passes, arrays (N,): those of ``PassFigures``, with both Doppler shifts."""

    least_bytes: Floats
    least_in_service_bytes: Floats
    doppler_hz: Floats
    residual_doppler_hz: Floats


def served_bits(curve: LinkCurve, start_s: float, end_s: float) -> Floats:
    """Bits (K,) of a curve while a beam serves the cluster: between two times, nan if never."""
    if np.isnan(start_s):
        return np.zeros(len(curve.time_s))
    if start_s <= curve.time_s[:, 0].min() and end_s >= curve.time_s[:, -1].max():
        return curve.capacity_bits
    return curve.delivered_bits(end_s) - curve.delivered_bits(start_s)


def along(grid_s: Floats, values: Floats, when_s: Floats) -> Floats:
    """Value of each row of ``values`` (K, T) at its ``when_s`` (K,) on its own grid (K, T).

    Linear in between; before and behind the grid it is the first and the last value.
    """
    when = np.minimum(np.maximum(when_s, grid_s[:, 0]), grid_s[:, -1])
    at = np.count_nonzero(grid_s <= when[:, None], axis=1) - 1
    at = np.minimum(at, grid_s.shape[1] - 2) + np.arange(0, grid_s.size, grid_s.shape[1])
    begin_s = grid_s.take(at)
    step = grid_s.take(at + 1) - begin_s
    share = np.divide(when - begin_s, step, out=np.ones_like(when), where=step > 0)
    low = values.take(at)
    return low + (values.take(at + 1) - low) * share


# Without geometry: slots, or contacts of a file. Links that do not depend on it.


def is_steady(radios: Radios) -> bool:
    """Return whether both directions have their rates whatever the geometry is."""
    links = [radio.link for radio in radios if radio is not None]
    return all(
        link.rate == "fixed" and link.required_snr_db == -np.inf and link.environment is None
        for link in links
    )


def fixed_rate_bps(link: Link) -> float:
    """Return what a link of a fixed rate carries, for the share of the time that it has."""
    return float(_overhead(link, 1)[1][0, 0])


def bare_links(
    radios: Radios,
    devices: int,
    rise_s: float,
    set_s: float,
    range_m: Callable[[Floats], Floats] | None = None,
) -> DeviceLinks:
    """Links without geometry, from rise to set: a fixed rate or a fixed path gain.

    ``range_m`` gives the slant range of each device at times (K,), where there is one.
    """
    to_server, to_client = (
        None if radio is None else _constant(radio, devices, rise_s, set_s) for radio in radios
    )
    assert to_server is not None  # only the link to the clients may be neglected
    return DeviceLinks(to_server, to_client, range_m=range_m)


def _constant(radio: Radio, devices: int, rise_s: float, set_s: float) -> Beam:
    signal, rate_bps = _overhead(radio.link, devices)

    def whole(link: Link) -> LinkCurve:
        narrow_bps: Floats = signal_rate_bps(radio.link, signal, link.bandwidth_hz)
        return LinkCurve.constant(narrow_bps[:, 0], rise_s, set_s)

    return Beam(LinkCurve.constant(rate_bps[:, 0], rise_s, set_s), radio, whole)


@lru_cache(maxsize=64)
def _overhead(link: Link, devices: int) -> tuple[Signal, Floats]:
    """Overhead at any distance: what the link has in place of geometry does not ask for either."""
    shape = (devices, 2)
    signal = received_signal(link, np.full(shape, 90.0), np.full(shape, PAPER_ALTITUDE_M))
    return signal, signal_rate_bps(link, signal)
