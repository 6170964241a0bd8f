"""What contact windows are found from, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import orbit

Found = tuple[orbit.ContactWindows, tuple[str, ...]]
"""Windows, and a line about each satellite whose elements fail at times."""


@dataclass(frozen=True)
class Sought:
    """Windows of ``satellites`` over ``sites``, exact by SGP4, between two aware datetimes."""

    satellites: Sequence[orbit.Satellite]
    sites: Sequence[orbit.Site]
    start: datetime
    end: datetime
    min_elevation_deg: float


Find = Callable[[Sought], Found]


def find(sought: Sought) -> Found:
    """Find windows. Raises ElementError for elements that SGP4 cannot use at all."""
    failures: list[orbit.Failure] = []
    windows = orbit.contact_windows(
        sought.satellites,
        sought.sites,
        sought.start,
        sought.end,
        sought.min_elevation_deg,
        "sgp4",
        failures.append,
    )
    whole = next((failure for failure in failures if failure.whole), None)
    if whole is not None:
        raise orbit.ElementError(str(whole))
    return windows, tuple(map(str, failures))
