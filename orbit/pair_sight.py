"""The line of sight between two satellites past the Earth's limb, as `orbit.passes` searches it.

Lengths along the axis are stretched until the limb, the ellipsoid grown by the grazing height, is a
sphere of radius R. Two satellites see each other past it where
p1.p2 - R^2 + t1 t2 = r1 r2 (cos(angle between them) - cos(acos(R/r1) + acos(R/r2)))
is positive, with t = sqrt(r^2 - R^2), the way from a satellite to where its ray touches the limb.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, isfinite

import numpy as np

from orbit.earth import EARTH_RADIUS_KM, FLATTENING
from orbit.ephemeris import SampledEphemeris, motion
from orbit.visibility import Arcs, LineOfSight, picked, products
from statements.arrays import Floats, Ints, Mask

_AT_ONCE = 1 << 13
"""Samples of pairs that are looked at together, whose arrays stay in a core's own cache."""

Motion = Sequence[Floats]
"""Positions (3, ...) of satellites and their first one or two derivatives."""


@dataclass(frozen=True)
class Limb:
    """The ellipsoid grown by `grazing_km` hides, and so does more than `reach_km` of distance."""

    grazing_km: float
    reach_km: float = inf

    @property
    def radius_km(self) -> float:
        """Of the sphere that the limb is when stretched."""
        return EARTH_RADIUS_KM + self.grazing_km

    def lifted(self, moves: Motion) -> Motion:
        """A motion (4, ...): stretched, and the way to the limb, which is 0 within."""
        polar = EARTH_RADIUS_KM * (1 - FLATTENING) + self.grazing_km
        stretched = [np.stack([x, y, z * (self.radius_km / polar)]) for x, y, z in moves]
        squares = products(stretched, stretched)
        way = np.sqrt(np.maximum(squares[0] - self.radius_km**2, 0.0))
        over = np.where(way > 0, way, np.inf)
        ways = [way, 0.5 * squares[1] / over]
        ways += [(0.5 * bend - ways[1] ** 2) / over for bend in squares[2:]]
        return [np.concatenate([a, b[None]]) for a, b in zip(stretched, ways, strict=True)]

    def sight(self, line: Motion, one: Motion, other: Motion) -> LineOfSight:
        """From the line between two satellites and their `lifted` motions; height in km^2."""
        height = products(one, other)
        square = products(line, line)
        height[0] -= self.radius_km**2
        square[0] = np.maximum(square[0], 1e-12)  # two in one place stay a millimetre apart
        if isfinite(self.reach_km):
            left = [0.5 * (self.reach_km**2 - square[0]), *(-0.5 * rate for rate in square[1:])]
            far = left[0] < height[0]
            height = [np.where(far, a, b) for a, b in zip(left, height, strict=True)]
        # From within the limb nothing is seen.
        height[0] = np.where(one[0][3] * other[0][3] > 0, height[0], -1.0)
        return LineOfSight(height, square)


@dataclass(frozen=True)
class PairSamples:
    """What pairs of satellites (by index (n,) each) of an ephemeris see at its times.

    Samples stand pair by pair, T each; `lifted` (4, N, T) is the limb's of all satellites.
    """

    ephemeris: SampledEphemeris
    limb: Limb
    lifted: Motion
    one: Ints
    other: Ints

    @cached_property
    def seen(self) -> LineOfSight:
        """At each sample (n T,)."""
        samples = self.ephemeris.samples
        node = self.ephemeris.node[:2].reshape(2, 3, -1, samples)
        found = np.empty((4, len(self.one), samples))
        few = max(1, _AT_ONCE // samples)
        for begin in range(0, len(self.one), few):
            # Of several pairs samples are brought together; those of one are left where they are.
            some = slice(begin, begin + few) if few > 1 else begin
            moves, others = (
                [each[:, index[some]] for each in (*self.lifted, *node)]
                for index in (self.one, self.other)
            )
            line = [b - a for a, b in zip(moves[2:], others[2:], strict=True)]
            sight = self.limb.sight(line, moves[:2], others[:2])
            found[:2, some] = sight.height
            found[2:, some] = sight.square
        height, square = found.reshape(2, 2, -1)
        return LineOfSight(list(height), list(square))

    @cached_property
    def visible(self) -> Mask:
        """Whether each sample is in sight."""
        return self.seen.height[0] >= 0

    @cached_property
    def linked(self) -> Mask:
        """Whether the next sample is the next one of the same pair."""
        linked = np.ones((len(self.one), self.ephemeris.samples), bool)
        linked[:, -1] = False
        return linked.ravel()

    def sin_mask(self, left: Ints) -> Floats:
        """No mask."""
        return np.zeros(len(left))

    def arcs(self, left: Ints) -> Arcs:
        """The steps `left` as the ephemeris has them."""
        pair, number = np.divmod(left, self.ephemeris.samples)
        rows = (each[pair] * self.ephemeris.samples + number for each in (self.one, self.other))
        powers = [self.ephemeris.polynomials(row) for row in rows]

        def at(which: Ints, x: Floats, derivatives: int = 2) -> LineOfSight:
            one, other = (motion(picked(each, which), x, derivatives) for each in powers)
            line = [b - a for a, b in zip(one, other, strict=True)]
            return self.limb.sight(line, self.limb.lifted(one), self.limb.lifted(other))

        return at

    def pair(self, left: Ints) -> tuple[Ints, Ints]:
        """The numbers of the pairs of samples `left`, twice."""
        number = left // self.ephemeris.samples
        return number, number

    def time_s(self, left: Ints, x: Floats) -> Floats:
        """Seconds since the start at fractions x of steps `left`."""
        grid_s = self.ephemeris.time_s[left % self.ephemeris.samples]
        return grid_s + x * self.ephemeris.step_s[0]
