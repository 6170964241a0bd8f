"""Look angles: where a satellite stands in the sky of sites, exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from orbit.arrays import FloatArray, IntArray
from orbit.clock import Start
from orbit.elements import Satellite
from orbit.propagation import propagate
from orbit.sight import azimuth_deg, elevation_and_range
from orbit.sites import Site, SiteFrames, site_frames


@dataclass(frozen=True, eq=False)
class LookAngles:
    """Arrays (T, K) over times and sites; azimuth from north through east, 0 to 360 deg."""

    elevation_deg: FloatArray
    azimuth_deg: FloatArray
    slant_range_km: FloatArray
    range_rate_km_s: FloatArray


def look_angles(
    satellite: Satellite, sites: Site | Sequence[Site], start: datetime, time_s: FloatArray
) -> LookAngles:
    """Topocentric elevation, azimuth, range and range rate at times (T,) in seconds since start.

    SGP4 at each time, no atmosphere and no polar motion; positive range rate is receding. Raises
    ValueError for no site, no time or one that is not finite, a start without time zone, or where
    SGP4 fails.
    """
    times = np.atleast_1d(np.asarray(time_s, dtype=np.float64))
    if times.ndim != 1 or not times.size or not np.isfinite(times).all():
        raise ValueError(f"time_s {time_s!r} must be one row of finite seconds; give at least one")
    sites = [sites] if isinstance(sites, Site) else sites
    frames = site_frames(sites, 0.0)
    state = propagate(satellite, Start.of(start), times)[:, None, :]
    return looks_from(state, frames, np.arange(len(sites)))


def looks_from(state: FloatArray, frames: SiteFrames, site: IntArray) -> LookAngles:
    """Look angles of Earth-fixed states (..., 6) from sites (by index, broadcast against them)."""
    elevation, slant_range, range_rate = elevation_and_range(state, frames, site)
    return LookAngles(elevation, azimuth_deg(state, frames, site), slant_range, range_rate)
