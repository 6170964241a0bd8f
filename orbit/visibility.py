"""Which samples of an ephemeris a site may see, and the line of sight between two samples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orbit.checks import BoolArray, FloatArray, IntArray
from orbit.ephemeris import Tracks, acceleration, value_and_rate
from orbit.sites import SiteFrames

# What a site sees of a satellite during one step of its track: height and distance.


@dataclass(frozen=True)
class View:
    """Arrays of one shape: height and squared slant range, and their rates."""

    height: FloatArray
    height_rate: FloatArray
    square: FloatArray
    square_rate: FloatArray

    @property
    def sin_elevation(self) -> FloatArray:
        """Sine of the elevation."""
        sine: FloatArray = self.height / np.sqrt(self.square)
        return sine

    @property
    def climb(self) -> FloatArray:
        """Rate of sin(elevation) times slant range cubed: positive while the satellite climbs."""
        return self.height_rate * self.square - 0.5 * self.height * self.square_rate

    def climb_rate(self, height_second: FloatArray, square_second: FloatArray) -> FloatArray:
        """Rate of `climb`, from the second derivatives of height and square."""
        bend = height_second * self.square - 0.5 * self.height * square_second
        return bend + 0.5 * self.height_rate * self.square_rate

    def excess(self, sin_mask: FloatArray) -> FloatArray:
        """Height above the mask's cone, km."""
        return self.height - sin_mask * np.sqrt(self.square)

    def excess_and_rate(self, sin_mask: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`excess` and its rate."""
        slant_range = np.sqrt(self.square)
        rate = self.height_rate - 0.5 * sin_mask * self.square_rate / slant_range
        return self.height - sin_mask * slant_range, rate

    def at(self, which: IntArray) -> "View":
        """Those views only."""
        return View(
            self.height[which], self.height_rate[which],
            self.square[which], self.square_rate[which],
        )  # fmt: skip


def view(line: FloatArray, rate: FloatArray, up: FloatArray) -> View:
    """View along a line of sight (3, n) that changes at `rate`, from under the normal `up`."""
    return View(_dot(line, up), _dot(rate, up), _dot(line, line), 2 * _dot(line, rate))


@dataclass(frozen=True)
class Arcs:
    """Lines of sight of n (satellite, site) pairs during a step each: quintics (6, 3, n)."""

    quintic: FloatArray
    up: FloatArray

    @classmethod
    def of(cls, tracks: Tracks, frames: SiteFrames, row: IntArray, site: IntArray) -> "Arcs":
        """The steps after the samples `row` (satellite x T + sample), seen from sites."""
        quintic = tracks.quintics(row)
        quintic[0] -= np.take(frames.position_km.T, site, axis=1)
        return cls(quintic, np.take(frames.up.T, site, axis=1))

    def view(self, which: IntArray, x: FloatArray) -> View:
        """Arcs `which` at x."""
        quintic, up = self._of(which)
        return view(*value_and_rate(quintic, x), up)

    def climb(self, which: IntArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`View.climb` of arcs `which` at x, and its rate."""
        quintic, up = self._of(which)
        line, rate = value_and_rate(quintic, x)
        second = acceleration(quintic, x)
        seen = view(line, rate, up)
        square_second = 2 * (_dot(rate, rate) + _dot(line, second))
        return seen.climb, seen.climb_rate(_dot(second, up), square_second)

    def square_rate(self, which: IntArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rate of the squared slant range of arcs `which` at x, and the rate of that."""
        quintic, _ = self._of(which)
        line, rate = value_and_rate(quintic, x)
        bend = _dot(rate, rate) + _dot(line, acceleration(quintic, x))
        return 2 * _dot(line, rate), 2 * bend

    def _of(self, which: IntArray) -> tuple[FloatArray, FloatArray]:
        if len(which) == self.up.shape[1]:
            return self.quintic, self.up
        return np.take(self.quintic, which, axis=2), np.take(self.up, which, axis=1)


def _dot(left: FloatArray, right: FloatArray) -> FloatArray:
    product: FloatArray = left[0] * right[0]
    product += left[1] * right[1]
    product += left[2] * right[2]
    return product


# A rough model of the view between two samples, to find good starting points for root finding.


@dataclass(frozen=True)
class Cubics:
    """Coefficients (4, 2, n), by power of x: height and squared slant range of n steps."""

    powers: FloatArray

    @classmethod
    def between(cls, left: View, right: View) -> "Cubics":
        """The steps from views `left` to views `right`."""
        value = np.stack([left.height, left.square])
        rate = np.stack([left.height_rate, left.square_rate])
        jump = np.stack([right.height, right.square]) - value
        last = np.stack([right.height_rate, right.square_rate])
        return cls(np.stack([value, rate, 3 * jump - 2 * rate - last, rate + last - 2 * jump]))

    def view(self, which: IntArray, x: FloatArray) -> View:
        """Steps `which` at x."""
        p = self._of(which)
        height, square = p[0] + x * (p[1] + x * (p[2] + x * p[3]))
        height_rate, square_rate = p[1] + x * (2 * p[2] + 3 * x * p[3])
        return View(height, height_rate, square, square_rate)

    def climb(self, which: IntArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`View.climb` of steps `which` at x, and its rate."""
        seen = self.view(which, x)
        return seen.climb, seen.climb_rate(*self._second(which, x))

    def square_rate(self, which: IntArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rate of the squared slant range of steps `which` at x, and the rate of that."""
        return self.view(which, x).square_rate, self._second(which, x)[1]

    def _second(self, which: IntArray, x: FloatArray) -> FloatArray:
        p = self._of(which)
        second: FloatArray = 2 * p[2] + 6 * x * p[3]
        return second

    def _of(self, which: IntArray) -> FloatArray:
        return (
            self.powers
            if len(which) == self.powers.shape[2]
            else np.take(self.powers, which, axis=2)
        )


@dataclass(frozen=True)
class Samples:
    """What sites see at samples, sorted by site, satellite, time; arrays of one length P.

    `row` is satellite x T + sample; `linked` says whether the next one is the next sample of the
    same pair. A step is named by its first sample: `left` indexes these arrays.
    """

    tracks: Tracks
    frames: SiteFrames
    row: IntArray
    site: IntArray
    view: View
    visible: BoolArray
    linked: BoolArray

    @classmethod
    def of(cls, tracks: Tracks, frames: SiteFrames) -> "Samples":
        """All samples that the screen lets through."""
        site, row = candidate_samples(tracks, frames)
        node = tracks.node[:2].reshape(2, 3, -1)
        line = np.take(node[0], row, axis=1) - np.take(frames.position_km.T, site, axis=1)
        up = np.take(frames.up.T, site, axis=1)
        seen = view(line, np.take(node[1], row, axis=1), up)
        visible = seen.excess(frames.sin_mask[site]) >= 0
        linked = np.append((np.diff(row) == 1) & (np.diff(site) == 0), False)[: len(row)]
        linked &= (row + 1) % tracks.samples != 0
        return cls(tracks, frames, row, site, seen, visible, linked)

    def sin_mask(self, left: IntArray) -> FloatArray:
        """Sine of the mask for steps `left`."""
        sines: FloatArray = self.frames.sin_mask[self.site[left]]
        return sines

    def arcs(self, left: IntArray) -> Arcs:
        """The steps `left` as the tracks have them."""
        return Arcs.of(self.tracks, self.frames, self.row[left], self.site[left])

    def cubics(self, left: IntArray) -> Cubics:
        """The steps `left`, roughly."""
        return Cubics.between(self.view.at(left), self.view.at(left + 1))

    def satellite(self, left: IntArray) -> IntArray:
        """Index of the satellite of samples `left`."""
        satellite: IntArray = self.row[left] // self.tracks.samples
        return satellite

    def time_s(self, left: IntArray, x: FloatArray) -> FloatArray:
        """Seconds since the start at fractions x of steps `left`."""
        # The grid's own times, so that the first and the last are the span's to the last bit.
        grid_s = self.tracks.time_s[self.row[left] % self.tracks.samples]
        time_s: FloatArray = grid_s + x * self.tracks.step_s
        return time_s


# A cheap screen: which grid samples can be near a window at all.


# The normal of the ellipsoid and the geocentric radius differ by at most 0.1924 deg.
_DEFLECTION = np.radians(0.2)
# Half a step's motion, and a tenth more for its change and for single precision below.
_STEPS = 0.55
_SLACK = 0.003


def candidate_samples(tracks: Tracks, frames: SiteFrames) -> tuple[IntArray, IntArray]:
    """Site and row (satellite x T + sample) of samples, sorted in this order.

    Holds both ends of every step during which the satellite can be above the mask: those where its
    central angle from the site is below acos(R/r cos e) - e, widened by its motion in half a step,
    and one sample more on either side.
    """
    directions = frames.position_km / np.linalg.norm(frames.position_km, axis=1)[:, None]
    position = tracks.node[0].astype(np.float32)
    shape = len(directions), *tracks.slip.shape[1:]
    # Not by BLAS, whose threads cost more than they bring on three terms.
    along = np.einsum("sk,kn->sn", directions.astype(np.float32), position.reshape(3, -1))
    near = along.reshape(shape) >= _thresholds_km(tracks, frames)
    wide = near.copy()
    wide[..., 1:] |= near[..., :-1]
    wide[..., :-1] |= near[..., 1:]
    site, row = np.divmod(np.flatnonzero(wide), position[0].size)
    return site, row


def _thresholds_km(tracks: Tracks, frames: SiteFrames) -> NDArray[np.float32]:
    """Least projection (N, T) of a satellite on a site's radius that can be in view of it."""
    radius, speed = np.sqrt(np.square(tracks.node[:2]).sum(axis=1))
    fastest = (speed / radius).max(axis=1, keepdims=True)
    mask = np.arcsin(frames.sin_mask.min()) - _DEFLECTION
    lowest_site = np.linalg.norm(frames.position_km, axis=1).min()
    # A satellite below the lowest site has no horizon of its own: the cosine stops at 1.
    cosine = np.minimum(lowest_site / radius * np.cos(mask), 1.0)
    reach = np.arccos(cosine) - mask + _STEPS * fastest + _SLACK
    least: NDArray[np.float32] = (radius * np.cos(np.minimum(reach, np.pi))).astype(np.float32)
    return least
