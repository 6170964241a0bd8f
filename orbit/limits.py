"""Range checks whose one-line message names the value and what is allowed."""

from math import isfinite


def within(value: float, low: float, high: float, what: str) -> float:
    """Return `value` as a float if it is finite and in [low, high]; raise ValueError otherwise."""
    if not (isfinite(value) and low <= value <= high):
        raise ValueError(f"{what} {value!r} is outside {low:g} to {high:g}; give a number in there")
    return float(value)


def within_open(value: float, low: float, high: float, what: str) -> float:
    """Return `value` as a float if it is in [low, high), the upper end left out."""
    if not (isfinite(value) and low <= value < high):
        raise ValueError(
            f"{what} {value!r} is outside {low:g} up to but not including {high:g}; "
            "give a number in there"
        )
    return float(value)
