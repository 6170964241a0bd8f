"""Many bracketed roots at once."""

from collections.abc import Callable

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray

Function = Callable[[IntArray, FloatArray], FloatArray]
Smooth = Callable[[IntArray, FloatArray], tuple[FloatArray, FloatArray]]


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
    return np.minimum(np.maximum(np.where(quadratic, inverse, 0.5), limit), 1 - limit)


def newton_roots(
    function: Smooth, low: FloatArray, high: FloatArray, guess: FloatArray, rising: BoolArray,
    tolerance: float,
) -> FloatArray:  # fmt: skip
    """The root of each of n functions between `low` and `high` (n,), by safeguarded Newton steps.

    `function(which, x)` gives values and derivatives of functions `which` at x; each changes sign
    once, upwards where `rising`. A step that leaves the bracket, or is longer than half the one
    before, is replaced by halving the bracket. Iteration ends with the first step below
    `tolerance`; the error then is of the order of its square.
    """
    roots, which = np.empty(len(low)), np.arange(len(low))
    x, longest = np.clip(guess, low, high), high - low
    while which.size:
        value, slope = function(which, x)
        early = (value < 0) == rising
        low, high = np.where(early, x, low), np.where(early, high, x)
        with np.errstate(divide="ignore", invalid="ignore"):
            new = x - value / slope
        step = np.abs(new - x)
        # Written so that nan is no good.
        good = (new >= low) & (new <= high) & (step <= longest)
        if not good.all():
            new = np.where(good, new, 0.5 * (low + high))
            step = np.abs(new - x)
        go = (step > tolerance) & (high - low > tolerance)
        if go.all():
            x, longest = new, 0.5 * step
            continue
        roots[which] = new
        which, x, longest = which[go], new[go], 0.5 * step[go]
        low, high, rising = low[go], high[go], rising[go]
    return roots
