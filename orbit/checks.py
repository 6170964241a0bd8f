"""Checks of ranges with errors in one line, and the array types of the package."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from difflib import get_close_matches
from math import isfinite
from numbers import Integral, Real
from typing import Any, Self

from statements import Code, Place, Refused, Statement
from statements.arrays import Ints, Mask


class BrokenFile(Refused):
    """What a file says that cannot be used: `file:line: what is wrong; how to mend it`."""

    def __init__(
        self, said: str | Iterable[Statement], place: Place | None = None, more: int = 0
    ) -> None:
        """Keep the text, or what a pickled error was made of."""
        broken = Statement(Code.BROKEN_FILE, (), said) if isinstance(said, str) else said
        super().__init__(broken, place, more)


def within(value: float, low: float, high: float, name: str, *, below: bool = False) -> float:
    """Return `value` as a float if it is in [low, high], or [low, high) with `below`.

    Raises ValueError otherwise.
    """
    span = f"{low:g} {'up to but not including' if below else 'to'} {high:g}"
    number = _number(value, name, f"give one from {span}")
    if not low <= number <= high or (below and number == high):
        raise ValueError(f"{name} {value} is outside {span}; give a number in there")
    return number


def finite(value: float, name: str, remedy: str) -> float:
    """Return `value` as a float if it is a finite number; raise ValueError otherwise."""
    number = _number(value, name, remedy)
    if not isfinite(number):
        raise ValueError(f"{name} {value} is not finite; {remedy}")
    return number


def whole(value: int, name: str) -> int:
    """Return `value` as an int if it is a whole number by type; raise ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} {shown(value)} is not a whole number; give an integer")
    return int(value)


def shown(value: Any) -> str:
    """The start of a value of any type, on one line."""
    return " ".join(repr(value).split())[:60]


def near(name: str, names: Iterable[str]) -> str:
    """Suggest the nearest of `names`, or list them all."""
    known = {known.lower(): known for known in names}
    found = get_close_matches(name.lower(), known, n=1)
    if found:
        return f"did you mean {shown(known[found[0]])}?"
    return f"there are {', '.join(map(repr, known.values()))}"


def _number(value: Any, name: str, remedy: str) -> float:
    # True is 1 to Python; nobody means that.
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} {shown(value)} is not a number; {remedy}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is larger than any float; {remedy}") from None


@dataclass(frozen=True)
class Rows:
    """Base of dataclasses whose fields are arrays of one length."""

    def __len__(self) -> int:
        """The number of rows."""
        return len(getattr(self, fields(self)[0].name))

    def where(self, keep: Mask | Ints) -> Self:
        """Those rows for which `keep` is True, or that it names."""
        return type(self)(*(getattr(self, column.name)[keep] for column in fields(self)))
