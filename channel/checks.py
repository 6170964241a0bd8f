"""Checks of numbers and texts where they enter the package.

Functions of the package return a float64 scalar where every input is a scalar.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from statements.arrays import Floats, Mask


def checked(name: str, value: ArrayLike, ok: Callable[[Floats], Mask], allowed: str) -> Floats:
    """Turn `value` into float64 and raise ValueError with the first entry that is not `ok`."""
    try:
        values = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {str(value)[:60]!r}; allowed is {allowed}") from None
    accepted = np.asarray(ok(values))
    if not accepted.all():
        raise ValueError(f"{name} is {values[~accepted].flat[0]}; allowed is {allowed}")
    return values


def finite(name: str, value: ArrayLike) -> Floats:
    """Check that every entry is a finite number."""
    return checked(name, value, np.isfinite, "a finite number")


def positive(name: str, value: ArrayLike) -> Floats:
    """Check that every entry is finite and above zero."""
    return checked(
        name, value, lambda x: np.isfinite(x) & (x > 0), "a finite number greater than 0"
    )


def not_negative(name: str, value: ArrayLike) -> Floats:
    """Check that every entry is finite and at least zero."""
    return checked(name, value, lambda x: np.isfinite(x) & (x >= 0), "a finite number, at least 0")


def between(name: str, value: ArrayLike, low: float, high: float) -> Floats:
    """Check that every entry lies in the closed interval from `low` to `high`."""
    return checked(
        name, value, lambda x: (x >= low) & (x <= high), f"a number from {low:g} to {high:g}"
    )


def above_horizon(elevation_deg: ArrayLike) -> Floats:
    """Check that every entry of ``elevation_deg`` is an elevation at which there can be a link."""
    allowed = "more than 0 and at most 90 degrees; leave out what is below the horizon"
    return checked("elevation_deg", elevation_deg, lambda x: (x > 0.0) & (x <= 90.0), allowed)


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Check that a text is one of a few."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed is one of {', '.join(allowed)}")
