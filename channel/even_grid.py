"""Rates for the points of a grid, such that a curve that is linear in between carries the right
number of bits.

Linear interpolation of a smooth rate r over a cell of h seconds has h^3 r'' / 12 bits too many (the
trapezoidal rule). On an even grid d2 / 12 is taken off at the points and 11 d4 / 720 put back, with
second and fourth differences d2 and d4: the error of a cell then falls to the seventh order. Where
the grid is not even, or the rate jumps or has a kink close by, a cell has a point in its middle.
"""

import numpy as np
from numpy.typing import NDArray

from channel.arrays import Floats

MOST_POINTS = 8
"""Points of a row from which its differences can be told to its ends."""
LEAST_POINTS = 4
"""Points of a row from which it has second differences there."""


def bit_preserving(rate_bps: Floats) -> Floats:
    """Rates (K, T) of a smooth link at even times, moved so that every cell has its true bits.

    At the two points next to either end differences are extrapolated. Rows of fewer than eight
    points have second differences only; those of fewer than four are left.
    """
    points = rate_bps.shape[-1]
    if points < LEAST_POINTS:
        return rate_bps
    bend = np.empty_like(rate_bps)
    if points < MOST_POINTS:
        bend[:, 1:-1] = _second(rate_bps)
        _extrapolate(bend, 1, (2.0, -1.0))
    else:
        bend[:, 2:-2] = _bends(rate_bps)
        for end in (2, 1):
            _extrapolate(bend, end, (4.0, -6.0, 4.0, -1.0))
    return np.maximum(rate_bps - bend / 12.0, 0.0)


def inside(smooth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Points (K, T) with two `smooth` cells (K, T - 1) on either side."""
    rows, cells = smooth.shape
    inner = np.zeros((rows, cells + 1), bool)
    if cells > 3:
        inner[:, 2:-2] = smooth[:, :-3] & smooth[:, 1:-2] & smooth[:, 2:-1] & smooth[:, 3:]
    return inner


def moved(rate_bps: Floats, where: NDArray[np.bool_]) -> Floats:
    """Rates (K, T) at even times, moved as by `bit_preserving` at the points in `where` (K, T).

    These have two points on either side. A cell between two of them has its true bits; others need
    `middle_of_cells`.
    """
    bend = np.zeros_like(rate_bps)
    if rate_bps.shape[-1] > LEAST_POINTS:
        bend[:, 2:-2] = _bends(rate_bps)
    return np.maximum(rate_bps - np.where(where, bend, 0.0) / 12.0, 0.0)


def _second(rate_bps: Floats) -> Floats:
    second: Floats = rate_bps[:, :-2] - 2.0 * rate_bps[:, 1:-1] + rate_bps[:, 2:]
    return second


def _bends(rate_bps: Floats) -> Floats:
    """Twelve times what is to be taken off, for all but two points at either end."""
    second = _second(rate_bps)
    return second[:, 1:-1] - (11.0 / 60.0) * _second(second)


def _extrapolate(bend: Floats, end: int, weights: tuple[float, ...]) -> None:
    """Fill in the column before the one numbered `end`, and its mirror image."""
    bend[:, end - 1] = sum(w * bend[:, end + n] for n, w in enumerate(weights))
    bend[:, -end] = sum(w * bend[:, -end - 1 - n] for n, w in enumerate(weights))


def middle_of_cells(
    ends_bps: tuple[Floats, Floats], middle_bps: Floats, moved_bps: tuple[Floats, Floats]
) -> Floats:
    """Rates for the middle of cells, such that both halves together have the bits of the cell.

    These are those of Simpson's rule, by the true rates at the ends and in the middle; moved_bps
    are the rates that the curve has at the ends. All of one shape.
    """
    mean = (ends_bps[0] + 4.0 * middle_bps + ends_bps[1]) / 6.0
    return np.maximum(2.0 * mean - (moved_bps[0] + moved_bps[1]) / 2.0, 0.0)
