"""SGP4 to the Earth-fixed frame: exactly at given times, or on an even grid to interpolate."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.clock import Start
from orbit.elements import Satellite
from orbit.interpolation import OVERHANG, derivatives, extrapolated, powers, value_and_rate
from orbit.rotation import EarthRotation, earth_rotation
from orbit.sites import EARTH_RADIUS_KM

# The extrapolation beyond a grid looks at eight samples.
_LEAST_INTERVALS = 8
# Stands beside SGP4's own error codes, 1 to 6.
_NOT_FINITE = 7
_LEFT_ORBIT = 8


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

    intervals = max(_LEAST_INTERVALS, ceil((last_s - first_s) / step_s))
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


def propagate(
    satellite: Satellite, start: Start, time_s: FloatArray, rotation: EarthRotation | None = None
) -> FloatArray:
    """Exact SGP4 states (T, 6), km and km/s, Earth-fixed, at times (T,) since the start.

    Raises ValueError where SGP4 fails.
    """
    if rotation is None:
        rotation = earth_rotation(start, float(time_s.min()), float(time_s.max()))
    error, position, velocity = satellite.model.sgp4_array(
        np.full(time_s.shape, start.julian_day), start.day_fraction(time_s)
    )
    error = error_codes(error, position, velocity, farthest_km(satellite))
    if error.any():
        raise ValueError(_refusal(satellite, start, time_s, error))
    return rotation.rotate(time_s, position, velocity)


def error_codes(
    error: IntArray, position: FloatArray, velocity: FloatArray, farthest_km: FloatArray | float
) -> IntArray:
    """SGP4's error codes (...), 0 where it works; others where its state is no state of the orbit.

    That is one that is not finite or, as SGP4 gives it on the way to some failures, farther from
    the Earth than `farthest_km`. Position and velocity (..., 3) become nan, which harms no
    arithmetic, where there is an error.
    """
    numbers = np.isfinite(position) & np.isfinite(velocity)
    finite = np.asarray(numbers.all(axis=-1))
    inside = np.linalg.norm(np.where(finite[..., None], position, 0.0), axis=-1) <= farthest_km
    wrong = np.where(finite, np.where(inside, 0, _LEFT_ORBIT), _NOT_FINITE)
    codes: IntArray = np.where(error != 0, error, wrong)
    if codes.any():
        position[codes != 0] = velocity[codes != 0] = np.nan
    return codes


def farthest_km(satellite: Satellite) -> float:
    """Half as far again as the satellite's apogee: nothing moves it there within its elements."""
    axis, eccentricity = satellite.model.a, satellite.model.ecco
    return float(1.5 * EARTH_RADIUS_KM * axis * (1 + eccentricity))


def error_reason(code: int) -> str:
    """Why there is no state, for a code other than 0."""
    from sgp4.api import SGP4_ERRORS

    ours = {
        _NOT_FINITE: "its elements give no finite position",
        _LEFT_ORBIT: "its position leaves its orbit",
    }
    reason: str = ours[code] if code in ours else SGP4_ERRORS.get(code, f"error {code}")
    return reason


def _refusal(satellite: Satellite, start: Start, time_s: FloatArray, error: IntArray) -> str:
    """What to say of the first time at which SGP4 gave an error."""
    first = int(np.flatnonzero(error)[0])
    when = start.utc(float(time_s[first]))
    return (
        f"SGP4 fails for {satellite.name!r} at {when:%Y-%m-%dT%H:%M:%SZ}: "
        f"{error_reason(int(error[first]))}; stay nearer to the epoch {satellite.epoch:%Y-%m-%d}"
    )
