"""Which samples of an ephemeris a site may see, and the line of sight between two samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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
