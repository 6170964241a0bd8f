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
    each = [np.interp(grid, *row) for row in zip(time, rate, strict=True)]
    lowest: Floats = np.min(each, axis=0)
    return LinkCurve(np.tile(grid, (len(who), 1)), np.where(members[:, None], lowest, 0.0))


def jumps_s(time_s: Floats) -> Floats:
    """Times on both sides of every jump in any row of a curve's grid (K, T)."""
    close = np.diff(time_s, axis=1)
    rows, cells = np.nonzero((close > 0) & (close < AT_ONCE_S))
    jumps: Floats = np.concatenate([time_s[rows, cells], time_s[rows, cells + 1]])
    return jumps
