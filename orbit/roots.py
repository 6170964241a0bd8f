"""Roots and peaks of many functions at once: by Newton's steps where slopes are known, else SciPy.

SciPy's methods are those of Chandrupatla, which halve or section where a fit does not help. They
are imported when they are used first, as most commands need none of them.
"""

from collections.abc import Callable

import numpy as np

from statements.arrays import Floats, Ints, Mask

Values = Callable[[Ints, Floats], Floats]
"""Values (m,) of functions, by their numbers (m,), at m places."""
Smooth = Callable[[Ints, Floats], tuple[Floats, Floats]]


def newton_roots(
    function: Smooth, low: Floats, high: Floats, guess: Floats, rising: Mask,
    tolerance: float,
) -> Floats:  # fmt: skip
    """The root of each of n functions between `low` and `high` (n,), by safeguarded Newton steps.

    `function(which, x)` gives values and derivatives of functions `which` at x; each changes sign
    once, upwards where `rising`. A step that leaves the bracket, or is longer than half the one
    before, is replaced by halving the bracket. Iteration ends with the first step below
    `tolerance`; the error then is of the order of its square.
    """
    roots = np.empty(len(low))
    which = np.arange(len(low))
    x = np.clip(guess, low, high)
    longest = high - low  # the longest step that is accepted next
    with np.errstate(divide="ignore", invalid="ignore"):
        while which.size:
            value, slope = function(which, x)
            early = (value < 0) == rising
            low = np.where(early, x, low)
            high = np.where(early, high, x)
            new = x - value / slope
            step = np.abs(new - x)
            # Written so that nan is not good.
            good = (new >= low) & (new <= high) & (step <= longest)
            if not good.all():
                new = np.where(good, new, 0.5 * (low + high))
                step = np.abs(new - x)
            go = (step > tolerance) & (high - low > tolerance)
            if go.all():
                x = new
                longest = 0.5 * step
                continue
            roots[which] = new
            which = which[go]
            x = new[go]
            longest = 0.5 * step[go]
            low = low[go]
            high = high[go]
            rising = rising[go]
    return roots


def roots(
    function: Values,
    ends: tuple[Floats, Floats],
    at_ends: tuple[Floats, Floats],
    tolerance: float,
) -> Floats:
    """Where (n,) each of n functions changes sign.

    It does so once between its `ends` (n,), where its values are `at_ends` (n,), of unlike sign.
    """
    if not len(ends[0]):
        return ends[0]
    from scipy.optimize.elementwise import find_root

    return find_root(
        _known(function, ends, at_ends),
        ends,
        args=(np.arange(len(ends[0])),),
        tolerances=_tolerances(tolerance),
    ).x


def peaks(
    function: Values,
    places: tuple[Floats, Floats, Floats],
    at_places: tuple[Floats, Floats, Floats],
    tolerance: float,
) -> Floats:
    """Where (n,) each of n functions is highest.

    That is between the outer of three `places` (n,); at the middle one its values, `at_places`
    (n,), are not below the others.
    """
    if not len(places[0]):
        return places[0]
    from scipy.optimize.elementwise import find_minimum

    known = _known(function, places, at_places)
    return find_minimum(
        lambda x, which: -known(x, which),
        places,
        args=(np.arange(len(places[0])),),
        tolerances=_tolerances(tolerance),
    ).x


def _tolerances(absolute: float) -> dict[str, float]:
    """A tolerance of x, and the rounding of numbers that are large beside it."""
    return {"xatol": absolute, "xrtol": 4.0 * float(np.finfo(float).eps)}


def _known(
    function: Values, places: tuple[Floats, ...], at: tuple[Floats, ...]
) -> Callable[[Floats, Ints], Floats]:
    """The function, which is not asked for values that are known and might round them otherwise."""

    def value(x: Floats, which: Ints) -> Floats:
        for place, known in zip(places, at, strict=True):
            if np.array_equal(x, place[which]):
                return known[which]
        return function(which, x)

    return value
