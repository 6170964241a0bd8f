"""SGP4 to the Earth-fixed frame: exactly at given times, or on an even grid to interpolate."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.clock import Start
from orbit.elements import Satellite
from orbit.rotation import EarthRotation, earth_rotation


@dataclass(frozen=True)
class Tracks:
    """Earth-fixed states of N satellites at T even times, and a cubic Hermite between them.

    state (N, T, 6) holds km and km/s; error (N, T) is SGP4's code, 0 where the state is good.
    """

    first_s: float
    last_s: float
    state: FloatArray
    error: IntArray

    @property
    def valid(self) -> BoolArray:
        """Where SGP4 gave no error, (N, T)."""
        # A decayed satellite still gets finite numbers: only the code tells.
        good: BoolArray = self.error == 0
        return good

    @property
    def time_s(self) -> FloatArray:
        """The grid, (T,) seconds since the start."""
        return np.linspace(self.first_s, self.last_s, self.state.shape[1])

    @property
    def step_s(self) -> float:
        """Seconds between samples."""
        return (self.last_s - self.first_s) / (len(self.state[0]) - 1)

    def states(self, satellite: IntArray, time_s: FloatArray) -> FloatArray:
        """States (..., 6) of the satellites (by index) at times inside the grid."""
        count, samples, _ = self.state.shape
        place = (time_s - self.first_s) / self.step_s
        # The last sample has no interval to its right; rounding may point before the first.
        left = np.clip(place.astype(np.int64), 0, samples - 2)
        flat = self.state.reshape(count * samples, 6)
        row = satellite * samples + left
        return _hermite(flat[row], flat[row + 1], self.step_s, place - left)


def _hermite(before: FloatArray, after: FloatArray, step_s: float, x: FloatArray) -> FloatArray:
    """Cubic through positions and velocities at both ends of a step, at fraction x of it."""
    x = x[..., None]
    jump = after[..., :3] - before[..., :3]
    slope = step_s * before[..., 3:]
    late_slope = step_s * after[..., 3:]
    square = 3 * jump - 2 * slope - late_slope
    cube = slope + late_slope - 2 * jump
    state = np.empty((*x.shape[:-1], 6))
    state[..., :3] = before[..., :3] + x * (slope + x * (square + x * cube))
    state[..., 3:] = (slope + x * (2 * square + 3 * x * cube)) / step_s
    return state


def propagate_tracks(
    satellites: Sequence[Satellite], start: Start, first_s: float, last_s: float, step_s: float
) -> Tracks:
    """SGP4 for all satellites from `first_s` to `last_s`, at most `step_s` apart."""
    from sgp4.api import SatrecArray

    intervals = max(1, ceil((last_s - first_s) / step_s))
    # linspace ends at last_s to the last bit, so no window outlasts the span.
    time_s = np.linspace(first_s, last_s, intervals + 1)
    models = SatrecArray([satellite.model for satellite in satellites])
    error, position, velocity = models.sgp4(
        np.full(time_s.shape, start.julian_day), start.day_fraction(time_s)
    )
    rotation = earth_rotation(start, first_s, last_s)
    state = rotation.rotate(time_s, position, velocity)
    # Any finite state: a cubic that only touches its end must not turn into nan there.
    state[error != 0] = 1.0
    return Tracks(first_s, last_s, state, error)


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
    check_propagated(satellite, start, time_s, error)
    return rotation.rotate(time_s, position, velocity)


def check_propagated(
    satellite: Satellite, start: Start, time_s: FloatArray, error: IntArray
) -> None:
    """Raise ValueError naming the first time at which SGP4 gave an error, if any."""
    if not error.any():
        return
    from sgp4.api import SGP4_ERRORS

    first = int(np.flatnonzero(error)[0])
    when = start.midnight + timedelta(seconds=start.second_of_day + float(time_s[first]))
    raise ValueError(
        f"SGP4 fails for {satellite.name!r} at {when:%Y-%m-%dT%H:%M:%SZ}: "
        f"{SGP4_ERRORS[int(error[first])]}; stay nearer to the epoch {satellite.epoch:%Y-%m-%d}"
    )
