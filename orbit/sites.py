"""Places on the ground: a validated site, and the local frames of many."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from orbit.arrays import FloatArray
from orbit.limits import shown, within, within_open

# WGS 84 (NIMA TR8350.2, table 3.1).
EARTH_RADIUS_KM = 6378.137
FLATTENING = 1 / 298.257223563
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)


@dataclass(frozen=True)
class Site:
    """A place on the WGS 84 ellipsoid, with its own elevation mask if it has one.

    latitude_deg in [-90, 90], longitude_deg in [-180, 360), altitude_m in [-500, 9000] above the
    ellipsoid, min_elevation_deg in [0, 90) or None; the name is one line of text. Raises
    ValueError outside these.
    """

    name: str
    latitude_deg: float
    longitude_deg: float
    altitude_m: float = 0.0
    min_elevation_deg: float | None = None

    def __post_init__(self) -> None:
        """Check the name and the ranges."""
        if not isinstance(self.name, str) or not self.name.strip():
            raise ValueError(f"site name {shown(self.name)} is no name; give text such as 'Zurich'")
        if self.name.splitlines() != [self.name]:
            raise ValueError(f"site name {shown(self.name)} has a line break; write it on one line")
        within(self.latitude_deg, -90, 90, f"site {self.name!r}: latitude_deg")
        within_open(self.longitude_deg, -180, 360, f"site {self.name!r}: longitude_deg")
        within(self.altitude_m, -500, 9000, f"site {self.name!r}: altitude_m")
        if self.min_elevation_deg is not None:
            check_mask(self.min_elevation_deg, f"site {self.name!r}: min_elevation_deg")


def check_mask(min_elevation_deg: float, what: str = "min_elevation_deg") -> float:
    """Return an elevation mask in [0, 90) degrees; raises ValueError outside."""
    return within_open(min_elevation_deg, 0, 90, what)


@dataclass(frozen=True)
class SiteFrames:
    """Earth-fixed positions (S, 3) in km, east-north-up axes (S, 3, 3), sines of the masks (S,)."""

    position_km: FloatArray
    axes: FloatArray
    sin_mask: FloatArray

    @property
    def up(self) -> FloatArray:
        """The ellipsoid's normals, (S, 3)."""
        return self.axes[:, 2]


def site_frames(sites: Sequence[Site], min_elevation_deg: float) -> SiteFrames:
    """Local frames of sites; a site's own mask wins over `min_elevation_deg`.

    Raises ValueError when there is no site, one is no Site, or the mask is not in [0, 90).
    """
    _check_sites(sites)
    return _frames(tuple(sites), check_mask(min_elevation_deg))


@lru_cache(maxsize=64)
def _frames(sites: tuple[Site, ...], min_elevation_deg: float) -> SiteFrames:
    """Frames of the same sites are asked for at every contact."""
    axes = local_axes(
        np.radians([site.latitude_deg for site in sites]),
        np.radians([site.longitude_deg for site in sites]),
    )
    altitude_km = np.array([site.altitude_m for site in sites]) / 1000
    masks = [
        min_elevation_deg if site.min_elevation_deg is None else site.min_elevation_deg
        for site in sites
    ]
    frames = SiteFrames(earth_fixed_km(axes, altitude_km), axes, np.sin(np.radians(masks)))
    for array in vars(frames).values():
        array.setflags(write=False)
    return frames


def _check_sites(sites: Sequence[Site]) -> None:
    if not isinstance(sites, Sequence):
        raise ValueError(f"sites: a {type(sites).__name__} is no list of sites; give a list")
    if not sites:
        raise ValueError("no site given; give at least one Site")
    for site in sites:
        if not isinstance(site, Site):
            raise ValueError(
                f"a {type(site).__name__} is no site; give "
                "orbit.Site(name, latitude_deg, longitude_deg)"
            )


def local_axes(latitude: FloatArray, longitude: FloatArray) -> FloatArray:
    """East, north and up unit vectors (S, 3, 3) at geodetic angles in radians (S,)."""
    sin_lat, cos_lat = np.sin(latitude), np.cos(latitude)
    sin_lon, cos_lon = np.sin(longitude), np.cos(longitude)
    east = np.stack([-sin_lon, cos_lon, np.zeros_like(sin_lon)], axis=-1)
    north = np.stack([-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat], axis=-1)
    up = np.stack([cos_lat * cos_lon, cos_lat * sin_lon, sin_lat], axis=-1)
    return np.stack([east, north, up], axis=-2)


def earth_fixed_km(axes: FloatArray, altitude_km: FloatArray) -> FloatArray:
    """Earth-fixed positions (S, 3) from local axes and altitudes above the ellipsoid.

    The ellipsoid is (N u_x, N u_y, N (1 - e^2) u_z) for the normal u, N = a / sqrt(1 - e^2 u_z^2).
    """
    up = axes[:, 2]
    normal = EARTH_RADIUS_KM / np.sqrt(1 - ECCENTRICITY_SQUARED * up[:, 2] ** 2)
    flat = np.array([1.0, 1.0, 1 - ECCENTRICITY_SQUARED])
    position: FloatArray = (normal[:, None] * flat + altitude_km[:, None]) * up
    return position
