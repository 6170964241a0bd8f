"""The Earth: WGS 84, geodetic coordinates, and the rotation from TEME to Earth-fixed axes."""

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from math import ceil, floor
from typing import Any

import numpy as np

from orbit.utc import DAY_S, Start
from statements.arrays import Floats

# WGS 84 (NIMA TR8350.2, table 3.1).
EARTH_RADIUS_KM = 6378.137
FLATTENING = 1 / 298.257223563
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)
# Each step of the latitude's iteration is 150 times closer; six end in rounding.
_STEPS = 6


def curvature_radii_km(latitude: float) -> tuple[float, float]:
    """Radii of curvature along the meridian and across it (prime vertical)."""
    shrink = 1 - ECCENTRICITY_SQUARED * np.sin(latitude) ** 2
    normal = EARTH_RADIUS_KM / np.sqrt(shrink)
    return float(normal * (1 - ECCENTRICITY_SQUARED) / shrink), float(normal)


def local_axes(latitude: Floats, longitude: Floats) -> Floats:
    """East, north and up unit vectors (S, 3, 3) at geodetic angles in radians (S,)."""
    sin_lat = np.sin(latitude)
    cos_lat = np.cos(latitude)
    sin_lon = np.sin(longitude)
    cos_lon = np.cos(longitude)
    east = np.stack([-sin_lon, cos_lon, np.zeros_like(sin_lon)], axis=-1)
    north = np.stack([-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat], axis=-1)
    up = np.stack([cos_lat * cos_lon, cos_lat * sin_lon, sin_lat], axis=-1)
    return np.stack([east, north, up], axis=-2)


def earth_fixed_km(axes: Floats, altitude_km: Floats) -> Floats:
    """Earth-fixed positions (S, 3) from local axes and altitudes above the ellipsoid.

    The ellipsoid is (N u_x, N u_y, N (1 - e^2) u_z) for the normal u, N = a / sqrt(1 - e^2 u_z^2).
    """
    up = axes[:, 2]
    normal = EARTH_RADIUS_KM / np.sqrt(1 - ECCENTRICITY_SQUARED * up[:, 2] ** 2)
    flat = np.array([1.0, 1.0, 1 - ECCENTRICITY_SQUARED])
    return (normal[:, None] * flat + altitude_km[:, None]) * up


def geodetic(position_km: Floats) -> tuple[Floats, Floats, Floats]:
    """Geodetic latitude and longitude (-180 to 180 deg) and altitude (km) of points (n, 3).

    tan(latitude) = (z + e^2 N sin(latitude)) / across, from the geocentric latitude on.
    """
    x, y, z = position_km.T
    across = np.hypot(x, y)
    latitude = np.arctan2(z, across)
    for _ in range(_STEPS):
        sine = np.sin(latitude)
        normal = EARTH_RADIUS_KM / np.sqrt(1 - ECCENTRICITY_SQUARED * sine**2)
        latitude = np.arctan2(z + ECCENTRICITY_SQUARED * normal * sine, across)
    sine = np.sin(latitude)
    normal = EARTH_RADIUS_KM / np.sqrt(1 - ECCENTRICITY_SQUARED * sine**2)
    # The position along the normal, which is not singular at the poles.
    altitude = across * np.cos(latitude) + z * sine - normal * (1 - ECCENTRICITY_SQUARED * sine**2)
    return np.degrees(latitude), np.degrees(np.arctan2(y, x)), altitude


@dataclass(frozen=True)
class EarthRotation:
    """Greenwich angle over time, linear between UTC midnights.

    UT1 is tabulated daily, so the midnights are where its slope changes. `knots_s` are seconds
    since the start, `angle_rad` the unwrapped angle there, `rate_rad_s` its rate on the first day:
    later ones differ by some hundred-millionths, and no bit is to depend on how many there are.
    """

    knots_s: Floats
    angle_rad: Floats
    rate_rad_s: float

    def rotate(self, time_s: Floats, position_km: Floats, velocity_km_s: Floats) -> Floats:
        """Turn TEME states (..., T, 3) at times (T,) into Earth-fixed states (6, ..., T)."""
        angle = np.interp(time_s, self.knots_s, self.angle_rad)
        cosine = np.cos(angle)
        sine = np.sin(angle)
        state = np.empty((6, *position_km.shape[:-1]))
        for first, vector in ((0, position_km), (3, velocity_km_s)):
            along = vector[..., 0]
            across = vector[..., 1]
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
    return _rotation(start, first_day, days)


@lru_cache(maxsize=64)
def _rotation(start: Start, first_day: int, days: int) -> EarthRotation:
    """The rotation of the same days is asked for at every contact."""
    from skyfield.sgp4lib import theta_GMST1982

    day = np.arange(first_day, first_day + days + 1, dtype=np.float64)
    moments = [start.midnight + timedelta(days=number) for number in day.tolist()]
    time = timescale().from_datetimes(moments)
    angle, rate_per_day = theta_GMST1982(time.whole, time.ut1_fraction)
    expected = angle[0] + rate_per_day[0] * np.arange(days + 1)
    unwrapped: Floats = expected + np.remainder(angle - expected + np.pi, 2 * np.pi) - np.pi
    knots_s: Floats = day * DAY_S - start.second_of_day
    for array in (knots_s, unwrapped):
        array.flags.writeable = False
    return EarthRotation(knots_s, unwrapped, float(unwrapped[1] - unwrapped[0]) / DAY_S)


@lru_cache(maxsize=1)
def timescale() -> Any:
    """Skyfield's built-in one, made once."""
    from skyfield.api import load

    return load.timescale(builtin=True)
