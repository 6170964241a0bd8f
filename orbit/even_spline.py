"""A cubic spline on even knots, whose pieces are found by a division instead of a search."""

from dataclasses import dataclass

import numpy as np

from orbit.arrays import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class EvenSpline:
    """Cubic spline of C functions on n pieces between even knots `x` (n + 1,).

    `powers` (4, C, n) are the coefficients of each piece, by falling power of the distance to its
    left knot. Outside the knots the first and the last piece go on.
    """

    x: FloatArray
    powers: FloatArray

    @classmethod
    def through(cls, x: FloatArray, values: FloatArray) -> "EvenSpline":
        """The spline through `values` (n + 1, C) at `x`, not-a-knot at both ends."""
        from scipy.interpolate import CubicSpline

        return cls(x, np.ascontiguousarray(np.swapaxes(CubicSpline(x, values).c, 1, 2)))

    def moving(self) -> "EvenSpline":
        """Positions and their derivatives: of a path of C positions a spline of 2 C functions."""
        falling = np.arange(3.0, 0.0, -1.0)[:, None, None] * self.powers[:3]
        rates = np.concatenate([np.zeros_like(falling[:1]), falling])
        return EvenSpline(self.x, np.concatenate([self.powers, rates], axis=1))

    def first(self, functions: int) -> "EvenSpline":
        """The first few of the functions."""
        return EvenSpline(self.x, self.powers[:, :functions])

    def __call__(self, at: FloatArray) -> FloatArray:
        """Values (..., C) at finite places (...); each function's lie together in memory."""
        piece, beyond = self._places(at)
        values, one = np.empty((self.powers.shape[1], *piece.shape)), np.empty(piece.shape)
        for function in range(len(values)):
            value = values[function, ...]
            # All pieces exist; "clip" lets numpy fill `out` without a copy.
            np.take(self.powers[0, function], piece, out=value, mode="clip")
            for power in self.powers[1:, function]:
                value *= beyond
                value += np.take(power, piece, out=one, mode="clip")
        functions_last: FloatArray = np.moveaxis(values, 0, -1)
        return functions_last

    def _places(self, at: FloatArray) -> tuple[IntArray, FloatArray]:
        """Which piece each place is on, and how far it is beyond the piece's left knot."""
        pieces = len(self.x) - 1
        left = at * (pieces / (self.x[-1] - self.x[0]))
        piece = np.clip(left, 0, pieces - 1).astype(np.intp)
        return piece, at - self.x[piece]
