"""What a contact plan of a delay-tolerant network says, entry by entry, in whatever format."""

from collections.abc import Callable, Iterator
from datetime import datetime
from math import isfinite, nan
from typing import Any, NamedTuple

from orbit.checks import shown
from orbit.files import TableError
from orbit.tables import OnBad

YEARS = (1957, 2157)
"""Years in which a date of a plan may lie; the second is the first one behind them."""


class Entry(NamedTuple):
    """A contact, or a range, as a line or an item has it; a relative time is a float."""

    place: int
    start: datetime | float
    end: datetime | float
    source: str
    target: str
    rate_bps: float = nan
    delay_s: float = nan


class Plan:
    """What a text says, line by line."""

    def __init__(self, source: str, on_bad: OnBad | None) -> None:
        self.source = source
        self.on_bad = on_bad
        self.contacts: list[Entry] = []
        self.ranges: list[Entry] = []
        self.names: dict[str, str] = {}
        self.zero: datetime | None = None  # that +SECONDS count from, where the file says so
        self.reference: datetime | None = None
        self.begin: datetime | None = None  # the first reference
        self.others: dict[str, int] = {}

    def unused(self) -> Iterator[str]:
        """What is left aside, by kind."""
        for what, times in self.others.items():
            yield what if times == 1 else f"{times:,} of {what}"

    def leave(self, what: str) -> None:
        """Count something that is not used."""
        self.others[what] = self.others.get(what, 0) + 1

    def each(self, place: int, read: Callable[[int, Any], None], what: Any) -> None:
        """Read something at a place; its ValueError becomes the TableError of the place."""
        try:
            read(place, what)
        except ValueError as error:
            wrong = TableError(f"{self.source}:{place}: {error}")
            if self.on_bad is None:
                raise wrong from None
            self.on_bad(wrong)


def quantity(text: Any, what: str, hint: str) -> float:
    """Return a number from 0; raise ValueError, with the ``hint``, for anything else."""
    try:
        value = nan if isinstance(text, bool) or "_" in str(text) else float(text)
    except (TypeError, ValueError, OverflowError):
        value = nan
    if not (isfinite(value) and value >= 0.0):
        raise ValueError(f"{what} {shown(text)} is not a number from 0; give {hint}")
    return value


def check_span(start: datetime | float, end: datetime | float) -> None:
    """Raise ValueError for an end before the start, or of another kind."""
    if isinstance(start, datetime) != isinstance(end, datetime):
        raise ValueError("has a date and a time after the reference; give two of one kind")
    if not end > start:  # type: ignore[operator]
        raise ValueError(f"ends at {end}, not after its start {start}; correct its times")
