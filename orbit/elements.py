"""Satellites: what SGP4 needs of one, and the circular orbit made from scratch."""

from dataclasses import dataclass, field
from datetime import datetime
from math import cos, isfinite, radians, sqrt, tau
from typing import Any

from orbit.clock import DAY_S, Start, utc
from orbit.limits import within

# WGS 72, the constants that SGP4 elements are fitted with (Vallado et al., AIAA 2006-6753).
_RADIUS_KM = 6378.135
_J2 = 0.001082616
_MU_KM3_S2 = 398600.8
# SGP4 counts its epoch in days from 1949 December 31, 0h.
_SGP4_DAY_ZERO = 2433281.5


@dataclass(frozen=True)
class Satellite:
    """A satellite: its name, catalogue number, epoch (aware UTC) and SGP4 model (an sgp4 Satrec).

    Two are equal when name, number and epoch are.
    """

    name: str
    norad_id: int
    epoch: datetime
    model: Any = field(compare=False)

    def __repr__(self) -> str:
        """One line, without the model."""
        epoch = f"{self.epoch:%Y-%m-%dT%H:%M:%SZ}"
        return f"Satellite({self.name!r}, norad_id={self.norad_id}, epoch={epoch})"


def circular_satellite(
    name: str,
    altitude_km: float,
    inclination_deg: float,
    raan_deg: float,
    argument_of_latitude_deg: float,
    epoch: datetime,
) -> Satellite:
    """A drag-free satellite on a circular orbit.

    The Brouwer mean semi-major axis is the WGS 72 equatorial radius plus `altitude_km` (160 to
    2000); inclination 0 to 180 deg; the other two angles are any finite degrees. The catalogue
    number is 0. Raises ValueError outside these ranges or for an epoch without a time zone.
    """
    from sgp4.api import WGS72, Satrec

    within(altitude_km, 160, 2000, "altitude_km")
    inclination = radians(within(inclination_deg, 0, 180, "inclination_deg"))
    node = _wrapped(raan_deg, "raan_deg")
    anomaly = _wrapped(argument_of_latitude_deg, "argument_of_latitude_deg")
    start = Start.of(epoch, "epoch")
    days = start.julian_day - _SGP4_DAY_ZERO + start.second_of_day / DAY_S
    motion = _kozai_mean_motion(altitude_km, inclination)
    model = Satrec()
    model.sgp4init(WGS72, "i", 0, days, 0.0, 0.0, 0.0, 0.0, 0.0, inclination, anomaly, motion, node)
    return Satellite(name, 0, utc(epoch, "epoch"), model)


def _wrapped(angle_deg: float, what: str) -> float:
    if not isfinite(angle_deg):
        raise ValueError(f"{what} {angle_deg!r} is not finite; give an angle in degrees")
    return radians(angle_deg) % tau


def _kozai_mean_motion(altitude_km: float, inclination: float) -> float:
    """Mean motion (rad/min) that SGP4's initialisation turns into this Brouwer semi-major axis.

    Inverts the un-Kozai step (Spacetrack Report No. 3, section 6: a_1, delta_1, a_0, delta_0) at
    zero eccentricity by a fixed point, which contracts by J2 (a thousandth) a step.
    """
    axis = 1 + altitude_km / _RADIUS_KM
    ke = 60 * sqrt(_MU_KM3_S2 / _RADIUS_KM**3)
    brouwer = ke / axis / sqrt(axis)
    oblateness = 0.75 * _J2 * (3 * cos(inclination) ** 2 - 1)
    kozai = brouwer
    for _ in range(8):
        first: float = (ke / kozai) ** (2 / 3)
        d1 = oblateness / first**2
        second = first * (1 - d1 * d1 - d1 * (1 / 3 + 134 * d1 * d1 / 81))
        kozai = brouwer * (1 + oblateness / second**2)
    return kozai
