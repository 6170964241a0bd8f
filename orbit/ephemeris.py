"""Ephemeris: SGP4 states on a grid of times, and a quintic between them.

SGP4's velocity is not the derivative of its position (0.05 m/s apart in quiet low orbits, 2.5 m/s
in eccentric ones), so a Hermite polynomial through both errs by metres however short the step.
Central differences over nine samples (Fornberg 1988, table 1) give first and second derivatives
that belong to the positions; the error of the quintic through both ends falls with the sixth power
of the step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, cos, floor, isfinite, log2, sqrt

import numpy as np

from orbit.earth import earth_rotation
from orbit.propagation import LEAST_INTERVALS, error_codes, farthest_km, of_all
from orbit.satellite import Satellite
from orbit.utc import Start
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True, eq=False)
class Ephemeris:
    """Earth-fixed motion of N satellites, each at even times, and polynomials between these.

    Rows (R,) are the samples of all satellites, one satellite after the other: `satellite` says
    whose, `time_s` when (seconds since the start), `step_s` (N,) how far apart. `node` (m, 3, R)
    holds the position (km) and its first m - 1 derivatives per step, by component; from one row to
    the next runs the polynomial of degree 2 m - 1 that has those of both.
    """

    satellite: Ints
    time_s: Floats
    step_s: Floats
    node: Floats

    @cached_property
    def last(self) -> Mask:
        """Which rows (R,) are their satellite's last."""
        last = np.ones(len(self.satellite), bool)
        np.not_equal(self.satellite[1:], self.satellite[:-1], out=last[:-1])
        return last

    def polynomials(self, row: Ints) -> Floats:
        """Coefficients (2 m, 3, ...) by rising power of the fraction of the step after each row."""
        return hermite_polynomials(
            np.take(self.node, row, axis=2), np.take(self.node, row + 1, axis=2)
        )


@dataclass(frozen=True, eq=False)
class SampledEphemeris(Ephemeris):
    """SGP4 at the same T even times for all satellites, with quintics between (m = 3).

    velocity_defect (3, R) is SGP4's velocity less the first derivative, km/s. `failing` (N,) says
    that SGP4 fails somewhere on the grid or in the samples just beyond it: the motion is then good
    between the failures only.
    """

    samples: int
    velocity_defect: Floats
    failing: Mask

    def where(self, keep: Mask) -> "SampledEphemeris":
        """Those satellites for which `keep` (N,) is True."""
        if keep.all():
            return self
        rows = keep[self.satellite]
        return SampledEphemeris(
            np.repeat(np.arange(np.count_nonzero(keep)), self.samples), self.time_s[rows],
            self.step_s[keep], np.compress(rows, self.node, axis=2), self.samples,
            np.compress(rows, self.velocity_defect, axis=1), self.failing[keep],
        )  # fmt: skip

    def states(self, satellite: Ints, time_s: Floats) -> Floats:
        """Position and SGP4's velocity (..., 6) of satellites (by index) at times in the grid."""
        first = satellite * self.samples
        step_s = self.step_s[satellite]
        place = (time_s - self.time_s[first]) / step_s
        # The last sample has no interval to its right; rounding may point before the first.
        left = np.clip(place.astype(np.int64), 0, self.samples - 2)
        row = first + left
        x = place - left
        position, rate = motion(self.polynomials(row), x, 1)
        before = np.take(self.velocity_defect, row, axis=1)
        after = np.take(self.velocity_defect, row + 1, axis=1)
        rate /= step_s
        rate += before + x * (after - before)
        return np.moveaxis(np.concatenate([position, rate]), 0, -1)


def sampled_ephemeris(
    satellites: Sequence[Satellite], start: Start, first_s: float, last_s: float, step_s: float
) -> SampledEphemeris:
    """SGP4 for all satellites every `step_s` from `first_s` on, to `last_s` or just beyond it.

    No bit of a sample depends on `last_s`.
    """
    intervals = max(LEAST_INTERVALS, ceil((last_s - first_s) / step_s))
    time_s = first_s + step_s * np.arange(-OVERHANG, intervals + OVERHANG + 1, dtype=np.float64)
    error, position, velocity = of_all(
        satellites, np.full(time_s.shape, start.julian_day), start.day_fraction(time_s)
    )
    limits_km = np.array([farthest_km(satellite) for satellite in satellites])
    error = error_codes(error, position, velocity, limits_km[:, None])
    rotation = earth_rotation(start, float(time_s[0]), float(time_s[-1]))
    state = rotation.rotate(time_s, position, velocity)
    failing = np.any(error != 0, axis=1)
    if failing.any():
        state[:, failing] = _with_extrapolated_ends(state[:, failing], error[failing])
    inner = slice(OVERHANG, OVERHANG + intervals + 1)
    count = len(satellites)
    # These are large: each is made where it stays.
    node = np.empty((3, 3, count, intervals + 1))
    node[0] = state[:3, :, inner]
    differences(state[:3], _FIRST, out=node[1])
    differences(state[:3], _SECOND, out=node[2])
    velocity_defect = node[1] / step_s
    np.subtract(state[3:, :, inner], velocity_defect, out=velocity_defect)
    grid_s = time_s[inner]
    return SampledEphemeris(
        np.repeat(np.arange(count), intervals + 1), np.tile(grid_s, count), np.full(count, step_s),
        node.reshape(3, 3, -1), intervals + 1, velocity_defect.reshape(3, -1), failing,
    )  # fmt: skip


def _with_extrapolated_ends(state: Floats, error: Ints) -> Floats:
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
_FIRST = (1 / 280, -4 / 105, 1 / 5, -4 / 5, 0.0, 4 / 5, -1 / 5, 4 / 105, -1 / 280)
_SECOND = (-1 / 560, 8 / 315, -1 / 5, 8 / 5, -205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560)


_AT_ONCE = 1 << 14
"""Samples that are summed up at once, which stay in a core's own cache."""


def differences(samples: Floats, weights: Sequence[float], out: Floats | None = None) -> Floats:
    """Weighted sums (..., T - W + 1) of W samples (..., T) that follow each other.

    They are put into `out`, which is in one piece of memory, if it is given.
    """
    count = samples.shape[-1] - len(weights) + 1
    rows = samples.reshape(-1, samples.shape[-1])
    sums = np.empty((*samples.shape[:-1], count)) if out is None else out
    found = sums.reshape(len(rows), count)
    few = max(1, _AT_ONCE // count)
    for begin in range(0, len(rows), few):
        some = rows[begin : begin + few]
        total = found[begin : begin + few]
        np.multiply(weights[0], some[:, :count], out=total)
        for place, weight in enumerate(weights[1:], start=1):
            if weight:
                total += weight * some[:, place : place + count]
    return sums


def hermite_polynomials(left: Floats, right: Floats) -> Floats:
    """Coefficients (2 m, ...) of the polynomial on a step, by rising power of x from 0 to 1.

    `left` and `right` (m, ...) hold the value and its first m - 1 derivatives (per step) at the
    ends: m is 2 for a cubic, 3 for a quintic.
    """
    powers = np.empty((2 * len(left), *left.shape[1:]))
    powers[:2] = left[:2]
    if len(left) == 2:
        jump = right[0] - left[0]
        powers[2] = 3 * jump - 2 * left[1] - right[1]
        powers[3] = left[1] + right[1] - 2 * jump
        return powers
    powers[2] = 0.5 * left[2]
    # What the right end asks for beyond the square on the left.
    value = right[0] - left[0] - left[1] - powers[2]
    rate = right[1] - left[1] - left[2]
    bend = 0.5 * (right[2] - left[2])
    powers[3] = 10 * value - 4 * rate + bend
    powers[4] = 7 * rate - 15 * value - 2 * bend
    powers[5] = 6 * value - 3 * rate + bend
    return powers


def motion(powers: Floats, x: Floats, derivatives: int = 2) -> list[Floats]:
    """Value and the first one or two derivatives (per step) of polynomials at x, broadcast."""
    value = powers[-1] * x + powers[-2]
    rate = np.empty_like(value)
    rate[...] = powers[-1]
    bends = [np.zeros_like(value)] if derivatives == 2 else []
    for power in powers[-3::-1]:
        for bend in bends:
            bend *= x
            bend += rate
        rate *= x
        rate += value
        value *= x
        value += power
    for bend in bends:
        bend *= 2
    return [value, rate, *bends]


def extrapolated(samples: Floats) -> Floats:
    """Samples (..., OVERHANG) that follow the last of `samples`, by the septic through eight."""
    following = samples[..., -8:]
    for _ in range(OVERHANG):  # the eighth difference is 0
        after = following[..., -8:] @ np.array([-1.0, 8, -28, 56, -70, 56, -28, 8])
        following = np.concatenate([following, after[..., None]], axis=-1)
    return following[..., 8:]


# Radians of true anomaly that a step may cover at perigee, on a circular orbit. The quintic then
# stays within 0.08 m of SGP4 in low orbits, and within 0.1 m at any eccentricity.
_ANOMALY_RAD = 0.25
# Turning points of the elevation must stay apart.
_LONGEST_S = 900.0
# Steps come in sixteenths of an octave, so that similar satellites share a grid.
_STEPS_PER_OCTAVE = 16
EARTH_RATE_RAD_S = 7.292115e-5
# Against the Earth's rotation a satellite turns faster than it does in space. That is little in
# low orbits, and high ones have the longest step to spare. With this weight, and up to this share
# of the satellite's own rate, 0.1 m holds for retrograde orbits of 9,000 to 23,000 km as well.
_EARTH_WEIGHT = 5.0
_EARTH_SHARE = 0.5


def sampling_step_s(satellite: Satellite) -> float:
    """Seconds between samples that hold the interpolation error below a tenth of a metre.

    Range rates are then within 0.05 m/s of SGP4's.
    """
    model = satellite.model
    step_s = _LONGEST_S
    # Elements that no orbit has are for SGP4 to refuse, at whatever step.
    if 0 < model.no_kozai < 1 and model.ecco < 1 and isfinite(model.inclo):
        eccentricity = min(max(0.0, model.ecco), 0.99)
        perigee_rad_s = perigee_rate_rad_s(model.no_kozai / 60, eccentricity)
        share = min(EARTH_RATE_RAD_S / perigee_rad_s, _EARTH_SHARE)
        against = (1 - cos(model.inclo)) / 2 * share**2
        smooth_rad = _ANOMALY_RAD / (1 + eccentricity) ** 2
        step_s = min(step_s, smooth_rad / (perigee_rad_s * (1 + _EARTH_WEIGHT * against)))
    return float(2 ** (floor(log2(step_s) * _STEPS_PER_OCTAVE) / _STEPS_PER_OCTAVE))


def perigee_rate_rad_s(mean_motion_rad_s: float, eccentricity: float) -> float:
    """Angular rate about the Earth's centre at perigee, where it is fastest.

    Two-body: r^2 f' = n a^2 sqrt(1 - e^2) with r = a (1 - e) gives n sqrt(1 + e) / (1 - e)^1.5.
    """
    return mean_motion_rad_s * sqrt(1 + eccentricity) / (1 - eccentricity) ** 1.5
