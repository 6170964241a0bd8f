"""Mean elements of an orbit: circular ones by altitude, and the orbits of Walker patterns."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import acos, degrees, floor, radians, tau
from typing import Any, Literal, get_args

import numpy as np

from orbit.checks import finite, whole, within
from orbit.earth import EARTH_RADIUS_KM
from orbit.satellite import Satellite, not_tiny
from orbit.secular_j2 import SecularJ2
from orbit.utc import DAY_S, Start, utc

# WGS 72, with which SGP4 elements are fitted (Vallado et al., AIAA 2006-6753).
WGS72_RADIUS_KM = 6378.135
# SGP4 counts its epoch in days from 1949 December 31, 0h.
_SGP4_DAY_ZERO = 2433281.5
_LOWEST_PERIGEE_KM = 120.0
# The widest orbit of SGP4's verification set has 241 700 km.
_LARGEST_AXIS_KM = 250000.0

_TURNS = ("raan_deg", "argument_of_perigee_deg", "mean_anomaly_deg")
"""Angles of an orbit that may be any finite ones."""

Propagation = Literal["sgp4", "secular_j2"]
"""SGP4, or Kepler's ellipse turned by J2's secular rates alone (`orbit.secular_j2`)."""


@dataclass(frozen=True, kw_only=True)
class Elements:
    """Brouwer mean elements of an orbit, as SGP4 itself carries them on.

    With `propagation` secular_j2 they are mean elements that J2 turns evenly, without short periods
    and drag, as STK's J2Perturbation does: WGS 84, J2 of EGM96, axes of TEME.

    `semi_major_axis_km` is a'' of Spacetrack Report No. 3, section 6, at most 250 000 km; with
    the eccentricity (0 up to 1) it must keep perigee 120 km above the WGS 72 equatorial radius of
    6378.135 km. Inclination is 0 to 180 deg; the other angles are any finite degrees. `bstar` is
    the drag term in 1/Earth radius, -1 to 1. Raises ValueError outside these ranges.
    """

    semi_major_axis_km: float
    inclination_deg: float
    eccentricity: float = 0.0
    raan_deg: float = 0.0
    argument_of_perigee_deg: float = 0.0
    mean_anomaly_deg: float = 0.0
    bstar: float = 0.0
    propagation: Propagation = "sgp4"

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_shape(self.semi_major_axis_km, self.eccentricity)
        within(self.inclination_deg, 0, 180, "inclination_deg")
        for name in _TURNS:
            wrapped_rad(getattr(self, name), name)
        drag = within(self.bstar, -1, 1, "bstar")
        if self.propagation not in get_args(Propagation):
            known = " or ".join(map(repr, get_args(Propagation)))
            raise ValueError(f"propagation {self.propagation!r} is unknown; write {known}")
        if self.propagation == "secular_j2" and drag:
            raise ValueError(
                f"bstar {self.bstar}: propagation 'secular_j2' has no drag; leave it out"
            )

    def satellite(self, name: str, epoch: datetime, plane: str = "") -> Satellite:
        """Return a satellite with these elements at `epoch`; its catalogue number is 0.

        `plane` names its orbital plane. Raises ValueError for an epoch without a time zone.
        """
        start = Start.of(epoch, "epoch")
        model = self._secular_j2(start) if self.propagation == "secular_j2" else self._sgp4(start)
        return Satellite(name, 0, utc(epoch, "epoch"), model, made=True, plane=plane)

    @property
    def _angles_rad(self) -> tuple[float, float, float, float]:
        """Inclination, right ascension of the node, argument of perigee and mean anomaly."""
        node, perigee, anomaly = (wrapped_rad(getattr(self, name), name) for name in _TURNS)
        return radians(not_tiny(self.inclination_deg)), node, perigee, anomaly

    def _secular_j2(self, start: Start) -> SecularJ2:
        inclination, node, perigee, anomaly = self._angles_rad
        return SecularJ2(
            a=self.semi_major_axis_km / EARTH_RADIUS_KM,
            ecco=self.eccentricity,
            inclo=inclination,
            nodeo=node,
            argpo=perigee,
            mo=anomaly,
            jdsatepoch=start.julian_day,
            jdsatepochF=start.second_of_day / DAY_S,
        )

    def _sgp4(self, start: Start) -> Any:
        from sgp4.api import WGS72, Satrec

        inclination, node, perigee, anomaly = self._angles_rad
        axis = self.semi_major_axis_km / WGS72_RADIUS_KM
        model = Satrec()
        model.sgp4init(
            WGS72,
            "i",
            0,  # the catalogue number
            start.julian_day - _SGP4_DAY_ZERO + start.second_of_day / DAY_S,
            self.bstar,
            0.0,  # the two derivatives of the mean motion, which SGP4 does not use
            0.0,
            self.eccentricity,
            perigee,
            inclination,
            anomaly,
            _kozai_mean_motion(axis, self.eccentricity, inclination),
            node,
        )
        return model


def keplerian_satellite(name: str, epoch: datetime, **elements: Any) -> Satellite:
    """A satellite with these mean elements at `epoch`: `Elements(...).satellite(name, epoch)`.

    `elements` are the fields of `Elements`, with their units, ranges and errors. The catalogue
    number is 0. Raises ValueError for an epoch without a time zone.
    """
    return Elements(**elements).satellite(name, epoch)


def _check_shape(semi_major_axis_km: float, eccentricity: float) -> None:
    smallest = WGS72_RADIUS_KM + _LOWEST_PERIGEE_KM
    within(semi_major_axis_km, smallest, _LARGEST_AXIS_KM, "semi_major_axis_km")
    within(eccentricity, 0, 1, "eccentricity", below=True)
    perigee_km = semi_major_axis_km * (1 - eccentricity) - WGS72_RADIUS_KM
    if perigee_km < _LOWEST_PERIGEE_KM:
        largest = floor((1 - smallest / semi_major_axis_km) * 1e6) / 1e6
        raise ValueError(
            f"eccentricity {eccentricity} puts perigee at {perigee_km:.1f} km altitude; keep it "
            f"at {_LOWEST_PERIGEE_KM:g} km or more, with at most {largest:.6f} on this axis"
        )


def wrapped_rad(angle_deg: float, name: str) -> float:
    """Return an angle in radians from 0 to 2 pi; raise ValueError for one that is not finite."""
    return radians(finite(angle_deg, name, "give an angle in degrees")) % tau


@lru_cache(maxsize=64)
def _kozai_mean_motion(axis: float, eccentricity: float, inclination: float) -> float:
    """Mean motion (rad/min) that SGP4's own initialisation turns into this Brouwer axis (in radii).

    A fixed point, which contracts by about J2 (a thousandth) a step, from any motion.
    """
    from sgp4.api import WGS72, Satrec

    model = Satrec()
    motion = 0.06
    for _ in range(8):
        model.sgp4init(WGS72, "i", 0, 0, 0, 0, 0, eccentricity, 0, inclination, 0, motion, 0)
        motion *= (model.a / axis) ** 1.5
    return motion


_TROPICAL_YEAR_DAYS = 365.2422


def circular_satellite(
    name: str,
    altitude_km: float,
    inclination_deg: float,
    raan_deg: float,
    argument_of_latitude_deg: float,
    epoch: datetime,
    propagation: Propagation = "sgp4",
) -> Satellite:
    """A drag-free satellite on a circular orbit.

    The Brouwer mean semi-major axis is the equatorial radius (of WGS 72 by SGP4, of WGS 84 by
    secular J2) plus `altitude_km` (160 to 2000); inclination 0 to 180 deg; the other two angles are
    any finite degrees. The catalogue number is 0. Raises ValueError outside these ranges or for an
    epoch without a time zone.
    """
    wrapped_rad(argument_of_latitude_deg, "argument_of_latitude_deg")
    elements = Elements(
        semi_major_axis_km=circular_axis_km(altitude_km, propagation),
        inclination_deg=inclination_deg,
        raan_deg=raan_deg,
        mean_anomaly_deg=argument_of_latitude_deg,
        propagation=propagation,
    )
    return elements.satellite(name, epoch)


def flown_altitudes_km(altitude_km: float, inclination_deg: float) -> tuple[float, float]:
    """Altitudes (km) at which SGP4 flies a circular orbit: over the equator, and on the mean.

    Both are above the equatorial radius of WGS 72, over one revolution of
    `circular_satellite(altitude_km, inclination_deg)`, whose ranges and errors apply. They differ
    from `altitude_km` by the periodic terms of J2 in the radius (Spacetrack Report 3, section 6).
    """
    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    model = circular_satellite("flown", altitude_km, inclination_deg, 0.0, 0.0, epoch).model
    minutes = np.linspace(0.0, tau / model.no_kozai, 720, endpoint=False)
    km = np.array([model.sgp4_tsince(since)[1] for since in minutes])
    altitudes_km = np.linalg.norm(km, axis=1) - WGS72_RADIUS_KM
    return float(altitudes_km[np.abs(km[:, 2]).argmin()]), float(altitudes_km.mean())


def circular_axis_km(altitude_km: float, propagation: Propagation = "sgp4") -> float:
    """Semi-major axis (km) of a circular orbit at an altitude of 160 to 2000 km.

    Raises ValueError outside this range.
    """
    return _axis_km(within(altitude_km, 160, 2000, "altitude_km"), propagation)


def _axis_km(altitude_km: float, propagation: Propagation) -> float:
    return altitude_km + (WGS72_RADIUS_KM if propagation == "sgp4" else EARTH_RADIUS_KM)


def sun_synchronous_inclination_deg(altitude_km: float, propagation: Propagation = "sgp4") -> float:
    """Inclination (deg) at which the node of a circular orbit follows the mean sun.

    The node turns once in 365.2422 days at the rate that the propagation gives it, by SGP4 with J2
    squared and J4; the first-order formula is off by up to a third of a percent. `altitude_km`,
    above the equatorial radius, is 160 or more; no inclination does it above about 5980 km.
    Raises ValueError outside this range.
    """
    within(altitude_km, 160, 6000, "altitude_km")
    wanted = tau / _TROPICAL_YEAR_DAYS
    fastest = _node_rate(altitude_km, -1.0, propagation)
    if fastest < wanted:
        raise ValueError(
            f"altitude_km {altitude_km} is too high for a sun-synchronous orbit: its node turns "
            f"at most {degrees(fastest):.4f} of {degrees(wanted):.4f} deg a day; give a lower one"
        )
    cosine = -1.0
    # The rate is proportional to the cosine but for a part in a hundred, so this contracts fast.
    for _ in range(12):
        cosine = max(-1.0, cosine * wanted / _node_rate(altitude_km, cosine, propagation))
    return degrees(acos(cosine))


def _node_rate(altitude_km: float, cosine: float, propagation: Propagation) -> float:
    """The secular rate of the node in rad/day, for the cosine of an inclination."""
    elements = Elements(
        semi_major_axis_km=_axis_km(altitude_km, propagation),
        inclination_deg=degrees(acos(cosine)),
        propagation=propagation,
    )
    satellite = elements.satellite("rate", datetime(2000, 1, 1, tzinfo=UTC))
    return float(satellite.model.nodedot) * 1440


# Walker patterns: satellites spread evenly over planes of circular orbits.


@dataclass(frozen=True)
class Shell:
    """A Walker pattern i: t/p/f on circular orbits, whose nodes are spread over `spread_deg`.

    Over 360 deg it is a delta; over 180 a star, of which near-polar planes move up one half of the
    Earth and down the other.

    `satellites` is t, `planes` p (a divisor of t) and `phasing` f (0 to p - 1), as in J. G.
    Walker, "Satellite constellations", JBIS 37 (1984). Satellites of a plane lie 360 p/t deg
    apart, and each is 360 f/t deg ahead of its like in the plane before. The first satellite of
    the first plane has `raan_deg` and `argument_of_latitude_deg`. Axis, inclination and propagation
    are those of `Elements`. Raises ValueError for numbers that make no constellation.
    """

    spread_deg: float
    semi_major_axis_km: float
    inclination_deg: float
    satellites: int
    planes: int
    phasing: int
    raan_deg: float = 0.0
    argument_of_latitude_deg: float = 0.0
    propagation: Propagation = "sgp4"

    def __post_init__(self) -> None:
        """Check the numbers, and that both angles are finite."""
        for name in ("satellites", "planes", "phasing"):
            whole(getattr(self, name), name)
        if self.planes < 1:
            raise ValueError(f"planes {self.planes} is less than 1; give at least one plane")
        if self.satellites < 1 or self.satellites % self.planes:
            raise ValueError(
                f"satellites {self.satellites} is no multiple of planes {self.planes}; give the "
                "same number a plane"
            )
        if not 0 <= self.phasing < self.planes:
            raise ValueError(
                f"phasing {self.phasing} is outside 0 to planes - 1; give 0 to {self.planes - 1}"
            )
        for name in ("raan_deg", "argument_of_latitude_deg"):
            finite(getattr(self, name), name, "give an angle in degrees")

    @property
    def satellites_per_plane(self) -> int:
        """Number of satellites in each plane."""
        return self.satellites // self.planes

    def elements(self, plane: int, place: int) -> Elements:
        """Return the elements of the satellite at a place of a plane, both counted from 0."""
        spacing_deg = 360 * place / self.satellites_per_plane
        phase_deg = 360 * self.phasing * plane / self.satellites
        return Elements(
            semi_major_axis_km=self.semi_major_axis_km,
            inclination_deg=self.inclination_deg,
            raan_deg=self.raan_deg + self.spread_deg * plane / self.planes,
            mean_anomaly_deg=self.argument_of_latitude_deg + spacing_deg + phase_deg,
            propagation=self.propagation,
        )

    def satellites_at(self, epoch: datetime, name: str = "") -> list[Satellite]:
        """Return the satellites that fly in this pattern at `epoch`, plane by plane.

        Names run from P01-S01, with more digits where numbers need them, after `name` and a hyphen
        where there is one; `plane` is the part before -S01. Raises ValueError for elements that
        no satellite can have, or an epoch without a time zone.
        """
        prefix = f"{name}-" if name else ""
        plane_digits = max(2, len(str(self.planes)))
        place_digits = max(2, len(str(self.satellites_per_plane)))
        flying = []
        for plane in range(self.planes):
            plane_name = f"{prefix}P{plane + 1:0{plane_digits}}"
            for place in range(self.satellites_per_plane):
                satellite_name = f"{plane_name}-S{place + 1:0{place_digits}}"
                elements = self.elements(plane, place)
                flying.append(elements.satellite(satellite_name, epoch, plane_name))
        return flying


def walker_delta(  # noqa: PLR0913 - the numbers of a pattern and the elements of its orbit
    altitude_km: float,
    inclination_deg: float,
    satellites: int,
    planes: int,
    phasing: int,
    epoch: datetime,
    raan_deg: float = 0.0,
    argument_of_latitude_deg: float = 0.0,
    propagation: Propagation = "sgp4",
) -> list[Satellite]:
    """A Walker delta: a `Shell` over 360 deg at the altitude of `circular_satellite`."""
    axis_km = circular_axis_km(altitude_km, propagation)
    notation = satellites, planes, phasing
    angles_deg = raan_deg, argument_of_latitude_deg
    shell = Shell(360.0, axis_km, inclination_deg, *notation, *angles_deg, propagation)
    return shell.satellites_at(epoch)
