"""Positions of satellites on an even grid that a polynomial goes through, and how good that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

import orbit
from orbit.propagation import Stretch, good_stretch, propagate
from orbit.utc import Start

DEGREE = 7
"""Degree of the polynomial through the nearest samples, half of them on either side."""
STEP_S = 300.0
ACCURATE_M = 10.0
"""The step is halved until positions between samples are as good as this."""
MOST_SAMPLES = 200_000
"""Samples of all satellites together: about eight megabytes of text."""

_BEYOND = (DEGREE + 1) // 2
_FAILING_STEP_S = 60.0
# Lagrange's weights of eight even samples for the middle between the fourth and the fifth.
_MIDDLE = np.array([-5, 49, -245, 1225, 1225, -245, 49, -5]) / 2048


@dataclass(frozen=True, eq=False)
class Ephemeris:
    """Where a satellite is, (T, 3) in metres, Earth-fixed, at even times (T,) since the start.

    Good from ``first_s`` to ``last_s``; samples reach beyond, so that the polynomial has as many
    on both sides. ``error_m`` is the largest deviation in the middle between samples.
    """

    first_s: float
    last_s: float
    time_s: np.ndarray
    position_m: np.ndarray
    error_m: float


def longest_s(satellites: int) -> float:
    """Return for how long so many satellites can be sampled, in seconds."""
    steps = MOST_SAMPLES // satellites - 2 * _BEYOND - 1
    return max(DEGREE, steps) * STEP_S


def ephemerides(
    satellites: Sequence[orbit.Satellite], start: Start, span_s: float
) -> list[Ephemeris | None]:
    """Sample the satellites from the start for ``span_s``; None where SGP4 has nothing to say.

    The step is at most 300 s, less where the polynomial is off by more than ten metres, unless
    that takes more than 200,000 samples.
    """
    most = MOST_SAMPLES // len(satellites)
    tracks = list[Ephemeris | None]()
    for satellite in satellites:
        good = good_stretch(satellite, start, span_s, _FAILING_STEP_S)
        step_s = STEP_S
        track = None if good is None else _grid(satellite, start, good, step_s)
        while good and track and track.error_m > ACCURATE_M and 2 * len(track.time_s) <= most:
            step_s /= 2
            track = _grid(satellite, start, good, step_s)
        tracks.append(track)
    return tracks


def _grid(satellite: orbit.Satellite, start: Start, good: Stretch, step_s: float) -> Ephemeris:
    """Sample what is good, and beyond; where SGP4 fails beyond, a few steps less are shown."""
    steps = max(3 * DEGREE, ceil((good.last_s - good.first_s) / step_s))
    step_s = (good.last_s - good.first_s) / steps
    before = 0 if good.fails_before else _BEYOND
    after = 0 if good.fails_after else _BEYOND
    from_s = good.first_s - before * step_s
    to_s = good.last_s + after * step_s
    halves = np.linspace(from_s, to_s, 2 * (steps + before + after) + 1)
    position_m = np.round(propagate(satellite, start, halves)[:, :3] * 1000, 1)
    at = position_m[::2]
    between = position_m[1::2]
    windows = np.lib.stride_tricks.sliding_window_view(at, DEGREE + 1, axis=0)
    middle = windows @ _MIDDLE
    off_m = np.linalg.norm(middle - between[_BEYOND - 1 :][: len(middle)], axis=1)
    first_s = from_s + _BEYOND * step_s
    last_s = to_s - _BEYOND * step_s
    return Ephemeris(first_s, last_s, halves[::2], at, float(off_m.max()))
