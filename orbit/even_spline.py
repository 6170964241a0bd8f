"""Cubic splines through values at even knots, many at once."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from orbit.checks import FloatArray, IntArray


def spline_rates(
    knots: FloatArray, values: FloatArray, counts: IntArray | Sequence[int]
) -> FloatArray:
    """Derivatives (P, C) at the knots (P,) of splines that lie one after the other.

    Spline n goes through the next counts[n] of the values (P, C), at least 4, at even knots.
    Not-a-knot at both ends: the third derivative is continuous at the second and the last but one
    knot. These are the derivatives of scipy.interpolate.CubicSpline, to the last bit; knots that
    are even need no other pivots than those on the diagonal.

    Row k of the equations is eliminated in all splines at once. The longest spline comes first in
    each row, so that those that go on to the next row are the first ones.
    """
    counts = np.asarray(counts)
    first = np.cumsum(counts) - counts
    longest = np.argsort(-counts, kind="stable")
    having = np.searchsorted(-counts[longest], -np.arange(counts.max()))  # how many have row k
    start = np.cumsum(having) - having
    row = np.repeat(np.arange(len(having)), having)
    source = first[longest[np.arange(len(row)) - start[row]]] + row
    below, middle, above, right = (
        of_knots[..., source] for of_knots in _equations(knots, values.T, first, counts)
    )
    rows = list(zip(start.tolist(), having.tolist(), strict=True))
    for (before, _), (this, many) in pairwise(rows):
        upper, lower = slice(before, before + many), slice(this, this + many)
        factor = below[lower] / middle[upper]
        middle[lower] -= factor * above[upper]
        right[:, lower] -= factor * right[:, upper]
    solved = 0
    for this, many in reversed(rows):
        upper, lower = slice(this, this + solved), slice(this + many, this + many + solved)
        right[:, upper] -= above[upper] * right[:, lower]
        right[:, this : this + many] /= middle[this : this + many]
        solved = many
    rates = np.empty_like(right)
    rates[:, source] = right
    return rates.T


def _equations(
    x: FloatArray, y: FloatArray, first: IntArray, counts: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Coefficients (P,) below, on and above the diagonal, and right-hand sides (C, P)."""
    last = first + counts - 1
    width, rise = np.diff(x, append=0.0), np.diff(y, append=0.0)
    width[last] = 1.0  # from one spline to the next; it goes into no equation
    slope = rise / width
    begin, end = x[first + 2] - x[first], x[last] - x[last - 2]
    below, middle, above, right = (np.empty_like(each) for each in (x, x, x, slope))
    below[1:], middle[1:], above[1:] = width[1:], 2 * (width[:-1] + width[1:]), width[:-1]
    right[:, 1:] = 3 * (width[1:] * slope[:, :-1] + width[:-1] * slope[:, 1:])
    outer, inner = width[first], width[first + 1]
    middle[first], above[first] = inner, begin
    right[:, first] = (outer + 2 * begin) * inner * slope[:, first] + outer**2 * slope[:, first + 1]
    right[:, first] /= begin
    inner, outer = width[last - 2], width[last - 1]
    below[last], middle[last] = end, inner
    right[:, last] = outer**2 * slope[:, last - 2] + (2 * end + outer) * inner * slope[:, last - 1]
    right[:, last] /= end
    return below, middle, above, right
