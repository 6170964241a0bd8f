"""Kepler's ellipse that J2 turns at its secular rates: no short periods, no drag."""

from dataclasses import dataclass
from functools import cached_property, partial
from math import cos, sin, sqrt, tau
from typing import Any, ClassVar

import numpy as np

from orbit.earth import EARTH_RADIUS_KM
from statements.arrays import Floats, Ints

# WGS 84 (NIMA TR8350.2, table 3.1); J2 of EGM96, the gravity field that belongs to it.
MU_KM3_S2 = 398600.4418
J2 = 1.08262668e-3
_DAY_MIN = 1440.0
# Newton's last change of an eccentric anomaly, and steps of which the most eccentric need a dozen.
_ROUNDING = 1e-14
_STEPS = 50
_Vector = tuple[Any, Any, Any]


@dataclass(frozen=True)
class SecularJ2:
    """Mean elements at an epoch, carried on by J2's secular rates, as STK's J2Perturbation does.

    Node, argument of perigee and mean anomaly turn evenly (Vallado, Fundamentals of Astrodynamics,
    section 9.6.1); axis, eccentricity and inclination stay. Attributes are called as those of an
    sgp4 Satrec and have its units: radians, minutes, Earth radii; so have its two methods.
    """

    a: float
    ecco: float
    inclo: float
    nodeo: float
    argpo: float
    mo: float
    jdsatepoch: float
    jdsatepochF: float  # noqa: N815 - sgp4's own name of it

    mu: ClassVar[float] = MU_KM3_S2
    radiusearthkm: ClassVar[float] = EARTH_RADIUS_KM
    j2: ClassVar[float] = J2
    j3 = j4 = bstar = ndot = nddot = 0.0
    satnum: ClassVar[int] = 0
    operationmode: ClassVar[str] = "secular_j2"

    @cached_property
    def no_kozai(self) -> float:
        """Rate of the mean anomaly, rad/min: that from perigee to perigee."""
        root = sqrt(1 - self.ecco**2)
        sine = sin(self.inclo)
        return self._kepler + self._turn * root * (1 - 1.5 * sine * sine)

    @cached_property
    def nodedot(self) -> float:
        """Rate of the node, rad/min."""
        return -self._turn * cos(self.inclo)

    @cached_property
    def argpdot(self) -> float:
        """Rate of the argument of perigee, rad/min."""
        return self._turn * (2 - 2.5 * sin(self.inclo) ** 2)

    @cached_property
    def _kepler(self) -> float:
        """Kepler's mean motion, rad/min."""
        return 60 * sqrt(MU_KM3_S2 / (self.a * EARTH_RADIUS_KM) ** 3)

    @cached_property
    def _turn(self) -> float:
        """3/2 n J2 (R/p)^2 in rad/min, of which all three rates are multiples."""
        return 1.5 * self._kepler * J2 / (self.a * (1 - self.ecco**2)) ** 2

    def sgp4_array(self, day: Floats, fraction: Floats) -> tuple[Ints, Floats, Floats]:
        """No error (T,), positions (km) and their rates (km/s) (T, 3) in TEME at Julian dates."""
        position, velocity = map(partial(np.stack, axis=-1), self._state(day, fraction))
        return np.zeros(day.shape, np.int64), position, velocity

    def sgp4(self, day: float, fraction: float) -> tuple[int, _Vector, _Vector]:
        """The same at one Julian date, in numbers: many times quicker than an array of one."""
        return 0, *self._state(day, fraction)

    def _state(self, day: Any, fraction: Any) -> tuple[_Vector, _Vector]:
        """Components of position and velocity at one time, or at many (T,)."""
        since_min = ((day - self.jdsatepoch) + (fraction - self.jdsatepochF)) * _DAY_MIN
        anomaly = _eccentric(self.mo + self.no_kozai * since_min, self.ecco)
        cosine, sine = _cosine_and_sine(anomaly)
        rate = self.no_kozai / (1 - self.ecco * cosine)
        major = self.a * EARTH_RADIUS_KM
        minor = major * sqrt(1 - self.ecco**2)
        perigee = self.argpo + self.argpdot * since_min
        along, across, along_rate, across_rate = _turned(
            perigee,
            self.argpdot,
            major * (cosine - self.ecco),
            minor * sine,
            -major * sine * rate,
            minor * cosine * rate,
        )
        level = cos(self.inclo)
        height = sin(self.inclo)
        node = self.nodeo + self.nodedot * since_min
        x, y, x_rate, y_rate = _turned(
            node, self.nodedot, along, level * across, along_rate, level * across_rate
        )
        return (x, y, height * across), (x_rate / 60, y_rate / 60, height * across_rate / 60)


def _turned(
    angle: Floats, rate: float, x: Floats, y: Floats, dx: Floats, dy: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """A point and its motion, turned by an angle that grows at a rate."""
    cosine, sine = _cosine_and_sine(angle)
    along = cosine * x - sine * y
    across = sine * x + cosine * y
    return (
        along,
        across,
        cosine * dx - sine * dy - rate * across,
        sine * dx + cosine * dy + rate * along,
    )


def _cosine_and_sine(angle: Any) -> tuple[Any, Any]:
    return (cos(angle), sin(angle)) if isinstance(angle, float) else (np.cos(angle), np.sin(angle))


def _eccentric(mean: Floats, eccentricity: float) -> Floats:
    """Kepler's equation by Newton steps, from Danby's first guess."""
    if eccentricity == 0:
        return mean
    mean = np.remainder(mean + np.pi, tau) - np.pi
    anomaly = mean + 0.85 * eccentricity * np.sign(mean)
    for _ in range(_STEPS):
        excess = anomaly - eccentricity * np.sin(anomaly) - mean
        step = excess / (1 - eccentricity * np.cos(anomaly))
        anomaly = anomaly - step
        if np.abs(step).max() < _ROUNDING:
            break
    return anomaly
