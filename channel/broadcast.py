"""One transmission to many devices: the rate of the one with the poorest link."""

import numpy as np
from numpy.typing import NDArray

from channel.arrays import Floats
from channel.curve import LinkCurve

AT_ONCE_S = 1e-5
"""Points of a curve closer than this are two sides of a jump."""


def weakest(curve: LinkCurve, who: NDArray[np.bool_]) -> LinkCurve:
    """The curves (K rows) of a broadcast to the devices in `who` (K,).

    At every time it has the lowest rate of those devices, so that it lasts while all of them have a
    link. Devices whose link carries nothing at all are left out, and get 0, like those not in
    `who`. The points are as many as those of `curve`, even over the time in common, and the jumps.
    """
    members = who & (np.atleast_1d(curve.capacity_bits) > 0)
    if not members.any():
        return LinkCurve(curve.time_s, np.zeros_like(curve.rate_bps))
    time, rate = curve.time_s[members], curve.rate_bps[members]
    start_s, end_s = time[:, 0].max(), time[:, -1].min()
    if end_s <= start_s:
        return LinkCurve(curve.time_s, np.zeros_like(curve.rate_bps))
    even = np.linspace(start_s, end_s, time.shape[1])
    grid = np.union1d(even, np.clip(jumps_s(time), start_s, end_s))
    lowest: Floats = np.min(_at(time, rate, grid), axis=0)
    return LinkCurve(np.tile(grid, (len(who), 1)), np.where(members[:, None], lowest, 0.0))


def _at(time_s: Floats, rate_bps: Floats, grid_s: Floats) -> Floats:
    """Every row's rate (K, G) at the same times (G,), inside of all grids (K, T)."""
    step_s = (time_s[:, -1:] - time_s[:, :1]) / (time_s.shape[1] - 1)
    if not np.allclose(np.diff(time_s, axis=1), step_s, rtol=1e-6, atol=0.0):
        return np.array([np.interp(grid_s, *row) for row in zip(time_s, rate_bps, strict=True)])
    # Even points need no search: thousands of devices are a dozen times quicker so.
    place = np.clip((grid_s - time_s[:, :1]) / step_s, 0.0, time_s.shape[1] - 1.0)
    cell = np.minimum(place.astype(np.intp), time_s.shape[1] - 2)
    low = np.take_along_axis(rate_bps, cell, axis=1)
    high = np.take_along_axis(rate_bps, cell + 1, axis=1)
    rate: Floats = low + (place - cell) * (high - low)
    return rate


def jumps_s(time_s: Floats) -> Floats:
    """Times on both sides of every jump in any row of a curve's grid (K, T)."""
    close = np.diff(time_s, axis=1)
    rows, cells = np.nonzero((close > 0) & (close < AT_ONCE_S))
    jumps: Floats = np.concatenate([time_s[rows, cells], time_s[rows, cells + 1]])
    return jumps
