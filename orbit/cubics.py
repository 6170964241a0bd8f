"""A rough model of the view between two samples, to find good starting points for root finding.

Height and squared slant range as cubic Hermite polynomials through their values and rates at both
ends of a step. In low orbits the roots are within some hundredths of a second of the true ones.
"""

from dataclasses import dataclass

import numpy as np

from orbit.arcs import View
from orbit.arrays import FloatArray, IntArray


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
