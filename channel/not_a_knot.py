"""The cubic spline through points, without SciPy's package for it: its import takes 0.3 s."""

import numpy as np

from channel.arrays import Floats


def not_a_knot(x: Floats, y: Floats) -> Floats:
    """Cubic polynomials (4, n), highest power first, through values (n + 1,) at rising places.

    The power is that of the distance to a piece's left end; n is at least 3. The third derivative
    is continuous at the second and the last but one point. These are the coefficients of
    scipy.interpolate.CubicSpline, to the last bit.
    """
    from scipy.linalg.lapack import dgtsv

    width = np.diff(x)
    slope = np.diff(y) / width
    first, last = x[2] - x[0], x[-1] - x[-3]
    right = np.empty_like(y)
    right[1:-1] = 3 * (width[1:] * slope[:-1] + width[:-1] * slope[1:])
    right[0] = ((width[0] + 2 * first) * width[1] * slope[0] + width[0] ** 2 * slope[1]) / first
    right[-1] = (width[-1] ** 2 * slope[-2] + (2 * last + width[-1]) * width[-2] * slope[-1]) / last
    below, above = np.append(width[1:], last), np.append(first, width[:-1])
    middle = np.concatenate([width[1:2], 2 * (width[:-1] + width[1:]), width[-2:-1]])
    rate = dgtsv(below, middle, above, right)[3]
    bend = (rate[:-1] + rate[1:] - 2 * slope) / width
    return np.stack([bend / width, (slope - rate[:-1]) / width - bend, rate[:-1], y[:-1]])
