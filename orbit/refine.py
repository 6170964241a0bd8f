"""Rise and set made exact: Newton's method on SGP4 itself."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.clock import Start
from orbit.elements import Satellite
from orbit.passes import Passes
from orbit.propagation import propagate
from orbit.rotation import EarthRotation
from orbit.sight import sight
from orbit.sites import SiteFrames

_TOLERANCE_S = 1e-7
_STEPS = 40


class ExactStates:
    """SGP4 at scattered times of several satellites; one call a satellite."""

    def __init__(
        self, satellites: Sequence[Satellite], start: Start, rotation: EarthRotation
    ) -> None:
        """Keep what is needed to propagate; `rotation` must cover the times asked for."""
        self._satellites, self._start, self._rotation = satellites, start, rotation

    def states(self, satellite: IntArray, time_s: FloatArray) -> FloatArray:
        """Earth-fixed states (n, 6) of satellites (by index, (n,)) at times (n,)."""
        state = np.empty((len(time_s), 6))
        order = np.argsort(satellite, kind="stable")
        bounds = np.flatnonzero(np.diff(satellite[order])) + 1
        for rows in np.split(order, bounds):
            if rows.size:
                model = self._satellites[satellite[rows[0]]]
                state[rows] = propagate(model, self._start, time_s[rows], self._rotation)
        return state


def refined(passes: Passes, exact: ExactStates, frames: SiteFrames) -> Passes:
    """Passes with exact rise and set; those whose exact peak is below the mask are dropped.

    The culmination stays the interpolated one: the elevation there is flat.
    """
    peak = sight(exact.states(passes.satellite, passes.culminate_s), frames, passes.site).margin
    passes = passes.where((peak >= 0) | passes.clipped_start | passes.clipped_end)
    rise_s = _newton(passes, passes.rise_s, ~passes.clipped_start, 1.0, exact, frames)
    set_s = _newton(passes, passes.set_s, ~passes.clipped_end, -1.0, exact, frames)
    return replace(passes, rise_s=rise_s, set_s=set_s)


def _newton(
    passes: Passes, time_s: FloatArray, free: BoolArray, slope: float, exact: ExactStates,
    frames: SiteFrames,
) -> FloatArray:  # fmt: skip
    """Zeros of the margin next to `time_s` where `free`; `slope` is the sign of its rate there."""
    time_s = time_s.copy()
    active = np.flatnonzero(free)
    for _ in range(_STEPS):
        if not active.size:
            break
        state = exact.states(passes.satellite[active], time_s[active])
        seen = sight(state, frames, passes.site[active])
        # Past the peak of a pass that only grazes the mask Newton would run away.
        uphill = seen.margin_rate_per_s * slope > 0
        active = active[uphill]
        step = -seen.margin[uphill] / seen.margin_rate_per_s[uphill]
        time_s[active] += step
        active = active[np.abs(step) > _TOLERANCE_S]
    return time_s
