"""The rotation from SGP4's TEME frame to the Earth-fixed frame (GMST 1982 of UT1)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from math import ceil, floor
from typing import Any

import numpy as np

from orbit.arrays import FloatArray
from orbit.clock import DAY_S, Start


@dataclass(frozen=True)
class EarthRotation:
    """Greenwich angle over time, linear between UTC midnights.

    UT1 is tabulated daily, so the midnights are where its slope changes. `knots_s` are seconds
    since the start, `angle_rad` the unwrapped angle there, `rate_rad_s` its mean rate.
    """

    knots_s: FloatArray
    angle_rad: FloatArray
    rate_rad_s: float

    def rotate(
        self, time_s: FloatArray, position_km: FloatArray, velocity_km_s: FloatArray
    ) -> FloatArray:
        """Turn TEME states (..., T, 3) at times (T,) into Earth-fixed states (..., T, 6)."""
        return np.moveaxis(self.planes(time_s, position_km, velocity_km_s), 0, -1)

    def planes(
        self, time_s: FloatArray, position_km: FloatArray, velocity_km_s: FloatArray
    ) -> FloatArray:
        """As `rotate`, component by component: (6, ..., T)."""
        angle = np.interp(time_s, self.knots_s, self.angle_rad)
        cosine, sine = np.cos(angle), np.sin(angle)
        state = np.empty((6, *position_km.shape[:-1]))
        for first, vector in ((0, position_km), (3, velocity_km_s)):
            along, across = vector[..., 0], vector[..., 1]
            state[first] = cosine * along + sine * across
            state[first + 1] = cosine * across - sine * along
            state[first + 2] = vector[..., 2]
        state[3] += self.rate_rad_s * state[1]
        state[4] -= self.rate_rad_s * state[0]
        return state


def earth_rotation(start: Start, first_s: float, last_s: float) -> EarthRotation:
    """Greenwich angle from `first_s` to `last_s` (AIAA 2006-6753, appendix C).

    Uses Skyfield's built-in UT1 table, so nothing is downloaded.
    """
    first_day = floor((start.second_of_day + first_s) / DAY_S)
    days = max(1, ceil((start.second_of_day + last_s) / DAY_S) - first_day)
    angle = _midnight_angles(start.midnight + timedelta(days=first_day), days)
    knots_s = (
        np.arange(first_day, first_day + days + 1, dtype=np.float64) * DAY_S - start.second_of_day
    )
    return EarthRotation(knots_s, angle, float(angle[-1] - angle[0]) / (days * DAY_S))


@lru_cache(maxsize=64)
def _midnight_angles(midnight: datetime, days: int) -> FloatArray:
    from skyfield.sgp4lib import theta_GMST1982

    moments = [midnight + timedelta(days=day) for day in range(days + 1)]
    time = timescale().from_datetimes(moments)
    angle, rate_per_day = theta_GMST1982(time.whole, time.ut1_fraction)
    expected = angle[0] + rate_per_day[0] * np.arange(days + 1)
    unwrapped: FloatArray = expected + np.remainder(angle - expected + np.pi, 2 * np.pi) - np.pi
    unwrapped.flags.writeable = False
    return unwrapped


@lru_cache(maxsize=1)
def timescale() -> Any:
    """Skyfield's built-in one, made once."""
    from skyfield.api import load

    return load.timescale(builtin=True)
