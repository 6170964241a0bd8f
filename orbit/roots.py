"""Many bracketed roots at once."""

from collections.abc import Callable

import numpy as np

from orbit.arrays import FloatArray, IntArray

Function = Callable[[IntArray, FloatArray], FloatArray]


def bracketed_roots(
    function: Function,
    left: FloatArray,
    right: FloatArray,
    at_left: FloatArray,
    at_right: FloatArray,
    tolerance: float,
) -> FloatArray:
    """Roots (n,) of n functions, each within `tolerance`, by Chandrupatla's method (1997).

    `function(which, x)` evaluates functions `which` at x; `at_left` and `at_right` are the values
    at the ends, of opposite signs (zero counts as positive). Converged ones are evaluated no more.
    """
    roots = np.empty(len(left))
    which = np.arange(len(left))
    a, fa, b, fb = right, at_right, left, at_left
    step = np.full(len(left), 0.5)
    while which.size:
        x = a + step * (b - a)
        fx = function(which, x)
        same = (fx < 0) == (fa < 0)
        c, fc = np.where(same, a, b), np.where(same, fa, fb)
        b, fb = np.where(same, b, a), np.where(same, fb, fa)
        a, fa = x, fx
        limit = 0.5 * tolerance / np.abs(b - a)
        done = (limit > 0.5) | (fa == 0)
        best = np.where(np.abs(fa) < np.abs(fb), a, b)
        roots[which[done]] = best[done]
        go = ~done
        which, a, b, c = which[go], a[go], b[go], c[go]
        fa, fb, fc, limit = fa[go], fb[go], fc[go], limit[go]
        step = _next_step(a, b, c, fa, fb, fc, limit)
    return roots


def _next_step(
    a: FloatArray, b: FloatArray, c: FloatArray, fa: FloatArray, fb: FloatArray, fc: FloatArray,
    limit: FloatArray,
) -> FloatArray:  # fmt: skip
    """Fraction from a to b: inverse quadratic interpolation where it is monotone, else a half."""
    with np.errstate(divide="ignore", invalid="ignore"):
        xi = (a - b) / (c - b)
        phi = (fa - fb) / (fc - fb)
        quadratic = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
        inverse = fa / (fb - fa) * fc / (fb - fc)
        inverse += (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
    return np.clip(np.where(quadratic, inverse, 0.5), limit, 1 - limit)
