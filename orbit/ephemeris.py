"""Ephemeris: SGP4 states on a grid of times, and a quintic between them.

SGP4's velocity is not the derivative of its position (0.05 m/s apart in quiet low orbits, 2.5 m/s
in eccentric ones), so a Hermite polynomial through both errs by metres however short the step.
Central differences over nine samples (Fornberg 1988, table 1) give first and second derivatives
that belong to the positions; the error of the quintic through both ends falls with the sixth power
of the step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, cos, floor, isfinite, log2, sqrt
from typing import Any

import numpy as np

from orbit.checks import BoolArray, FloatArray, IntArray
from orbit.earth import earth_rotation
from orbit.propagation import LEAST_INTERVALS, error_codes, farthest_km
from orbit.satellite import Satellite
from orbit.utc import Start


@dataclass(frozen=True)
class Tracks:
    """Earth-fixed motion of N satellites at T even times, and a quintic between them.

    node (3, 3, N, T) holds position (km), first and second derivative (km per step and per step
    squared) by component; slip (3, N, T) is SGP4's velocity less the first derivative, km/s.
    `failing` (N,) says that SGP4 fails somewhere on the grid or in the samples just beyond it: the
    motion is then good between the failures only.
    """

    first_s: float
    last_s: float
    node: FloatArray
    slip: FloatArray
    failing: BoolArray

    @property
    def samples(self) -> int:
        """How many samples a satellite has: T."""
        samples: int = self.node.shape[3]
        return samples

    @property
    def time_s(self) -> FloatArray:
        """The grid, (T,) seconds since the start."""
        return np.linspace(self.first_s, self.last_s, self.samples)

    @property
    def step_s(self) -> float:
        """Seconds between samples."""
        return (self.last_s - self.first_s) / (self.samples - 1)

    def where(self, keep: BoolArray) -> "Tracks":
        """Those satellites for which `keep` (N,) is True."""
        if keep.all():
            return self
        return Tracks(
            self.first_s, self.last_s, np.compress(keep, self.node, axis=2),
            np.compress(keep, self.slip, axis=1), self.failing[keep],
        )  # fmt: skip

    def states(self, satellite: IntArray, time_s: FloatArray) -> FloatArray:
        """Position and SGP4's velocity (..., 6) of satellites (by index) at times in the grid."""
        place = (time_s - self.first_s) / self.step_s
        # The last sample has no interval to its right; rounding may point before the first.
        left = np.clip(place.astype(np.int64), 0, self.samples - 2)
        row, x = satellite * self.samples + left, place - left
        position, rate = value_and_rate(self.quintics(row), x)
        slip = self.slip.reshape(3, -1)
        before, after = np.take(slip, row, axis=1), np.take(slip, row + 1, axis=1)
        rate /= self.step_s
        rate += before + x * (after - before)
        return np.moveaxis(np.concatenate([position, rate]), 0, -1)

    def quintics(self, row: IntArray) -> FloatArray:
        """Coefficients (6, 3, ...) on the step after each sample; rows count N x T samples."""
        node = self.node.reshape(3, 3, -1)
        return powers(np.take(node, row, axis=2), np.take(node, row + 1, axis=2))


def propagate_tracks(
    satellites: Sequence[Satellite], start: Start, first_s: float, last_s: float, step_s: float
) -> Tracks:
    """SGP4 for all satellites from `first_s` to `last_s`, at most `step_s` apart."""
    from sgp4.api import SatrecArray

    intervals = max(LEAST_INTERVALS, ceil((last_s - first_s) / step_s))
    step_s = (last_s - first_s) / intervals
    time_s = first_s + step_s * np.arange(-OVERHANG, intervals + OVERHANG + 1, dtype=np.float64)
    models = SatrecArray([satellite.model for satellite in satellites])
    error, position, velocity = models.sgp4(
        np.full(time_s.shape, start.julian_day), start.day_fraction(time_s)
    )
    limits_km = np.array([farthest_km(satellite) for satellite in satellites])
    error = error_codes(error, position, velocity, limits_km[:, None])
    rotation = earth_rotation(start, float(time_s[0]), float(time_s[-1]))
    state = rotation.planes(time_s, position, velocity)
    failing = np.any(error != 0, axis=1)
    if failing.any():
        state[:, failing] = _mended(state[:, failing], error[failing])
    inner = slice(OVERHANG, OVERHANG + intervals + 1)
    first, second = derivatives(state[:3])
    node = np.stack([state[:3, :, inner], first, second])
    slip = state[3:, :, inner] - first / step_s
    return Tracks(first_s, last_s, node, slip, failing)


def _mended(state: FloatArray, error: IntArray) -> FloatArray:
    """States (6, N, T) whose failed samples beyond the grid are extrapolated from within."""
    bad = error != 0
    # Any finite state: what only touches a failed sample must not turn into nan.
    state = np.where(bad, 1.0, state)
    inside = state[..., OVERHANG:-OVERHANG]
    before = extrapolated(inside[..., ::-1])[..., ::-1]
    after = extrapolated(inside)
    np.copyto(state[..., :OVERHANG], before, where=bad[:, :OVERHANG])
    np.copyto(state[..., -OVERHANG:], after, where=bad[:, -OVERHANG:])
    return state


# Samples needed beyond either end of a grid.
OVERHANG = 4
_FIRST = (4 / 5, -1 / 5, 4 / 105, -1 / 280)
_SECOND = (8 / 5, -1 / 5, 8 / 315, -1 / 560)
_SECOND_CENTRE = -205 / 72


def derivatives(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """First and second derivatives (..., T), per step, of samples (..., T + 2 OVERHANG)."""
    inner = samples.shape[-1] - 2 * OVERHANG

    def shifted(places: int) -> FloatArray:
        return samples[..., OVERHANG + places : OVERHANG + places + inner]

    first = np.zeros((*samples.shape[:-1], inner))
    second = _SECOND_CENTRE * shifted(0)
    for places, (odd, even) in enumerate(zip(_FIRST, _SECOND, strict=True), start=1):
        after, before = shifted(places), shifted(-places)
        first += odd * (after - before)
        second += even * (after + before)
    return first, second


def powers(left: FloatArray, right: FloatArray) -> FloatArray:
    """Coefficients (6, ...) of the quintic on a step, x from 0 to 1.

    `left` and `right` (3, ...) hold value, first and second derivative (per step) at its ends.
    """
    quintic = np.empty((6, *left.shape[1:]))
    quintic[:2] = left[:2]
    quintic[2] = 0.5 * left[2]
    # What the right end asks for beyond the square on the left.
    value = right[0] - left[0] - left[1] - quintic[2]
    rate = right[1] - left[1] - left[2]
    bend = 0.5 * (right[2] - left[2])
    quintic[3] = 10 * value - 4 * rate + bend
    quintic[4] = 7 * rate - 15 * value - 2 * bend
    quintic[5] = 6 * value - 3 * rate + bend
    return quintic


def value_and_rate(quintic: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Value and derivative (per step) at x, which is broadcast against the coefficients."""
    value = quintic[5] * x
    value += quintic[4]
    rate = quintic[5] * x
    rate += value
    for power in (3, 2, 1):
        value *= x
        value += quintic[power]
        rate *= x
        rate += value
    value *= x
    value += quintic[0]
    return value, rate


def acceleration(quintic: FloatArray, x: FloatArray) -> FloatArray:
    """Second derivative (per step squared) at x."""
    second: FloatArray = 20 * quintic[5] * x
    second += 12 * quintic[4]
    second *= x
    second += 6 * quintic[3]
    second *= x
    second += 2 * quintic[2]
    return second


def extrapolated(samples: FloatArray) -> FloatArray:
    """Samples (..., OVERHANG) that follow the last of `samples`, by the septic through eight."""
    known, wanted = np.arange(8.0), 8 + np.arange(float(OVERHANG))
    weights = np.ones((OVERHANG, 8))
    for node in range(8):
        for other in np.delete(known, node):
            weights[:, node] *= (wanted - other) / (node - other)
    following: FloatArray = samples[..., -8:] @ weights.T
    return following


# How far apart a satellite's samples may lie.


# Radians of true anomaly that a step may cover at perigee, on a circular orbit. The quintic then
# stays within 0.08 m of SGP4 in low orbits, and within 0.1 m at any eccentricity.
_ANOMALY_RAD = 0.25
# Turning points of the elevation must stay apart.
_LONGEST_S = 900.0
# Steps come in sixteenths of an octave, so that similar satellites share a grid.
_STEPS_PER_OCTAVE = 16
_EARTH_RATE_RAD_S = 7.292115e-5
# Against the Earth's rotation a satellite turns faster than it does in space. That is little in
# low orbits, and high ones have the longest step to spare. With this weight, and up to this share
# of the satellite's own rate, 0.1 m holds for retrograde orbits of 9,000 to 23,000 km as well.
_EARTH_WEIGHT, _EARTH_SHARE = 5.0, 0.5


def grid_step_s(satellite: Satellite) -> float:
    """Seconds between samples that hold the interpolation error below a tenth of a metre.

    Range rates are then within 0.05 m/s of SGP4's.
    """
    step_s = min(_smooth_s(satellite.model), _LONGEST_S)
    return float(2 ** (floor(log2(step_s) * _STEPS_PER_OCTAVE) / _STEPS_PER_OCTAVE))


def _smooth_s(model: Any) -> float:
    """The step through which a satellite's path is smooth."""
    # Elements that no orbit has are for SGP4 to refuse, at whatever step.
    if not (0 < model.no_kozai < 1 and model.ecco < 1 and isfinite(model.inclo)):
        return _LONGEST_S
    eccentricity = min(max(0.0, model.ecco), 0.99)
    perigee_rad_s = model.no_kozai / 60 * sqrt(1 + eccentricity) / (1 - eccentricity) ** 1.5
    share = min(_EARTH_RATE_RAD_S / perigee_rad_s, _EARTH_SHARE)
    against = (1 - cos(model.inclo)) / 2 * share**2
    smooth_rad = _ANOMALY_RAD / (1 + eccentricity) ** 2
    return float(smooth_rad / (perigee_rad_s * (1 + _EARTH_WEIGHT * against)))


# Cubic splines on even knots, whose pieces are found by a division instead of a search.


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
