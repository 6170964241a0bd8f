"""Cubic splines on even knots, whose pieces are found by a division instead of a search."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
        """The spline through `values` (n + 1, C) at `x` (n at least 3), not-a-knot at both ends."""
        width = np.diff(x)[:, None]
        slope = np.diff(values, axis=0) / width
        rate = _rates(x, width, slope)
        bend = (rate[:-1] + rate[1:] - 2 * slope) / width
        powers = np.stack(
            [bend / width, (slope - rate[:-1]) / width - bend, rate[:-1], values[:-1]]
        )
        return cls(x, np.ascontiguousarray(np.swapaxes(powers, 1, 2)))

    def __call__(self, at: FloatArray) -> FloatArray:
        """Values (..., C) at finite places (...); each function's lie together in memory."""
        return _values(self.powers, *self._places(at))

    def _places(self, at: FloatArray) -> tuple[IntArray, FloatArray]:
        """Which piece each place is on, and how far it is beyond the piece's left knot."""
        pieces = len(self.x) - 1
        left = at * (pieces / (self.x[-1] - self.x[0]))
        piece = np.minimum(np.maximum(left, 0), pieces - 1).astype(np.intp)
        return piece, at - self.x[piece]


@dataclass(frozen=True, eq=False)
class EvenSplines:
    """Splines of the same C functions, each on its own even knots, together as quick as one.

    `x` and `powers` (4, C, all pieces) are those of all, one after the other. Of each spline (N,)
    `knot` and `piece` are where its own begin there, and `pieces_per_x` its pieces a unit of x.
    """

    x: FloatArray
    powers: FloatArray
    knot: IntArray
    piece: IntArray
    pieces: IntArray
    pieces_per_x: FloatArray

    @classmethod
    def of(cls, splines: Sequence[EvenSpline]) -> "EvenSplines":
        """Several splines, at least one."""
        pieces = np.array([len(spline.x) - 1 for spline in splines])
        piece = np.cumsum(pieces) - pieces
        return cls(
            np.concatenate([spline.x for spline in splines]),
            np.concatenate([spline.powers for spline in splines], axis=2),
            piece + np.arange(len(splines)),
            piece,
            pieces,
            pieces / np.array([spline.x[-1] - spline.x[0] for spline in splines]),
        )

    def first(self, functions: int) -> "EvenSplines":
        """The first few of the functions."""
        return replace(self, powers=self.powers[:, :functions])

    def moving(self) -> "EvenSplines":
        """Positions and their derivatives: of paths of C positions splines of 2 C functions."""
        falling = np.arange(3.0, 0.0, -1.0)[:, None, None] * self.powers[:3]
        rates = np.concatenate([np.zeros_like(falling[:1]), falling])
        return replace(self, powers=np.concatenate([self.powers, rates], axis=1))

    def __call__(self, which: IntArray, at: FloatArray) -> FloatArray:
        """Values (..., C) of splines (by index) at finite places (...); both broadcast."""
        left = at * self.pieces_per_x[which]
        piece = np.minimum(np.maximum(left, 0), self.pieces[which] - 1).astype(np.intp)
        return _values(
            self.powers, self.piece[which] + piece, at - self.x[self.knot[which] + piece]
        )


def _values(powers: FloatArray, piece: IntArray, beyond: FloatArray) -> FloatArray:
    """Values (..., C) so far beyond the left knots of some pieces, both (...).

    Each function's lie together in memory.
    """
    values = np.take(powers[0], piece, axis=1)
    for power in powers[1:]:
        values *= beyond
        values += np.take(power, piece, axis=1)
    functions_last: FloatArray = np.moveaxis(values, 0, -1)
    return functions_last


def _rates(x: FloatArray, width: FloatArray, slope: FloatArray) -> FloatArray:
    """Derivatives (n + 1, C) at the knots, from the widths (n, 1) and slopes (n, C) of the pieces.

    SciPy's CubicSpline finds the same ones, to the last bit, and takes five times as long for the
    short paths of contacts.
    """
    from scipy.linalg.lapack import dgtsv

    first, last = x[2] - x[0], x[-1] - x[-3]
    right = np.empty((len(x), slope.shape[1]))
    right[1:-1] = 3 * (width[1:] * slope[:-1] + width[:-1] * slope[1:])
    right[0] = ((width[0] + 2 * first) * width[1] * slope[0] + width[0] ** 2 * slope[1]) / first
    right[-1] = (width[-1] ** 2 * slope[-2] + (2 * last + width[-1]) * width[-2] * slope[-1]) / last
    step = width[:, 0]
    below, above = np.append(step[1:], last), np.append(first, step[:-1])
    middle = np.concatenate([step[1:2], 2 * (step[:-1] + step[1:]), step[-2:-1]])
    rates: FloatArray = dgtsv(below, middle, above, right)[3]
    return rates
