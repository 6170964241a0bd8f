"""The line of sight between two satellites past the Earth's limb, as `orbit.passes` searches it.

Lengths along the axis are stretched until the limb, the ellipsoid grown by the grazing height, is a
sphere of radius R. Two satellites see each other past it where
p1.p2 - R^2 + t1 t2 = r1 r2 (cos(angle between them) - cos(acos(R/r1) + acos(R/r2)))
is positive, with t = sqrt(r^2 - R^2), the way from a satellite to where its ray touches the limb.
"""

from dataclasses import dataclass
from functools import cached_property
from math import inf, isfinite

import numpy as np

from orbit.checks import BoolArray, FloatArray, IntArray
from orbit.earth import EARTH_RADIUS_KM, FLATTENING
from orbit.ephemeris import SampledEphemeris, acceleration, value_and_rate
from orbit.look_angles import dot
from orbit.visibility import LineOfSight, picked


@dataclass(frozen=True)
class Limb:
    """The ellipsoid grown by `grazing_km` hides, and so does more than `reach_km` of distance."""

    grazing_km: float
    reach_km: float = inf

    @property
    def radius_km(self) -> float:
        """Of the sphere that the limb is when stretched."""
        return EARTH_RADIUS_KM + self.grazing_km

    def lifted(self, *motion: FloatArray) -> list[FloatArray]:
        """Position (3, ...) and its rates as (4, ...): stretched, and the way to the limb.

        The way is 0 within the limb.
        """
        polar = EARTH_RADIUS_KM * (1 - FLATTENING) + self.grazing_km
        stretched = [np.stack([x, y, z * (self.radius_km / polar)]) for x, y, z in motion]
        place, rate = stretched[:2]
        way = np.sqrt(np.maximum(dot(place, place) - self.radius_km**2, 0.0))
        over = np.where(way > 0, way, np.inf)
        ways = [way, dot(place, rate) / over]
        if len(stretched) > 2:
            ways.append((dot(rate, rate) + dot(place, stretched[2]) - ways[1] ** 2) / over)
        return [np.concatenate([a, b[None]]) for a, b in zip(stretched, ways, strict=True)]

    def sight(self, one: list[FloatArray], other: list[FloatArray], line: FloatArray,
              rate: FloatArray) -> LineOfSight:  # fmt: skip
        """From the `lifted` motions of two satellites and the line between them; height in km^2."""
        height = _product(one[0], other[0]) - self.radius_km**2
        height_rate = _product(one[1], other[0]) + _product(one[0], other[1])
        # Two in one place stay a millimetre apart.
        square, square_rate = np.maximum(dot(line, line), 1e-12), 2 * dot(line, rate)
        if isfinite(self.reach_km):
            left = 0.5 * (self.reach_km**2 - square)
            far = left < height
            height = np.where(far, left, height)
            height_rate = np.where(far, -0.5 * square_rate, height_rate)
        # From within the limb nothing is seen.
        height = np.where(one[0][3] * other[0][3] > 0, height, -1.0)
        return LineOfSight(height, height_rate, square, square_rate)


def _product(one: FloatArray, other: FloatArray) -> FloatArray:
    product = dot(one, other)
    product += one[3] * other[3]
    return product


@dataclass(frozen=True)
class PairArcs:
    """Motions of n pairs during a step each: polynomials (d, 3, n) of either satellite."""

    limb: Limb
    one: FloatArray
    other: FloatArray

    def line(self, which: IntArray, x: FloatArray) -> LineOfSight:
        """Of pairs `which` at x."""
        one, other = (value_and_rate(picked(each, which), x) for each in (self.one, self.other))
        lifted = self.limb.lifted(*one), self.limb.lifted(*other)
        return self.limb.sight(*lifted, other[0] - one[0], other[1] - one[1])

    def climb(self, which: IntArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`LineOfSight.climb` of pairs `which` at x, and its rate."""
        each = [picked(powers, which) for powers in (self.one, self.other)]
        one, other = ((*value_and_rate(p, x), acceleration(p, x)) for p in each)
        line, rate, bend = (b - a for a, b in zip(one, other, strict=True))
        a, b = self.limb.lifted(*one), self.limb.lifted(*other)
        seen = self.limb.sight(a, b, line, rate)
        height_second = 2 * _product(a[1], b[1]) + _product(a[2], b[0]) + _product(a[0], b[2])
        square_second = 2 * (dot(rate, rate) + dot(line, bend))
        far = 0.5 * (self.limb.reach_km**2 - seen.square) <= seen.height
        height_second = np.where(far, -0.5 * square_second, height_second)
        return seen.climb, seen.climb_rate(height_second, square_second)

    def square_rate(self, which: IntArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rate of the squared distance of pairs `which` at x, and the rate of that."""
        powers = picked(self.other, which) - picked(self.one, which)
        line, rate = value_and_rate(powers, x)
        return 2 * dot(line, rate), 2 * (dot(rate, rate) + dot(line, acceleration(powers, x)))


@dataclass(frozen=True)
class PairSamples:
    """What pairs of satellites (by index (n,) each) of an ephemeris see at its times.

    Samples stand pair by pair, T each; `lifted` is that of the limb, (4, N, T) and its rate.
    """

    ephemeris: SampledEphemeris
    limb: Limb
    lifted: list[FloatArray]
    one: IntArray
    other: IntArray

    @cached_property
    def seen(self) -> LineOfSight:
        """At each sample (n T,)."""
        node = self.ephemeris.node[:2].reshape(2, 3, -1, self.ephemeris.samples)
        here, there = (
            [np.take(each, index, axis=1).reshape(len(each), -1) for each in (*self.lifted, *node)]
            for index in (self.one, self.other)
        )
        line, rate = (b - a for a, b in zip(here[2:], there[2:], strict=True))
        return self.limb.sight(here[:2], there[:2], line, rate)

    @cached_property
    def visible(self) -> BoolArray:
        """Whether each sample is in sight."""
        visible: BoolArray = self.seen.height >= 0
        return visible

    @cached_property
    def linked(self) -> BoolArray:
        """Whether the next sample is the next one of the same pair."""
        number = np.arange(1, len(self.one) * self.ephemeris.samples + 1)
        linked: BoolArray = number % self.ephemeris.samples != 0
        return linked

    def sin_mask(self, left: IntArray) -> FloatArray:
        """No mask."""
        return np.zeros(len(left))

    def arcs(self, left: IntArray) -> PairArcs:
        """The steps `left` as the ephemeris has them."""
        pair, number = np.divmod(left, self.ephemeris.samples)
        rows = (each[pair] * self.ephemeris.samples + number for each in (self.one, self.other))
        return PairArcs(self.limb, *(self.ephemeris.polynomials(row) for row in rows))

    rough_arcs = arcs

    def pair(self, left: IntArray) -> tuple[IntArray, IntArray]:
        """The numbers of the pairs of samples `left`, twice."""
        number = left // self.ephemeris.samples
        return number, number

    def time_s(self, left: IntArray, x: FloatArray) -> FloatArray:
        """Seconds since the start at fractions x of steps `left`."""
        grid_s = self.ephemeris.time_s[left % self.ephemeris.samples]
        time_s: FloatArray = grid_s + x * self.ephemeris.step_s[0]
        return time_s
