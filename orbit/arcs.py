"""What a site sees of a satellite during one step of its track: height and distance.

`height` is the distance above the site's horizontal plane (km), `square` the squared slant range,
so that sin(elevation) = height / sqrt(square). Unlike the elevation both are smooth through the
zenith. Time is x, the fraction of the step; rates are per step.
"""

from dataclasses import dataclass

import numpy as np

from orbit.arrays import FloatArray, IntArray
from orbit.interpolation import acceleration, value_and_rate
from orbit.propagation import Tracks
from orbit.sites import SiteFrames


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
