"""Where SGP4 fails: satellites that cannot be propagated through a whole span.

A decayed satellite goes through errors, finite nonsense and good codes again, so what lies beyond
the first error on the way from the epoch is never trusted.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

import numpy as np

from orbit.arrays import FloatArray, IntArray
from orbit.clock import DAY_S, Start
from orbit.elements import Satellite

# Stretches end this close to the failure.
_PRECISION_S = 1e-3
# How many times are tried between an epoch and a span that is more than a day away.
_PROBES = 32


@dataclass(frozen=True)
class Failure:
    """A satellite that SGP4 refuses from `first_s` to `last_s`, seconds since the start.

    A satellite that fails at both ends of the span has good times in between; `whole` says that
    there are none in the span at all. `satellite` is its index in the list that was asked about,
    `reason` is SGP4's.
    """

    satellite: int
    name: str
    first_s: float
    last_s: float
    whole: bool
    reason: str
    first_utc: datetime

    def __str__(self) -> str:
        """One line: who, since when, why, and what to do."""
        what = "it has no contacts there" if self.whole else "its contacts are cut there"
        last_utc = self.first_utc + timedelta(seconds=self.last_s - self.first_s)
        return (
            f"SGP4 fails for {self.name!r} from {self.first_utc:%Y-%m-%dT%H:%M:%SZ} to "
            f"{last_utc:%Y-%m-%dT%H:%M:%SZ} ({self.reason}), so {what}; use elements of a date "
            "nearer the span, or leave the satellite out"
        )


@dataclass(frozen=True)
class Stretch:
    """The part of a span through which a satellite can be propagated, seconds since the start."""

    first_s: float
    last_s: float
    fails_before: bool
    fails_after: bool


def good_stretch(
    satellite: Satellite, start: Start, span_s: float, step_s: float
) -> Stretch | None:
    """The part of the span that SGP4 reaches from the epoch without an error; None for nothing.

    Ends within a millisecond of the failure. Errors shorter than `step_s` may go unnoticed.
    """
    epoch_s = _epoch_s(satellite, start)
    first_s = _reach(satellite, start, epoch_s, min(0.0, epoch_s), step_s)
    last_s = _reach(satellite, start, epoch_s, max(span_s, epoch_s), step_s)
    first_s, last_s = max(first_s, 0.0), min(last_s, span_s)
    if last_s - first_s <= _PRECISION_S:
        return None
    return Stretch(first_s, last_s, first_s > 0, last_s < span_s)


def failure(
    index: int, satellite: Satellite, start: Start, span_s: float, good: Stretch | None
) -> Failure:
    """What to say of a satellite that is good in that stretch only."""
    from sgp4.api import SGP4_ERRORS

    first_s, last_s, tried_s = 0.0, span_s, 0.0
    if good and not good.fails_before:
        first_s = tried_s = good.last_s + _PRECISION_S
    elif good and not good.fails_after:
        last_s = tried_s = good.first_s - _PRECISION_S
    code = int(_codes(satellite, start, np.array([tried_s]))[0])
    return Failure(
        index, satellite.name, first_s, last_s, good is None,
        SGP4_ERRORS.get(code, "it failed on the way from the epoch"),
        start.midnight + timedelta(seconds=start.second_of_day + first_s),
    )  # fmt: skip


def fails_on_the_way(satellite: Satellite, start: Start, span_s: float) -> bool:
    """Whether SGP4 fails, as far as some samples tell, between the epoch and a span far from it."""
    epoch_s = _epoch_s(satellite, start)
    near_s = min(max(epoch_s, 0.0), span_s)
    if abs(epoch_s - near_s) < DAY_S:
        return False
    return bool(_codes(satellite, start, np.linspace(epoch_s, near_s, _PROBES)).any())


def _reach(
    satellite: Satellite, start: Start, epoch_s: float, limit_s: float, step_s: float
) -> float:
    """How far from the epoch towards a limit SGP4 works."""
    time_s = np.linspace(epoch_s, limit_s, ceil(abs(limit_s - epoch_s) / step_s) + 1)
    bad = np.flatnonzero(_codes(satellite, start, time_s))
    if not bad.size:
        return limit_s
    good_s, bad_s = float(time_s[max(bad[0] - 1, 0)]), float(time_s[bad[0]])
    while abs(bad_s - good_s) > _PRECISION_S:
        middle_s = 0.5 * (good_s + bad_s)
        if _codes(satellite, start, np.array([middle_s]))[0]:
            bad_s = middle_s
        else:
            good_s = middle_s
    return good_s


def _codes(satellite: Satellite, start: Start, time_s: FloatArray) -> IntArray:
    """SGP4's error codes at times (T,), 0 where it works."""
    error: IntArray
    error, _, _ = satellite.model.sgp4_array(
        np.full(time_s.shape, start.julian_day), start.day_fraction(time_s)
    )
    return error


def _epoch_s(satellite: Satellite, start: Start) -> float:
    return (satellite.epoch - start.midnight).total_seconds() - start.second_of_day
