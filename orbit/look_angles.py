"""Look angles: elevation, azimuth, range and range rate; the ground track of a satellite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import cos, dist, hypot, sin

import numpy as np

from orbit.earth import earth_rotation, geodetic
from orbit.propagation import farthest_km, propagate
from orbit.satellite import Satellite
from orbit.sites import Site, SiteFrames, site_frames
from orbit.utc import DAY_S, Start
from statements.arrays import Floats, Ints


@dataclass(frozen=True, eq=False)
class LookAngles:
    """Arrays (T, K) over times and sites; azimuth from north through east, 0 to 360 deg."""

    elevation_deg: Floats
    azimuth_deg: Floats
    slant_range_km: Floats
    range_rate_km_s: Floats


def look_angles(
    satellite: Satellite, sites: Site | Sequence[Site], start: datetime, time_s: Floats
) -> LookAngles:
    """Topocentric elevation, azimuth, range and range rate at times (T,) in seconds since start.

    SGP4 at each time, no atmosphere and no polar motion; positive range rate is receding. Raises
    ValueError for no site, no time or one that is not finite, a start without time zone, or where
    SGP4 fails.
    """
    sites = [sites] if isinstance(sites, Site) else sites
    frames = site_frames(sites, 0.0)
    state = _states(satellite, start, time_s)[:, None, :]
    return looks_from(state, frames, np.arange(len(sites)))


class RangeFrom:
    """Slant ranges from one site, one time after the other: many times quicker than `look_angles`.

    Errors are as those.
    """

    def __init__(self, site: Site, start: datetime) -> None:
        """Measure from a site, at seconds since a start."""
        self._since = start
        self._start = Start.of(start)
        self._day = self._start.julian_day
        self._site_km: list[float] = site_frames([site], 0.0).position_km[0].tolist()

    def km(self, satellite: Satellite, time_s: float) -> float:
        """Slant range of a satellite at a time."""
        fraction = (self._start.second_of_day + time_s) / DAY_S
        error, (x, y, z), _ = satellite.model.sgp4(self._day, fraction)
        if error or not x * x + y * y + z * z <= farthest_km(satellite) ** 2:  # or not a number
            _states(satellite, self._since, np.array([time_s]))
        rotation = earth_rotation(self._start, time_s, time_s)
        angle = np.interp(time_s, rotation.knots_s, rotation.angle_rad)
        cosine = cos(angle)
        sine = sin(angle)
        site_x, site_y, site_z = self._site_km
        return hypot(cosine * x + sine * y - site_x, cosine * y - sine * x - site_y, z - site_z)


class RangesBetween:
    """Distances of satellites, which SGP4 has to know then, as it does in their windows."""

    def __init__(self, satellites: Sequence[Satellite], start: datetime) -> None:
        """Measure between satellites, at seconds since a start."""
        self._models = [satellite.model for satellite in satellites]
        self._positions = [model.sgp4 for model in self._models]
        self._start = Start.of(start)
        self._day = self._start.julian_day
        self._second_of_day = self._start.second_of_day

    def km(self, one: int, other: int, time_s: float | Floats) -> float | Floats:
        """Distance of two satellites, by index, at one time or at times (T,)."""
        if isinstance(time_s, float):  # many times quicker than an array of one
            fraction = (self._second_of_day + time_s) / DAY_S
            _, near_km, _ = self._positions[one](self._day, fraction)
            _, far_km, _ = self._positions[other](self._day, fraction)
            return dist(near_km, far_km)
        days = np.full(time_s.shape, self._day)
        fractions = self._start.day_fraction(time_s)
        pair = self._models[one], self._models[other]
        near, far = (model.sgp4_array(days, fractions)[1].T for model in pair)
        return np.sqrt(dot(near - far, near - far))


def looks_from(state: Floats, frames: SiteFrames, site: Ints) -> LookAngles:
    """Look angles of Earth-fixed states (..., 6) from sites (by index, broadcast against them)."""
    east, north, _ = local(state, frames, site)
    azimuth_deg = np.degrees(np.arctan2(east, north)) % 360
    elevation, slant_range, range_rate = elevation_and_range(state, frames, site)
    return LookAngles(elevation, azimuth_deg, slant_range, range_rate)


def _states(satellite: Satellite, start: datetime, time_s: Floats) -> Floats:
    """Earth-fixed states (T, 6) at times (T,) or at one time, checked."""
    times = np.atleast_1d(np.asarray(time_s, dtype=np.float64))
    if times.ndim != 1 or not times.size or not np.isfinite(times).all():
        raise ValueError(f"time_s {time_s!r} must be one row of finite seconds; give at least one")
    return propagate(satellite, Start.of(start), times)


@dataclass(frozen=True, eq=False)
class GroundTrack:
    """Arrays (T,): geodetic WGS 84 latitude, longitude (-180 to 180) and altitude."""

    latitude_deg: Floats
    longitude_deg: Floats
    altitude_km: Floats


def ground_track(satellite: Satellite, start: datetime, time_s: Floats) -> GroundTrack:
    """Subsatellite points at times (T,) in seconds since the aware UTC `start`.

    SGP4 at each time, without polar motion. Raises ValueError for no time or one that is not
    finite, a start without time zone, or where SGP4 fails.
    """
    return GroundTrack(*geodetic(_states(satellite, start, time_s)[:, :3]))


# x, y and z apart: several times faster than arrays whose last axis is 3 long.
_Vector = tuple[Floats, Floats, Floats]


def elevation_and_range(
    state: Floats, frames: SiteFrames, site: Ints
) -> tuple[Floats, Floats, Floats]:
    """Elevation (deg), slant range (km), range rate (km/s) of Earth-fixed states (..., 6).

    From sites by index, which are broadcast against the states.
    """
    line = _line(state, frames, site)
    elevation, slant_range = of_local(*_along_axes(line, frames, site))
    range_rate = dot(line, _vector(state[..., 3:]))
    range_rate /= slant_range
    return elevation, slant_range, range_rate


def of_local(east: Floats, north: Floats, up: Floats) -> tuple[Floats, Floats]:
    """Elevation (deg) and distance of what lies so far to the east, the north and up.

    The first two are overwritten.
    """
    level = np.square(east, out=east)
    level += np.square(north, out=north)
    # The arctangent keeps its digits near the zenith, where the arcsine loses them.
    elevation = np.arctan2(up, np.sqrt(level, out=north), out=north)
    elevation *= 180.0 / np.pi
    level += np.square(up)
    return elevation, np.sqrt(level, out=level)


def local(position: Floats, frames: SiteFrames, site: Ints) -> _Vector:
    """How far to the east, to the north and up from sites, by index, positions (..., 3) are."""
    return _along_axes(_line(position, frames, site), frames, site)


def _along_axes(line: _Vector, frames: SiteFrames, site: Ints) -> _Vector:
    east, north, up = (dot(line, _vector(frames.axes[:, axis], site)) for axis in range(3))
    return east, north, up


def _line(state: Floats, frames: SiteFrames, site: Ints) -> _Vector:
    x, y, z = _vector(state)
    site_x, site_y, site_z = _vector(frames.position_km, site)
    return x - site_x, y - site_y, z - site_z


def _vector(array: Floats, which: Ints | None = None) -> _Vector:
    x, y, z = (array[..., axis] for axis in range(3))
    return (x, y, z) if which is None else (x[which], y[which], z[which])


def dot(left: _Vector | Floats, right: _Vector | Floats) -> Floats:
    """Scalar product of vectors given by component."""
    product: Floats = left[0] * right[0]
    for one, other in zip(left[1:], right[1:], strict=True):
        product += one * other
    return product


# How high an orbit stands over a place. The ellipsoid is 21 km flatter at the poles, and J2 and J3
# lift and lower a circular orbit by some kilometres over a revolution. So over a polar station a
# satellite is that much higher than its nominal height, which is above the equator's radius.


_SAMPLES = 721
"""Half a degree of a circular orbit; the radius changes by less than 0.1 km in between."""


def geocentric_radius_km(site: Site) -> float:
    """Distance of a site from the centre of the Earth (WGS 84, with its altitude), km."""
    return float(np.linalg.norm(_position_km(site)))


def radius_over_km(satellite: Satellite, site: Site, start: datetime) -> float:
    """Distance of a satellite from the Earth's centre at the geocentric latitude of a site, km.

    The mean of the ways north and south in the revolution that begins at the aware UTC `start`; of
    an orbit that does not get to that latitude, where it is nearest to it. Raises ValueError for a
    start without time zone, or where SGP4 fails.
    """
    period_s = 2.0 * np.pi / satellite.model.no_kozai * 60.0
    position_km = propagate(satellite, Start.of(start), np.linspace(0.0, period_s, _SAMPLES))[:, :3]
    radius_km = np.linalg.norm(position_km, axis=1)
    latitude = np.arcsin(position_km[:, 2] / radius_km)
    x, y, z = _position_km(site)
    off = np.abs(latitude - np.arctan2(z, np.hypot(x, y)))
    north = np.gradient(latitude) > 0.0
    ways = [way for way in (north, ~north) if way.any()]  # an equatorial orbit has but one
    return float(np.mean([radius_km[way][off[way].argmin()] for way in ways]))


def _position_km(site: Site) -> Floats:
    position_km: Floats = site_frames([site], 0.0).position_km[0]
    return position_km
