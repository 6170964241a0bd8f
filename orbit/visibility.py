"""Who sees whom: samples of an ephemeris as sites see them, or two satellites each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, isfinite
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from orbit.earth import EARTH_RADIUS_KM, FLATTENING
from orbit.ephemeris import Ephemeris, SampledEphemeris, motion
from orbit.look_angles import dot
from orbit.sites import SiteFrames
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True)
class LineOfSight:
    """Height above a site's horizon plane and squared range, each with one or two derivatives.

    In km, and per second or per step of an ephemeris; arrays of one shape. Between two satellites
    the height is any measure that is positive where they see each other, and the mask is 0.
    """

    height: Sequence[Floats]
    square: Sequence[Floats]

    @classmethod
    def of(cls, up: Floats, *line: Floats) -> "LineOfSight":
        """From a line of sight (3, n) and its derivatives, and the site's normal `up`."""
        return cls([dot(each, up) for each in line], products(line, line))

    @property
    def sin_elevation(self) -> Floats:
        """Sine of the elevation."""
        return self.height[0] / np.sqrt(self.square[0])

    @property
    def climb(self) -> Floats:
        """Rate of sin(elevation) times slant range cubed: positive while the satellite climbs."""
        return self.height[1] * self.square[0] - 0.5 * self.height[0] * self.square[1]

    @property
    def climb_and_rate(self) -> tuple[Floats, Floats]:
        """`climb` and its rate."""
        bend = self.height[2] * self.square[0] - 0.5 * self.height[0] * self.square[2]
        return self.climb, bend + 0.5 * self.height[1] * self.square[1]

    def above_mask_and_rate(self, sin_mask: Floats) -> tuple[Floats, Floats]:
        """Height above the mask's cone (km) and its rate."""
        slant_range = np.sqrt(self.square[0])
        rate = self.height[1] - 0.5 * sin_mask * self.square[1] / slant_range
        return self.height[0] - sin_mask * slant_range, rate


def products(one: Sequence[Floats], other: Sequence[Floats]) -> list[Floats]:
    """Scalar product of two vectors and its derivatives, from those of both."""
    half = dot(one[0], other[1])
    rate = half + (half if one is other else dot(one[1], other[0]))
    found = [dot(one[0], other[0]), rate]
    if len(one) > 2:
        bends = dot(one[2], other[0]) + dot(one[0], other[2])
        found.append(bends + 2 * dot(one[1], other[1]))
    return found


class Arcs(Protocol):
    """Lines of sight of n pairs during a step each."""

    def __call__(self, which: Ints, x: Floats, derivatives: int = 2) -> LineOfSight:
        """Return those of pairs `which` at fractions x, with one or two derivatives."""


def picked(columns: Floats, which: Ints) -> Floats:
    """Some columns of the last axis, by rising index."""
    whole = len(which) == columns.shape[-1]
    return columns if whole else np.take(columns, which, axis=-1)


@dataclass(frozen=True)
class Samples:
    """What sites see at samples, sorted by site, satellite, time; arrays of one length P.

    `row` is that of the ephemeris; `linked` says whether the next sample is the next one of the
    same pair. A step is named by its first sample: `left` indexes these arrays.
    """

    ephemeris: Ephemeris
    frames: SiteFrames
    row: Ints
    site: Ints
    seen: LineOfSight
    visible: Mask
    linked: Mask

    @classmethod
    def of(cls, ephemeris: Ephemeris, frames: SiteFrames, site: Ints, row: Ints) -> "Samples":
        """The samples of rows from sites, both (P,)."""
        node = ephemeris.node
        line = np.take(node[0], row, axis=1) - np.take(frames.position_km.T, site, axis=1)
        up = np.take(frames.up.T, site, axis=1)
        seen = LineOfSight.of(up, line, np.take(node[1], row, axis=1))
        visible = seen.height[0] >= frames.sin_mask[site] * np.sqrt(seen.square[0])
        linked = np.zeros(len(row), bool)
        linked[:-1] = (row[1:] == row[:-1] + 1) & (site[1:] == site[:-1])
        linked &= ~ephemeris.last[row]
        return cls(ephemeris, frames, row, site, seen, visible, linked)

    def sin_mask(self, left: Ints) -> Floats:
        """Sine of the mask for steps `left`."""
        return self.frames.sin_mask[self.site[left]]

    def arcs(self, left: Ints) -> Arcs:
        """The steps `left` as the ephemeris has them."""
        powers = self.ephemeris.polynomials(self.row[left])
        site = self.site[left]
        powers[0] -= np.take(self.frames.position_km.T, site, axis=1)
        up = np.take(self.frames.up.T, site, axis=1)

        def at(which: Ints, x: Floats, derivatives: int = 2) -> LineOfSight:
            return LineOfSight.of(picked(up, which), *motion(picked(powers, which), x, derivatives))

        return at

    def pair(self, left: Ints) -> tuple[Ints, Ints]:
        """Indices of satellite and site of samples `left`."""
        return self.ephemeris.satellite[self.row[left]], self.site[left]

    def time_s(self, left: Ints, x: Floats) -> Floats:
        """Seconds since the start at fractions x of steps `left`."""
        # The grid's own times, so that the first and the last are the span's to the last bit.
        grid_s = self.ephemeris.time_s[self.row[left]]
        return grid_s + x * self.ephemeris.step_s[self.pair(left)[0]]


# The normal of the ellipsoid and the geocentric radius differ by at most 0.1924 deg.
_DEFLECTION = np.radians(0.2)
# Half a step's motion, and a tenth more for its change and for single precision below.
_STEPS = 0.55
_SLACK = 0.003


def visible_candidates(
    ephemeris: SampledEphemeris, frames: SiteFrames, sites: slice
) -> tuple[Ints, Ints]:
    """Site and row of samples that can matter to windows of some sites, sorted in this order.

    Holds both ends of every step during which the satellite can be above the mask: those where its
    central angle from the site is below acos(R/r cos e) - e, widened by its motion in half a step,
    and one sample more on either side.
    """
    position_km = frames.position_km[sites]
    radius_km = np.linalg.norm(position_km, axis=1)
    directions = (position_km / radius_km[:, None]).astype(np.float32)
    position = ephemeris.node[0].astype(np.float32)
    # Not by BLAS, whose threads cost more than they bring on three terms.
    along = np.einsum("sk,kn->sn", directions, position)
    lowest_rad = np.arcsin(frames.sin_mask[sites].min()) - _DEFLECTION
    shape = len(directions), len(ephemeris.step_s), ephemeris.samples
    near = along.reshape(shape) >= _thresholds_km(ephemeris, radius_km.min(), lowest_rad)
    wide = near.copy()
    wide[..., 1:] |= near[..., :-1]
    wide[..., :-1] |= near[..., 1:]
    site, row = np.divmod(np.flatnonzero(wide), position.shape[1])
    return site + sites.start, row


def _thresholds_km(
    ephemeris: SampledEphemeris, lowest_site_km: float, lowest_rad: float
) -> NDArray[np.float32]:
    """Least projection (N, T) of a satellite on a site's radius that can be in view of it."""
    node = ephemeris.node[:2].reshape(2, 3, len(ephemeris.step_s), ephemeris.samples)
    radius, speed = np.sqrt(np.square(node).sum(axis=1))
    fastest = (speed / radius).max(axis=1, keepdims=True)
    # A satellite below the lowest site has no horizon of its own: the cosine stops at 1.
    cosine = np.minimum(lowest_site_km / radius * np.cos(lowest_rad), 1.0)
    reach = np.arccos(cosine) - lowest_rad + _STEPS * fastest + _SLACK
    return (radius * np.cos(np.minimum(reach, np.pi))).astype(np.float32)


# The line of sight between two satellites past the Earth's limb, as `orbit.passes` searches it.
# Lengths along the axis are stretched until the limb, the ellipsoid grown by the grazing height, is
# a sphere of radius R. Two satellites see each other past it where
# p1.p2 - R^2 + t1 t2 = r1 r2 (cos(angle between them) - cos(acos(R/r1) + acos(R/r2)))
# is positive, with t = sqrt(r^2 - R^2), the way from a satellite to where its ray touches the limb.


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
