"""Both directions of one contact for all its devices, and what is remembered of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from channel import SPEED_OF_LIGHT_M_S, LinkCurve
from learning.requests.cluster import Floats
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
