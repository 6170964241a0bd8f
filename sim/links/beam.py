"""The links of one contact: the beam that devices share in one direction, and both directions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

import numpy as np

from channel import (
    SPEED_OF_LIGHT_M_S,
    Link,
    LinkCurve,
    Signal,
    received_signal,
    signal_rate_bps,
    weakest,
)
from sim.facts.directions import Way
from statements.arrays import Floats, Ints, Mask

Sharing = Literal["fixed_subchannel", "equal_share", "broadcast"]


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
        """Number of sub-channels, which is the number of devices that can have one of their own."""
        return int(self.total_bandwidth_hz / self.link.bandwidth_hz * (1 + 1e-9))

    @property
    def alone(self) -> bool:
        """Whether each device has a sub-channel of its own."""
        return self.sharing == "fixed_subchannel"

    def narrowed(self, sharing: int) -> Link:
        """The link of one of ``sharing`` devices that divide the whole band; each keeps its power.

        A fixed rate falls with the band.
        """
        band_hz = self.total_bandwidth_hz / sharing
        link = self.link
        fixed_bps = link.fixed_rate_bps
        if fixed_bps is not None:
            fixed_bps *= band_hz / link.bandwidth_hz
        return replace(link, bandwidth_hz=band_hz, fixed_rate_bps=fixed_bps)


Radios = tuple[Radio, Radio | None]
"""To the server and to the clients of a cluster; None where the latter is neglected."""
Span = tuple[float, float]
"""Seconds from and to."""
Narrow = Callable[[Link, float, Mask], tuple[LinkCurve, float]]
"""Curve (K rows) of those in a mask for another link, from a time on, and until when it holds."""


@dataclass(frozen=True, eq=False)
class RateSegment:
    """Rates of devices (K rows) until a time."""

    curve: LinkCurve
    until_s: float = np.inf

    def sent_bits(self, start_s: Floats | float, end_s: Floats | float) -> Floats:
        """Bits (K,) between two times."""
        return self.curve.delivered_bits(end_s) - self.curve.delivered_bits(start_s)


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

    def broadcast(self, who: Mask, span_s: Span) -> LinkCurve:
        """Curves of one transmission to the devices in ``who`` (K,) within a span."""
        return weakest(self.curve, who, span_s)

    def reach(self, senders: int) -> LinkCurve:
        """Curves of ``senders`` devices that share: a row that carries nothing has no link."""
        radio = self.radio
        if radio is None or radio.sharing != "equal_share" or senders <= radio.channels:
            return self.curve
        assert self.whole is not None  # whose band is shared anew has other curves
        return self.whole(radio.narrowed(senders))

    def stretch(self, sharing: int, now_s: float, who: Mask) -> RateSegment:
        """Rates of the devices in ``who`` from a time on while ``sharing`` ones use the band."""
        radio = self.radio
        if radio is None or sharing <= radio.channels:
            return RateSegment(self.curve)
        if self.narrow is None:
            return RateSegment(self.reach(sharing))
        curve, until_s = self.narrow(radio.narrowed(sharing), now_s, who)
        return RateSegment(curve, until_s=until_s)

    def saturated_bits(self, cuts_s: Floats) -> Floats:
        """Bits (E - 1,) sent between times (E,), in order, while all devices send all the time.

        They share the band as in transfers; of a broadcast, what all of them hear counts once.
        """
        devices = len(self.curve.time_s)
        radio = self.radio
        if radio is not None and radio.sharing == "broadcast":
            every = np.ones(devices, bool)
            heard = self.broadcast(every, (float(cuts_s[0]), float(cuts_s[-1])))
            # Who hears nothing at all in the pass is left out, and has 0.
            sent = [heard.delivered_bits(time_s).max() for time_s in cuts_s]
        else:
            by_turns = radio is not None and radio.sharing != "equal_share"
            share = min(1.0, radio.channels / devices) if radio is not None and by_turns else 1.0
            curve = self.reach(devices)
            sent = [share * curve.delivered_bits(time_s).sum() for time_s in cuts_s]
        return np.diff(np.array(sent))


@dataclass(frozen=True, eq=False)
class DeviceLinks:
    """Both ways of one contact for all its devices (K); no link to the clients is a neglected one.

    ``range_m`` gives the slant range of each device at its time (K,); None stands for no distance.
    ``doppler_hz`` is the largest shift over the cluster's centre and, with that compensated, the
    largest one left over for a device; nan without geometry.
    """

    to_server: Beam
    to_client: Beam | None = None
    doppler_hz: tuple[float, float] = (np.nan, np.nan)
    range_m: Callable[[Floats], Floats] | None = None

    @property
    def beams(self) -> tuple[tuple[Way, Beam | None], ...]:
        """The beam each way; None for one that is neglected."""
        return (Way.TO_SERVER, self.to_server), (Way.TO_CLIENT, self.to_client)

    def delay_s(self, time_s: Floats) -> Floats:
        """Seconds that a signal travels between each device and the satellite at its time (K,)."""
        if self.range_m is None:
            return np.zeros_like(time_s)
        return self.range_m(time_s) / SPEED_OF_LIGHT_M_S


@dataclass(frozen=True, eq=False)
class RangeGrid:
    """Slant ranges (K, T) of devices, each at times of its own (K, T): linear in between.

    Before and after these times it is the first and the last range.
    """

    time_s: Floats
    slant_range_m: Floats

    @cached_property
    def _first(self) -> Ints:
        """Where each row (K,) begins in the memory of the grids."""
        return np.arange(0, self.time_s.size, self.time_s.shape[1])

    def __call__(self, when_s: Floats) -> Floats:
        """Return the range of each device at its time (K,)."""
        grid_s = self.time_s
        when = np.minimum(np.maximum(when_s, grid_s[:, 0]), grid_s[:, -1])
        at = np.add.reduce(grid_s <= when[:, None], axis=1, dtype=np.intp) - 1
        at = np.minimum(at, grid_s.shape[1] - 2) + self._first
        begin_s = grid_s.take(at)
        step = grid_s.take(at + 1) - begin_s
        share = np.divide(when - begin_s, step, out=np.ones_like(when), where=step > 0)
        low = self.slant_range_m.take(at)
        return low + (self.slant_range_m.take(at + 1) - low) * share


class OneRange:
    """The ranges of one device, asked for at one time: a message over a mesh is alone.

    They are copied: those of a table of many passes would keep the whole of that alive.
    """

    def __init__(self, ranges: RangeGrid) -> None:
        self._time_s: list[float] = ranges.time_s[0].tolist()
        self._range_m: list[float] = ranges.slant_range_m[0].tolist()

    def __call__(self, when_s: float) -> float:
        """Return the range at a time."""
        when_s = min(max(when_s, self._time_s[0]), self._time_s[-1])
        at = min(bisect_right(self._time_s, when_s), len(self._time_s) - 1) - 1
        begin_s, end_s = self._time_s[at : at + 2]
        share = (when_s - begin_s) / (end_s - begin_s) if end_s > begin_s else 1.0
        low, high = self._range_m[at : at + 2]
        return low + (high - low) * share


class PassFigures(NamedTuple):
    """Figures of passes (N,) that remain when their links are let go.

    Bytes that the device with the poorest link could upload, between rise and set and while a beam
    serves the cluster, and the Doppler shifts of ``DeviceLinks``, nan without geometry.
    """

    least_bytes: Floats
    least_in_service_bytes: Floats
    doppler_hz: Floats
    residual_doppler_hz: Floats

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]]) -> PassFigures:
        """Return the figures of passes that have each its row."""
        return cls(*np.array(rows, float).reshape(-1, len(cls._fields)).T)


def served_bits(curve: LinkCurve, start_s: float, end_s: float) -> Floats:
    """Bits (K,) of a curve while a beam serves the cluster: between two times, nan if never."""
    if np.isnan(start_s):
        return np.zeros(len(curve.time_s))
    if start_s <= curve.time_s[:, 0].min() and end_s >= curve.time_s[:, -1].max():
        return curve.capacity_bits
    return curve.delivered_bits(end_s) - curve.delivered_bits(start_s)


# Links whose rates do not depend on the geometry: fixed rates, or a fixed path gain.


PAPER_ALTITUDE_M = 600e3
"""Satellite altitude that the paper's fixed large-scale fading stands for: overhead, where there is
no geometry."""


def is_steady(radios: Radios) -> bool:
    """Return whether the rates of both directions are independent of the geometry."""
    links = [radio.link for radio in radios if radio is not None]
    return all(
        link.rate == "fixed" and link.required_snr_db == -np.inf and link.environment is None
        for link in links
    )


def fixed_rate_bps(link: Link) -> float:
    """Return the mean rate of a link of a fixed rate, which is in use for a share of the time."""
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
    to_server, to_client = radios
    back = None if to_client is None else _constant(to_client, devices, rise_s, set_s)
    return DeviceLinks(_constant(to_server, devices, rise_s, set_s), back, range_m=range_m)


def piecewise_links(
    radios: Radios,
    devices: int,
    steps: Steps,
    rates_bps: tuple[Floats, Floats | None],
    range_m: Callable[[Floats], Floats],
) -> DeviceLinks:
    """Links at given rates (P,) of each device, to the server and to the clients, in steps.

    None is a link that is neglected. The band is shared as the ``radios`` have it; where one is
    None there is no limit to it.
    """
    to_server, to_client = (
        None if rate_bps is None else _stepped(radio, devices, steps, rate_bps)
        for radio, rate_bps in zip(radios, rates_bps, strict=True)
    )
    assert to_server is not None  # only the way back may be neglected
    return DeviceLinks(to_server, to_client, range_m=range_m)


def _stepped(radio: Radio | None, devices: int, steps: Steps, rate_bps: Floats) -> Beam:
    each_bps = np.tile(steps.of(rate_bps), (devices, 1))
    time_s = np.tile(steps.time_s, (devices, 1))

    def whole(link: Link) -> LinkCurve:
        assert radio is not None  # whose band is shared
        return LinkCurve.summed(time_s, each_bps * (link.bandwidth_hz / radio.link.bandwidth_hz))

    return Beam(LinkCurve.summed(time_s, each_bps), radio, None if radio is None else whole)


@dataclass(frozen=True, eq=False)
class Steps:
    """Times at which what is constant in between may jump: from each edge (P + 1) to the next."""

    edge_s: Floats

    @cached_property
    def time_s(self) -> Floats:
        """Points of a curve: both ends of each step."""
        return np.repeat(self.edge_s, 2)[1:-1]

    @staticmethod
    def of(values: Floats) -> Floats:
        """Return the values (P,) at these points."""
        return np.repeat(values, 2)

    def at(self, values: Floats, time_s: Floats) -> Floats:
        """Return the values at times; before and after the steps the first and the last."""
        number = np.searchsorted(self.edge_s, time_s, side="right") - 1
        return values[np.clip(number, 0, len(values) - 1)]

    def within(self, begin_s: float, end_s: float) -> tuple[Steps, Ints]:
        """Return the steps between two times, and which they are."""
        numbers = np.flatnonzero((self.edge_s[1:] > begin_s) & (self.edge_s[:-1] < end_s))
        edges = self.edge_s[numbers[0] : numbers[-1] + 2]
        return Steps(np.clip(edges, begin_s, end_s)), numbers


def _constant(radio: Radio, devices: int, rise_s: float, set_s: float) -> Beam:
    signal, rate_bps = _overhead(radio.link, devices)

    def whole(link: Link) -> LinkCurve:
        narrow_bps: Floats = signal_rate_bps(radio.link, signal, link.bandwidth_hz)
        return LinkCurve.constant(narrow_bps[:, 0], rise_s, set_s)

    return Beam(LinkCurve.constant(rate_bps[:, 0], rise_s, set_s), radio, whole)


@lru_cache(maxsize=64)
def _overhead(link: Link, devices: int) -> tuple[Signal, Floats]:
    """Return the signal overhead: a link without geometry does not depend on where it is."""
    shape = (devices, 2)
    signal = received_signal(link, np.full(shape, 90.0), np.full(shape, PAPER_ALTITUDE_M))
    return signal, signal_rate_bps(link, signal)
