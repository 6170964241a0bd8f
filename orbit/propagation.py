"""SGP4 (or, for satellites that are made so, `orbit.secular_j2`) at given times; where it fails.

A decayed satellite goes through errors, finite nonsense and good codes again, so what lies beyond
the first error on the way from the epoch is never trusted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, copysign
from typing import Protocol

import numpy as np

from orbit.earth import EARTH_RADIUS_KM, EarthRotation, earth_rotation
from orbit.satellite import Satellite
from orbit.secular_j2 import SecularJ2
from orbit.utc import DAY_S, Start, to_second
from statements.arrays import Floats, Ints


class Source(Protocol):
    """Where satellites are."""

    def states(self, satellite: Ints, time_s: Floats) -> Floats:
        """Earth-fixed states (n, 6), km and km/s."""


# The extrapolation beyond a grid looks at eight samples.
LEAST_INTERVALS = 8
# Stands beside SGP4's own error codes, 1 to 6.
_NOT_FINITE = 7
_LEFT_ORBIT = 8
_OUR_ERRORS = {
    _NOT_FINITE: "its elements give no finite position",
    _LEFT_ORBIT: "its position leaves its orbit",
}


def propagate(
    satellite: Satellite, start: Start, time_s: Floats, rotation: EarthRotation | None = None
) -> Floats:
    """Exact SGP4 states (T, 6), km and km/s, Earth-fixed, at times (T,) since the start.

    Raises ValueError where SGP4 fails.
    """
    if rotation is None:
        rotation = earth_rotation(start, float(time_s.min()), float(time_s.max()))
    error, position, velocity = in_teme(satellite, start, time_s)
    if error.any():
        first = int(np.flatnonzero(error)[0])
        raise ValueError(
            f"SGP4 fails for {satellite.name!r} at {to_second(start.utc(float(time_s[first])))}: "
            f"{error_reason(int(error[first]))}; stay nearer to the epoch "
            f"{satellite.epoch:%Y-%m-%d}"
        )
    return rotation.rotate(time_s, position, velocity).T


def in_teme(satellite: Satellite, start: Start, time_s: Floats) -> tuple[Ints, Floats, Floats]:
    """Error codes (T,), 0 where SGP4 works, and positions and velocities (T, 3) in TEME, or nan."""
    error, position, velocity = satellite.model.sgp4_array(
        np.full(time_s.shape, start.julian_day), start.day_fraction(time_s)
    )
    error = error_codes(error, position, velocity, farthest_km(satellite))
    return error, position, velocity


def of_all(
    satellites: Sequence[Satellite], day: Floats, fraction: Floats
) -> tuple[Ints, Floats, Floats]:
    """Error codes (N, T), positions and velocities (N, T, 3) in TEME at Julian dates in two parts.

    The codes are SGP4's own; `error_codes` finds what else is wrong.
    """
    from sgp4.api import SatrecArray

    models = [satellite.model for satellite in satellites]
    if not any(isinstance(model, SecularJ2) for model in models):
        return SatrecArray(models).sgp4(day, fraction)
    each = [model.sgp4_array(day, fraction) for model in models]
    error, position, velocity = map(np.stack, zip(*each, strict=True))
    return error, position, velocity


def error_codes(
    error: Ints, position: Floats, velocity: Floats, farthest_km: Floats | float
) -> Ints:
    """SGP4's error codes (...), 0 where it works; others where its state is not one of the orbit.

    Such a state is not finite or, as SGP4 gives it on the way to some failures, farther from
    the Earth than `farthest_km`. Position and velocity (..., 3) become nan, which harms no
    arithmetic, where there is an error.
    """
    if not np.count_nonzero(error):  # nearly always
        distance_km = np.sqrt(np.einsum("...i,...i", position, position))  # or not a number
        if (distance_km <= farthest_km).all() and np.isfinite(velocity).all():
            return np.zeros(error.shape, np.int64)
    numbers = np.isfinite(position) & np.isfinite(velocity)
    finite = np.asarray(numbers.all(axis=-1))
    inside = np.linalg.norm(np.where(finite[..., None], position, 0.0), axis=-1) <= farthest_km
    wrong = np.where(finite, np.where(inside, 0, _LEFT_ORBIT), _NOT_FINITE)
    codes: Ints = np.where(error != 0, error, wrong)
    if codes.any():
        position[codes != 0] = velocity[codes != 0] = np.nan
    return codes


def farthest_km(satellite: Satellite) -> float:
    """Half as far again as the satellite's apogee: nothing moves it there within its elements."""
    axis = satellite.model.a
    eccentricity = satellite.model.ecco
    return float(1.5 * EARTH_RADIUS_KM * axis * (1 + eccentricity))


def error_reason(code: int) -> str:
    """What an error code other than 0 means."""
    from sgp4.api import SGP4_ERRORS

    return str((SGP4_ERRORS | _OUR_ERRORS).get(code, f"error {code}"))


@dataclass(frozen=True)
class ExactStates:
    """SGP4 at scattered times of several satellites, one call each; `rotation` covers the times."""

    satellites: Sequence[Satellite]
    start: Start
    rotation: EarthRotation

    def states(self, satellite: Ints, time_s: Floats) -> Floats:
        """Earth-fixed states (n, 6) of satellites (by index, (n,)) at times (n,)."""
        position, velocity = np.empty((2, len(time_s), 3))
        day = np.full(len(time_s), self.start.julian_day)
        fraction = self.start.day_fraction(time_s)
        order = np.argsort(satellite, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(satellite[order])) + 1):
            if rows.size:
                model = self.satellites[satellite[rows[0]]].model
                _, position[rows], velocity[rows] = model.sgp4_array(day[rows], fraction[rows])
        return self.rotation.rotate(time_s, position, velocity).T


# Stretches end this close to the failure.
_PRECISION_S = 1e-3
# How many times are tried between an epoch and a span that is more than a day away: of every
# satellite, and at most of one that fails somewhere.
_PROBES = 32
_MOST_PROBES = 65_536
# Samples propagated at once.
_PIECE = 4096


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
        consequence = "it has no contacts there" if self.whole else "its contacts are cut there"
        last_utc = self.first_utc + timedelta(seconds=self.last_s - self.first_s)
        return (
            f"SGP4 fails for {self.name!r} from {to_second(self.first_utc)} to "
            f"{to_second(last_utc)} ({self.reason}), so {consequence}; use elements of a date "
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

    Ends within a millisecond of the failure. Errors shorter than `step_s` may go unnoticed, and
    between an epoch and a span far from it those shorter than the spacing of some ten thousand
    samples: minutes for a span a month away, a few hours for one that is decades away.
    """
    epoch_s, near_s = _way_to_span_s(satellite, start, span_s)
    coarse_s = max(step_s, abs(near_s - epoch_s) / _MOST_PROBES)
    if _first_failure(satellite, start, epoch_s, near_s, coarse_s):
        return None
    first_s, last_s = (
        _reach_s(satellite, start, near_s, limit_s, step_s) for limit_s in (0.0, span_s)
    )
    if last_s - first_s <= _PRECISION_S:
        return None
    return Stretch(first_s, last_s, first_s > 0, last_s < span_s)


def failure(
    index: int, satellite: Satellite, start: Start, span_s: float, good: Stretch | None
) -> Failure:
    """The report on a satellite that can be propagated in that stretch only."""
    first_s = 0.0
    last_s = span_s
    tried_s = 0.0
    if good and good.fails_after:
        tried_s = good.last_s + _PRECISION_S
        first_s = 0.0 if good.fails_before else tried_s
    elif good:
        last_s = tried_s = good.first_s - _PRECISION_S
    code = int(in_teme(satellite, start, np.array([tried_s]))[0][0])
    reason = error_reason(code) if code else "it failed on the way from the epoch"
    if good and good.fails_before and good.fails_after:
        works = [to_second(start.utc(time_s)) for time_s in (good.first_s, good.last_s)]
        reason += f"; it works from {works[0]} to {works[1]}"
    return Failure(index, satellite.name, first_s, last_s, good is None, reason, start.utc(first_s))


def fails_on_the_way(satellite: Satellite, start: Start, span_s: float) -> bool:
    """Whether SGP4 fails at one of some samples between the epoch and a span far from it."""
    epoch_s, near_s = _way_to_span_s(satellite, start, span_s)
    away_s = abs(near_s - epoch_s)
    if away_s < DAY_S:
        return False
    return _first_failure(satellite, start, epoch_s, near_s, away_s / _PROBES) is not None


def _reach_s(
    satellite: Satellite, start: Start, from_s: float, limit_s: float, step_s: float
) -> float:
    """How far from a time towards a limit SGP4 works."""
    found = _first_failure(satellite, start, from_s, limit_s, step_s)
    if not found:
        return limit_s
    good_s, bad_s = found
    while abs(bad_s - good_s) > _PRECISION_S:
        middle_s = 0.5 * (good_s + bad_s)
        if in_teme(satellite, start, np.array([middle_s]))[0][0]:
            bad_s = middle_s
        else:
            good_s = middle_s
    return min(good_s, limit_s) if limit_s > from_s else max(good_s, limit_s)


def _first_failure(
    satellite: Satellite, start: Start, from_s: float, to_s: float, step_s: float
) -> tuple[float, float] | None:
    """The last good and the first bad of samples every `step_s`, if one is bad on the way.

    The last sample may lie beyond `to_s`, so that no other depends on it. The first one counts as
    good: with nothing before it, it is both.
    """
    intervals = max(1, ceil(abs(to_s - from_s) / step_s))
    for first in range(0, intervals + 1, _PIECE):
        # One sample more on the left: the last good one may belong to the piece before.
        place = np.arange(max(first - 1, 0), min(first + _PIECE, intervals + 1))
        time_s = np.asarray(from_s + copysign(step_s, to_s - from_s) * place, np.float64)
        bad = np.flatnonzero(in_teme(satellite, start, time_s)[0])
        if bad.size:
            return float(time_s[max(bad[0] - 1, 0)]), float(time_s[bad[0]])
    return None


def _way_to_span_s(satellite: Satellite, start: Start, span_s: float) -> tuple[float, float]:
    """The epoch and the time of the span that is nearest to it, seconds since the start."""
    epoch_s = (satellite.epoch - start.midnight).total_seconds() - start.second_of_day
    return epoch_s, min(max(epoch_s, 0.0), span_s)
