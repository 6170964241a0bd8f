"""Contact windows of satellites over sites, exact by SGP4: the question and its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import orbit
from orbit.utc import to_second
from statements import Code, Set, Statement

Windows = tuple[orbit.ContactWindows, tuple[str, ...]]
"""Windows, and a line about each satellite whose elements fail at times."""


@dataclass(frozen=True)
class WindowQuery:
    """Windows of ``satellites`` over ``sites``, exact by SGP4, between two aware datetimes."""

    satellites: Sequence[orbit.Satellite]
    sites: Sequence[orbit.Site]
    start: datetime
    end: datetime
    min_elevation_deg: float


Find = Callable[[WindowQuery], Windows]
"""``find_windows``, or a cache in front of it."""


def find_windows(query: WindowQuery) -> Windows:
    """Find windows. Raises ElementError for elements that SGP4 cannot use at all."""
    failures: list[orbit.Failure] = []
    windows = orbit.contact_windows(
        query.satellites,
        query.sites,
        query.start,
        query.end,
        query.min_elevation_deg,
        refine="sgp4",
        on_failure=failures.append,
    )
    whole = next((failure for failure in failures if failure.whole), None)
    if whole is not None:
        raise orbit.ElementError(str(whole))
    return windows, tuple(map(str, failures))


def other_dates(
    key: str, start: datetime, span_s: float, first_s: float, last_s: float
) -> Statement:
    """Say that a file's windows do not lie in the run, when they do, and which start would fit.

    They are from ``first_s`` to ``last_s`` after its start.
    """
    first, last = (to_second(start, time_s) for time_s in (first_s, last_s))
    return Statement.of(
        Code.WRONG_VALUE,
        key,
        "none of its windows is in the {days:g} days from {start}; they are from {first} to {last}",
        Set("start", first),
        days=span_s / 86_400,
        start=to_second(start),
        first=first,
        last=last,
    )
