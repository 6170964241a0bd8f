"""Both directions of one contact for all its devices, and what is remembered of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from channel import SPEED_OF_LIGHT_M_S, LinkCurve
from learning.requests.cluster import Floats, Ints
from sim.links.beam import Beam


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

    def delay_of_one(self) -> Callable[[float], float]:
        """Return what says the same of the only device, at one time, without these links."""
        range_m = self.range_m
        if range_m is None:
            return lambda _: 0.0
        if isinstance(range_m, RangeGrid):
            of_one_m = PlainRange(range_m)
            return lambda time_s: of_one_m(time_s) / SPEED_OF_LIGHT_M_S
        return lambda time_s: float(range_m(np.array([time_s]))[0]) / SPEED_OF_LIGHT_M_S


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


class PlainRange:
    """The ranges of a `RangeGrid` of one device in plain numbers: the same to the last bit."""

    def __init__(self, grid: RangeGrid) -> None:
        self._time_s: list[float] = grid.time_s[0].tolist()
        self._range_m: list[float] = grid.slant_range_m[0].tolist()

    def __call__(self, when_s: float) -> float:
        """Return the range at a time."""
        time_s = self._time_s
        # Compared, not passed to min and max: a search of routes asks this for every pass.
        if when_s < time_s[0]:
            when_s = time_s[0]
        elif when_s > time_s[-1]:
            when_s = time_s[-1]
        at = bisect_right(time_s, when_s) - 1
        if at == len(time_s) - 1:
            at -= 1
        step_s = time_s[at + 1] - time_s[at]
        share = (when_s - time_s[at]) / step_s if step_s > 0.0 else 1.0
        low_m = self._range_m[at]
        return low_m + (self._range_m[at + 1] - low_m) * share


@dataclass(frozen=True)
class PassFigures:
    """Figures of a pass that remain when its links are let go.

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
