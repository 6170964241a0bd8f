"""Turning points between samples: culminations, dips, and closest approaches."""

from dataclasses import dataclass, fields

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.roots import newton_roots
from orbit.samples import Samples

# A Newton step this short leaves an error of some nanoseconds.
TOLERANCE_S = 1e-4
# Precision of a starting point, in steps.
ROUGH = 1e-3
# A peak of the cubic model this far below the mask (sine) is none; the model errs by 0.001.
_HOPELESS = 0.02


@dataclass(frozen=True)
class Turns:
    """Extrema of the elevation after samples `left` at fractions x of the step, in order."""

    left: IntArray
    x: FloatArray
    is_peak: BoolArray
    sin_elevation: FloatArray
    visible: BoolArray

    @property
    def place(self) -> FloatArray:
        """A number that grows along the samples."""
        return self.left + self.x

    def at(self, which: BoolArray) -> "Turns":
        """Those turns only."""
        return Turns(*(getattr(self, column.name)[which] for column in fields(self)))


@dataclass(frozen=True)
class Approaches:
    """Closest approaches after samples `left` at fractions x of the step, in order."""

    left: IntArray
    x: FloatArray
    slant_range_km: FloatArray


def turning_points(samples: Samples) -> Turns:
    """Peaks that can reach the mask, and the dips between two samples in view."""
    climb, seen = samples.view.climb, samples.visible
    up = climb > 0
    turns = samples.linked[:-1] & (up[:-1] != up[1:])
    left = np.flatnonzero(turns & (up[:-1] | (seen[:-1] & seen[1:])))
    left, rough = _likely(samples, left, _secant(climb, left))
    arcs, peak = samples.arcs(left), up[left]
    tolerance = TOLERANCE_S / samples.tracks.step_s
    x = newton_roots(arcs.climb, *_step(left), rough, ~peak, tolerance)
    top = arcs.view(np.arange(len(left)), x)
    return Turns(left, x, peak, top.sin_elevation, top.excess(samples.sin_mask(left)) >= 0)


def closest_approaches(samples: Samples, peaks: IntArray) -> Approaches:
    """Closest approaches in steps with an end in view, or among `peaks`."""
    rate, seen = samples.view.square_rate, samples.visible
    wanted = seen[:-1] | seen[1:]
    wanted[peaks] = True
    left = np.flatnonzero(samples.linked[:-1] & wanted & (rate[:-1] < 0) & (rate[1:] >= 0))
    arcs, rising = samples.arcs(left), np.ones(len(left), dtype=np.bool_)
    x = newton_roots(arcs.square_rate, *_step(left), _secant(rate, left), rising, ROUGH)
    return Approaches(left, x, np.sqrt(arcs.view(np.arange(len(left)), x).square))


def _likely(samples: Samples, left: IntArray, guess: FloatArray) -> tuple[IntArray, FloatArray]:
    """Those of the turns in steps `left` that may matter, with a better guess of where they are."""
    cubics, seen = samples.cubics(left), samples.visible
    peak = samples.view.climb[left] > 0
    rough = newton_roots(cubics.climb, *_step(left), guess, ~peak, ROUGH)
    sine = cubics.view(np.arange(len(left)), rough).sin_elevation
    likely = seen[left] | seen[left + 1] | (sine > samples.sin_mask(left) - _HOPELESS)
    return left[likely], rough[likely]


def _step(left: IntArray) -> tuple[FloatArray, FloatArray]:
    return np.zeros(len(left)), np.ones(len(left))


def _secant(values: FloatArray, left: IntArray) -> FloatArray:
    guess: FloatArray = values[left] / (values[left] - values[left + 1])
    return guess
