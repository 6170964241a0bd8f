"""The ground track: where on the Earth a satellite stands at the zenith."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from orbit.arrays import FloatArray
from orbit.clock import Start
from orbit.elements import Satellite
from orbit.propagation import propagate
from orbit.sites import EARTH_RADIUS_KM, ECCENTRICITY_SQUARED

# Each step of the latitude's iteration is 150 times closer; six end in rounding.
_STEPS = 6


@dataclass(frozen=True, eq=False)
class GroundTrack:
    """Arrays (T,): geodetic WGS 84 latitude, longitude (-180 to 180) and altitude."""

    latitude_deg: FloatArray
    longitude_deg: FloatArray
    altitude_km: FloatArray


def ground_track(satellite: Satellite, start: datetime, time_s: FloatArray) -> GroundTrack:
    """Subsatellite points at times (T,) in seconds since the aware UTC `start`.

    SGP4 at each time, without polar motion. Raises ValueError for no time or one that is not
    finite, a start without time zone, or where SGP4 fails.
    """
    times = np.atleast_1d(np.asarray(time_s, dtype=np.float64))
    if times.ndim != 1 or not times.size or not np.isfinite(times).all():
        raise ValueError(f"time_s {time_s!r} must be one row of finite seconds; give at least one")
    x, y, z, *_ = propagate(satellite, Start.of(start), times).T
    latitude_deg, altitude_km = _geodetic(np.hypot(x, y), z)
    return GroundTrack(latitude_deg, np.degrees(np.arctan2(y, x)), altitude_km)


def _geodetic(across_km: FloatArray, z_km: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Latitude (deg) and altitude (km) of points at a distance from the axis and a height along it.

    tan(latitude) = (z + e^2 N sin(latitude)) / across, from the geocentric latitude on.
    """
    latitude = np.arctan2(z_km, across_km)
    for _ in range(_STEPS):
        sine = np.sin(latitude)
        normal_km = EARTH_RADIUS_KM / np.sqrt(1 - ECCENTRICITY_SQUARED * sine**2)
        latitude = np.arctan2(z_km + ECCENTRICITY_SQUARED * normal_km * sine, across_km)
    sine, cosine = np.sin(latitude), np.cos(latitude)
    normal_km = EARTH_RADIUS_KM / np.sqrt(1 - ECCENTRICITY_SQUARED * sine**2)
    # The position along the normal, which is not singular at the poles.
    altitude_km = (
        across_km * cosine + z_km * sine - normal_km * (1 - ECCENTRICITY_SQUARED * sine**2)
    )
    return np.degrees(latitude), altitude_km
