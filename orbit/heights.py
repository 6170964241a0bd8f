"""How high an orbit stands over a place.

The ellipsoid is 21 km flatter at the poles, and J2 and J3 lift and lower a circular orbit by some
kilometres over a revolution. So over a polar station a satellite is that much higher than its
nominal height, which is above the equator's radius.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np

from orbit.propagation import propagate
from orbit.satellite import Satellite
from orbit.sites import Site, site_frames
from orbit.utc import Start
from statements.arrays import Floats

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
