"""Satellites from elements: circular, Keplerian, sun-synchronous, Walker patterns."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from math import acos, degrees, floor, radians, tau
from typing import Literal, get_args

from orbit.checks import finite, whole, within
from orbit.earth import EARTH_RADIUS_KM
from orbit.satellite import Satellite, not_tiny
from orbit.secular_j2 import SecularJ2
from orbit.utc import DAY_S, Start, utc

# WGS 72, with which SGP4 elements are fitted (Vallado et al., AIAA 2006-6753).
_RADIUS_KM = 6378.135
# SGP4 counts its epoch in days from 1949 December 31, 0h.
_SGP4_DAY_ZERO = 2433281.5
_LOWEST_PERIGEE_KM = 120.0
# The widest orbit of SGP4's verification set has 241 700 km.
_LARGEST_AXIS_KM = 250000.0
_TROPICAL_YEAR_DAYS = 365.2422

Propagation = Literal["sgp4", "secular_j2"]
"""SGP4, or Kepler's ellipse turned by J2's secular rates alone (`orbit.secular_j2`)."""


def keplerian_satellite(
    name: str,
    epoch: datetime,
    *,
    semi_major_axis_km: float,
    inclination_deg: float,
    eccentricity: float = 0.0,
    raan_deg: float = 0.0,
    argument_of_perigee_deg: float = 0.0,
    mean_anomaly_deg: float = 0.0,
    bstar: float = 0.0,
    propagation: Propagation = "sgp4",
) -> Satellite:
    """A satellite with these Brouwer mean elements at `epoch`, as SGP4 itself carries them on.

    With `propagation` secular_j2 they are mean elements that J2 turns evenly, without short periods
    and drag, as STK's J2Perturbation does: WGS 84, J2 of EGM96, axes of TEME.

    `semi_major_axis_km` is a'' of Spacetrack Report No. 3, section 6, at most 250 000 km; with
    the eccentricity (0 up to 1) it must keep perigee 120 km above the WGS 72 equatorial radius of
    6378.135 km. Inclination is 0 to 180 deg; the other angles are any finite degrees. `bstar` is
    the drag term in 1/Earth radius, -1 to 1. The catalogue number is 0. Raises ValueError outside
    these ranges or for an epoch without a time zone.
    """
    from sgp4.api import WGS72, Satrec

    _check_shape(semi_major_axis_km, eccentricity)
    inclination = radians(not_tiny(within(inclination_deg, 0, 180, "inclination_deg")))
    node = _wrapped(raan_deg, "raan_deg")
    perigee = _wrapped(argument_of_perigee_deg, "argument_of_perigee_deg")
    anomaly = _wrapped(mean_anomaly_deg, "mean_anomaly_deg")
    drag = within(bstar, -1, 1, "bstar")
    start = Start.of(epoch, "epoch")
    fraction = start.second_of_day / DAY_S
    if propagation not in get_args(Propagation):
        known = " or ".join(map(repr, get_args(Propagation)))
        raise ValueError(f"propagation {propagation!r} is unknown; write {known}")
    if propagation == "secular_j2":
        if drag:
            raise ValueError(f"bstar {bstar}: propagation 'secular_j2' has no drag; leave it out")
        angles = inclination, node, perigee, anomaly
        axis = semi_major_axis_km / EARTH_RADIUS_KM
        made = SecularJ2(axis, eccentricity, *angles, start.julian_day, fraction)
        return Satellite(name, 0, utc(epoch, "epoch"), made, made=True)
    days = start.julian_day - _SGP4_DAY_ZERO + fraction
    motion = _kozai_mean_motion(semi_major_axis_km / _RADIUS_KM, eccentricity, inclination)
    shape = eccentricity, perigee, inclination, anomaly, motion, node
    model = Satrec()
    model.sgp4init(WGS72, "i", 0, days, drag, 0.0, 0.0, *shape)
    return Satellite(name, 0, utc(epoch, "epoch"), model, made=True)


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
    _wrapped(argument_of_latitude_deg, "argument_of_latitude_deg")
    return keplerian_satellite(
        name,
        epoch,
        semi_major_axis_km=circular_axis_km(altitude_km, propagation),
        inclination_deg=inclination_deg,
        raan_deg=raan_deg,
        mean_anomaly_deg=argument_of_latitude_deg,
        propagation=propagation,
    )


def circular_axis_km(altitude_km: float, propagation: Propagation = "sgp4") -> float:
    """Semi-major axis (km) of a circular orbit at an altitude of 160 to 2000 km.

    Raises ValueError outside this range.
    """
    return _axis_km(within(altitude_km, 160, 2000, "altitude_km"), propagation)


def _axis_km(altitude_km: float, propagation: Propagation) -> float:
    return altitude_km + (_RADIUS_KM if propagation == "sgp4" else EARTH_RADIUS_KM)


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
    made = keplerian_satellite(
        "rate",
        datetime(2000, 1, 1, tzinfo=UTC),
        semi_major_axis_km=_axis_km(altitude_km, propagation),
        inclination_deg=degrees(acos(cosine)),
        propagation=propagation,
    )
    return float(made.model.nodedot) * 1440


def _check_shape(semi_major_axis_km: float, eccentricity: float) -> None:
    smallest = _RADIUS_KM + _LOWEST_PERIGEE_KM
    within(semi_major_axis_km, smallest, _LARGEST_AXIS_KM, "semi_major_axis_km")
    within(eccentricity, 0, 1, "eccentricity", below=True)
    perigee_km = semi_major_axis_km * (1 - eccentricity) - _RADIUS_KM
    if perigee_km < _LOWEST_PERIGEE_KM:
        largest = floor((1 - smallest / semi_major_axis_km) * 1e6) / 1e6
        raise ValueError(
            f"eccentricity {eccentricity} puts perigee at {perigee_km:.1f} km altitude; keep it "
            f"at {_LOWEST_PERIGEE_KM:g} km or more, with at most {largest:.6f} on this axis"
        )


def _wrapped(angle_deg: float, what: str) -> float:
    return radians(finite(angle_deg, what, "give an angle in degrees")) % tau


@lru_cache(maxsize=64)
def _kozai_mean_motion(axis: float, eccentricity: float, inclination: float) -> float:
    """Mean motion (rad/min) that SGP4's own initialisation turns into this Brouwer axis (in radii).

    A fixed point, which contracts by about J2 (a thousandth) a step, from any motion.
    """
    from sgp4.api import WGS72, Satrec

    model, motion = Satrec(), 0.06
    for _ in range(8):
        model.sgp4init(WGS72, "i", 0, 0, 0, 0, 0, eccentricity, 0, inclination, 0, motion, 0)
        motion *= (model.a / axis) ** 1.5
    return motion


def walker_shell(
    spread_deg: float,
    semi_major_axis_km: float,
    inclination_deg: float,
    satellites: int,
    planes: int,
    phasing: int,
    epoch: datetime,
    raan_deg: float = 0.0,
    argument_of_latitude_deg: float = 0.0,
    propagation: Propagation = "sgp4",
    name: str = "",
) -> list[Satellite]:
    """A Walker pattern i: t/p/f on circular orbits, whose nodes are spread over `spread_deg`.

    Over 360 deg it is a delta; over 180 a star, of which near-polar planes move up one half of the
    Earth and down the other.

    `satellites` is t, `planes` p (a divisor of t) and `phasing` f (0 to p - 1), as in J. G.
    Walker, "Satellite constellations", JBIS 37 (1984). Satellites of a plane lie 360 p/t deg
    apart, and each is 360 f/t deg ahead of its like in the plane before. The first satellite of
    the first plane has `raan_deg` and `argument_of_latitude_deg`. Names run plane by plane from
    P01-S01, with more digits where numbers need them, behind `name` and a hyphen where there is
    one; `plane` is the part before -S01. Axis, inclination, epoch and propagation are those of
    `keplerian_satellite`. Raises ValueError for numbers that make no constellation.
    """
    _check(satellites, planes, phasing)
    finite(raan_deg, "raan_deg", "give an angle in degrees")
    finite(argument_of_latitude_deg, "argument_of_latitude_deg", "give an angle in degrees")
    each = satellites // planes
    plane_digits, digits = max(2, len(str(planes))), max(2, len(str(each)))
    made = []
    for number in range(planes):
        plane = f"{name}-" * bool(name) + f"P{number + 1:0{plane_digits}}"
        for place in range(each):
            satellite = keplerian_satellite(
                f"{plane}-S{place + 1:0{digits}}",
                epoch,
                semi_major_axis_km=semi_major_axis_km,
                inclination_deg=inclination_deg,
                raan_deg=raan_deg + spread_deg * number / planes,
                mean_anomaly_deg=argument_of_latitude_deg
                + 360 * place / each
                + 360 * phasing * number / satellites,
                propagation=propagation,
            )
            made.append(replace(satellite, plane=plane))
    return made


def walker_delta(
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
    """A Walker delta: `walker_shell` at the altitude of `circular_satellite`, over 360 deg."""
    axis_km = circular_axis_km(altitude_km, propagation)
    orbits = satellites, planes, phasing, epoch, raan_deg, argument_of_latitude_deg, propagation
    return walker_shell(360.0, axis_km, inclination_deg, *orbits)


def _check(total: int, planes: int, phasing: int) -> None:
    for value, what in ((total, "satellites"), (planes, "planes"), (phasing, "phasing")):
        whole(value, what)
    if planes < 1:
        raise ValueError(f"planes {planes} is less than 1; give at least one plane")
    if total < 1 or total % planes:
        raise ValueError(
            f"satellites {total} is no multiple of planes {planes}; give the same number a plane"
        )
    if not 0 <= phasing < planes:
        raise ValueError(f"phasing {phasing} is outside 0 to planes - 1; give 0 to {planes - 1}")
