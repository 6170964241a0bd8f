"""Sites on the ground with their masks, horizons too, and devices placed around one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import index
from typing import Any

import numpy as np

from orbit.checks import shown, within
from orbit.earth import curvature_radii_km, earth_fixed_km, geodetic, local_axes
from statements.arrays import Floats

MOST_POINTS = 3600
"""Points of a horizon: a tenth of a degree apart."""
REMEDY = "give pairs of azimuth (0 to 360, from north through east) and elevation, deg"


@dataclass(frozen=True)
class Horizon:
    """A mask by azimuth: linear between its points, all around the circle.

    `azimuth_deg` rise from 0 up to 360 (north, east, south, west), `elevation_deg` lie in [0, 90).
    """

    azimuth_deg: tuple[float, ...]
    elevation_deg: tuple[float, ...]

    @classmethod
    def of(cls, pairs: Any, name: str = "min_elevation_deg") -> "Horizon":
        """Of pairs (azimuth, elevation) in any order; 360 is 0.

        Raises ValueError for anything else than two pairs or more, numbers out of range, and an
        azimuth that comes twice.
        """
        points: dict[float, float] = {}
        if not isinstance(pairs, Sequence) or isinstance(pairs, str) or len(pairs) < 2:
            raise ValueError(f"{name} {shown(pairs)} is no horizon; {REMEDY}, two or more")
        if len(pairs) > MOST_POINTS:
            raise ValueError(f"{name} has {len(pairs)} points; give at most {MOST_POINTS}")
        for pair in pairs:
            if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
                raise ValueError(f"{name}: {shown(pair)} is no pair; {REMEDY}")
            azimuth_deg = within(pair[0], 0, 360, f"{name}: azimuth") % 360.0
            elevation_deg = within(
                pair[1], 0, 90, f"{name}: elevation at azimuth {pair[0]:g}", below=True
            )
            if points.setdefault(azimuth_deg, elevation_deg) != elevation_deg:
                raise ValueError(
                    f"{name}: azimuth {azimuth_deg:g} has the elevations {points[azimuth_deg]:g} "
                    f"and {elevation_deg:g}; give each azimuth once (0 and 360 are the same)"
                )
        azimuths = sorted(points)
        if len(azimuths) < 2:
            raise ValueError(f"{name} has one azimuth; {REMEDY}, two or more")
        return cls(tuple(azimuths), tuple(points[azimuth] for azimuth in azimuths))

    @property
    def pairs(self) -> tuple[tuple[float, float], ...]:
        """Azimuth and elevation of each point."""
        return tuple(zip(self.azimuth_deg, self.elevation_deg, strict=True))

    @property
    def lowest_deg(self) -> float:
        """The lowest elevation of all azimuths."""
        return min(self.elevation_deg)

    def at(self, azimuth_deg: Floats) -> Floats:
        """Elevations (deg) at azimuths (deg) of any shape."""
        return np.interp(azimuth_deg, self.azimuth_deg, self.elevation_deg, period=360.0)


@dataclass(frozen=True)
class Site:
    """A place on the WGS 84 ellipsoid, with its own elevation mask if it has one.

    latitude_deg in [-90, 90], longitude_deg in [-360, 360], altitude_m in [-500, 50 000] above the
    ellipsoid, min_elevation_deg in [0, 90) or None; the name is one line of text. Longitudes
    outside of [-180, 180] are kept as the same one within: 289.25 is -70.75. Raises ValueError
    outside these.
    """

    name: str
    latitude_deg: float
    longitude_deg: float
    altitude_m: float = 0.0
    min_elevation_deg: float | None = None
    horizon: Horizon | None = field(default=None, kw_only=True)
    """The mask where it depends on the azimuth: min_elevation_deg may be a Horizon, or pairs of
    azimuth and elevation (deg) of one, and then becomes the lowest of its elevations."""

    def __post_init__(self) -> None:
        """Check the name and the ranges."""
        self._take_horizon()
        if not isinstance(self.name, str) or not self.name.strip():
            raise ValueError(f"site name {shown(self.name)} is no name; give text such as 'Zurich'")
        if self.name.splitlines() != [self.name]:
            raise ValueError(f"site name {shown(self.name)} has a line break; write it on one line")
        self._check_latitude()
        east_deg = within(self.longitude_deg, -360, 360, f"site {self.name!r}: longitude_deg")
        if abs(east_deg) > 180:
            object.__setattr__(self, "longitude_deg", (east_deg + 180) % 360 - 180)
        within(self.altitude_m, -500, 50_000, f"site {self.name!r}: altitude_m")
        if self.min_elevation_deg is not None:
            check_mask(self.min_elevation_deg, f"site {self.name!r}: min_elevation_deg")

    def _check_latitude(self) -> None:
        try:
            within(self.latitude_deg, -90, 90, f"site {self.name!r}: latitude_deg")
        except ValueError as error:
            both = self.latitude_deg, self.longitude_deg
            are_numbers = all(isinstance(angle, int | float) for angle in both)
            if not (are_numbers and abs(both[0]) <= 360 and abs(both[1]) <= 90):
                raise
            hint = f"{error}, or swap it with longitude_deg {self.longitude_deg:g} if that is meant"
            raise ValueError(hint) from None

    def _take_horizon(self) -> None:
        mask: Any = self.min_elevation_deg
        if isinstance(mask, Horizon) or (isinstance(mask, Sequence) and not isinstance(mask, str)):
            name = f"site {self.name!r}: min_elevation_deg"
            whole = mask if isinstance(mask, Horizon) else Horizon.of(mask, name)
            object.__setattr__(self, "horizon", whole)
            object.__setattr__(self, "min_elevation_deg", whole.lowest_deg)
        elif self.horizon is not None and mask != self.horizon.lowest_deg:
            object.__setattr__(self, "horizon", None)  # another mask replaces it

    @property
    def mask(self) -> float | tuple[tuple[float, float], ...] | None:
        """The elevation mask as it is given: a number, pairs of a horizon, or None."""
        return self.min_elevation_deg if self.horizon is None else self.horizon.pairs


def check_mask(min_elevation_deg: float, name: str = "min_elevation_deg") -> float:
    """Return an elevation mask in [0, 90) degrees; raises ValueError outside."""
    return within(min_elevation_deg, 0, 90, name, below=True)


@dataclass(frozen=True)
class SiteFrames:
    """Earth-fixed positions (S, 3) in km, east-north-up axes (S, 3, 3), sines of the masks (S,).

    Of a site with one of the `horizons` (of each site, or of none) the mask is its lowest one.
    """

    position_km: Floats
    axes: Floats
    sin_mask: Floats
    horizons: tuple[Horizon | None, ...] = ()

    @property
    def up(self) -> Floats:
        """The ellipsoid's normals, (S, 3)."""
        return self.axes[:, 2]


def site_frames(sites: Sequence[Site], min_elevation_deg: float) -> SiteFrames:
    """Local frames of sites; a site's own mask wins over `min_elevation_deg`.

    Raises ValueError when there is no site, one is not a Site, or the mask is not in [0, 90).
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
    position_km = earth_fixed_km(axes, altitude_km)
    sin_mask = np.sin(np.radians(masks))
    for array in (position_km, axes, sin_mask):
        array.setflags(write=False)
    horizons = tuple(site.horizon for site in sites)
    return SiteFrames(position_km, axes, sin_mask, horizons if any(horizons) else ())


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
             centre.min_elevation_deg, horizon=centre.horizon)
        for k in range(devices)
    )  # fmt: skip


def _around(
    centre: Site, radius_km: float, share: Floats, azimuth: Floats
) -> tuple[Floats, Floats]:
    """Latitude and longitude (deg) of points that hold `share` of the disc's area inside them."""
    if radius_km == 0:
        return np.full(share.shape, centre.latitude_deg), np.full(share.shape, centre.longitude_deg)
    latitude = np.radians([centre.latitude_deg])
    axes = local_axes(latitude, np.radians([centre.longitude_deg]))
    east, north, up = axes[0]
    meridian, normal = curvature_radii_km(float(latitude[0]))
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
    latitude_deg, longitude_deg, _ = geodetic(ground)
    return latitude_deg, longitude_deg
