"""Contact windows of satellites over sites, exact by SGP4: the question and its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orbit
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


SECOND = "%Y-%m-%dT%H:%M:%SZ"
"""Form of a time (UTC) in messages."""


def other_dates(key: str, within: str, start: datetime, first_s: float, last_s: float) -> Statement:
    """Say that none of a file's windows lie ``within`` the run, when they do, and what start fits.

    They are from ``first_s`` to ``last_s`` after the start.
    """
    first, last = (f"{start + timedelta(seconds=s):{SECOND}}" for s in (first_s, last_s))
    return Statement.of(
        Code.WRONG_VALUE,
        key,
        "none of its windows is {within}; they are from {first} to {last}",
        Set("start", first),
        within=within,
        first=first,
        last=last,
    )
