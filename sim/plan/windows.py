"""Contact windows of satellites over sites, exact by SGP4: the question and its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import tau

import orbit
from orbit.utc import to_second
from sim.formatting import counted
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
    """Find windows, whole where they set within a turn of their satellite after the end.

    Raises ElementError for elements that SGP4 cannot use at all.
    """
    met: list[orbit.Failure] = []
    windows = orbit.contact_windows(
        query.satellites,
        query.sites,
        query.start,
        query.end + timedelta(seconds=_turn_s(query.satellites)),
        query.min_elevation_deg,
        refine="sgp4",
        on_failure=met.append,
    )
    span_s = (query.end - query.start).total_seconds()
    windows = windows.where(windows.rise_s < span_s)
    failures = [_until(failure, span_s) for failure in met if failure.first_s < span_s]
    whole = next((failure for failure in failures if failure.whole), None)
    if whole is not None:
        raise orbit.ElementError(str(whole))
    return windows, tuple(map(str, failures))


LONGEST_TURN_S = 86_400.0
"""A higher satellite may never set: its contact is planned for so long after the end."""


def _turn_s(satellites: Sequence[orbit.Satellite]) -> float:
    """Return how long the slowest of satellites takes around the Earth."""
    slowest_rad_min = min(satellite.model.no_kozai for satellite in satellites)
    # Elements that no orbit has are for SGP4 to refuse.
    return min(60.0 * tau / slowest_rad_min, LONGEST_TURN_S) if slowest_rad_min > 0.0 else 0.0


def _until(failure: orbit.Failure, span_s: float) -> orbit.Failure:
    """Return what of a failure is in the span."""
    last_s = min(failure.last_s, span_s)
    whole = failure.whole or (failure.first_s <= 0.0 and failure.last_s >= span_s)
    return replace(failure, last_s=last_s, whole=whole)


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
        f"none of its windows is in the {counted(span_s / 86_400, 'day')} "
        "from {start}; they are from {first} to {last}",
        Set("start", first),
        days=span_s / 86_400,
        start=to_second(start),
        first=first,
        last=last,
    )
