"""Devices of a cluster, scattered around its centre."""

from operator import index

import numpy as np

from orbit.arrays import FloatArray
from orbit.limits import within
from orbit.sites import (
    EARTH_RADIUS_KM,
    ECCENTRICITY_SQUARED,
    FLATTENING,
    Site,
    earth_fixed_km,
    local_axes,
)


def place_devices(
    centre: Site, devices: int, radius_km: float, rng: np.random.Generator
) -> tuple[Site, ...]:
    """Sites named "0", "1", ... drawn uniformly from a disc on the ellipsoid.

    Distances along the ground are right to 0.1 % for the radii allowed, 0 to 500 km. Altitude and
    mask are the centre's. Device k depends on the generator's state and k, not on how many follow.
    Raises ValueError for a negative count or a radius outside the range.
    """
    within(radius_km, 0, 500, "radius_km")
    if index(devices) < 0:
        raise ValueError(f"devices {devices} is negative; give 0 or more")
    share, turn = rng.random((devices, 2)).T
    latitude_deg, longitude_deg = _around(centre, radius_km, share, 2 * np.pi * turn)
    return tuple(
        Site(str(k), float(latitude_deg[k]), float(longitude_deg[k]), centre.altitude_m,
             centre.min_elevation_deg)
        for k in range(devices)
    )  # fmt: skip


def _around(
    centre: Site, radius_km: float, share: FloatArray, azimuth: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Latitude and longitude (deg) of points that hold `share` of the disc's area inside them."""
    if radius_km == 0:
        return np.full(share.shape, centre.latitude_deg), np.full(share.shape, centre.longitude_deg)
    latitude = np.radians([centre.latitude_deg])
    axes = local_axes(latitude, np.radians([centre.longitude_deg]))
    east, north, up = axes[0]
    meridian, normal = _curvature_radii_km(float(latitude[0]))
    gauss = np.sqrt(meridian * normal)
    # A spherical cap's area is proportional to 1 - cos of its angle, here 2 sin^2 of the half.
    distance = 2 * gauss * np.arcsin(np.sqrt(share) * np.sin(radius_km / (2 * gauss)))
    # The normal section's osculating circle (Euler's formula for its curvature).
    radius = 1 / (np.cos(azimuth) ** 2 / meridian + np.sin(azimuth) ** 2 / normal)
    across = radius * np.sin(distance / radius)
    down = 2 * radius * np.sin(distance / (2 * radius)) ** 2
    ground = (
        earth_fixed_km(axes, np.zeros(1))
        + (across * np.sin(azimuth))[:, None] * east
        + (across * np.cos(azimuth))[:, None] * north
        - down[:, None] * up
    )
    return _geodetic_deg(ground)


def _curvature_radii_km(latitude: float) -> tuple[float, float]:
    """Radii of curvature along the meridian and across it (prime vertical)."""
    shrink = 1 - ECCENTRICITY_SQUARED * np.sin(latitude) ** 2
    normal = EARTH_RADIUS_KM / np.sqrt(shrink)
    return float(normal * (1 - ECCENTRICITY_SQUARED) / shrink), float(normal)


def _geodetic_deg(position_km: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Geodetic angles of points near the ellipsoid (Bowring 1976, one step: below a millimetre)."""
    x, y, z = position_km.T
    across = np.hypot(x, y)
    polar = (1 - FLATTENING) * EARTH_RADIUS_KM
    reduced = np.arctan2(EARTH_RADIUS_KM * z, polar * across)
    second = ECCENTRICITY_SQUARED / (1 - ECCENTRICITY_SQUARED)
    latitude = np.arctan2(
        z + second * polar * np.sin(reduced) ** 3,
        across - ECCENTRICITY_SQUARED * EARTH_RADIUS_KM * np.cos(reduced) ** 3,
    )
    return np.degrees(latitude), np.degrees(np.arctan2(y, x))
