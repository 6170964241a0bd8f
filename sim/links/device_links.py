"""Both directions of one contact for all its devices, and what is remembered of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from channel import SPEED_OF_LIGHT_M_S, LinkCurve
from sim.links.beam import Beam
from statements.arrays import Floats, Ints


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
