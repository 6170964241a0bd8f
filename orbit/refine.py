"""Rise and set made exact: Newton's method on SGP4 itself."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from orbit.arrays import FloatArray, IntArray
from orbit.clock import Start
from orbit.elements import Satellite
from orbit.measure import Source
from orbit.passes import Passes
from orbit.rotation import EarthRotation
from orbit.sight import sight
from orbit.sites import SiteFrames

# A Newton step this short leaves an error of the order of its square.
_TOLERANCE_S = 1e-5
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
        position, velocity = np.empty((2, len(time_s), 3))
        day, fraction = (
            np.full(len(time_s), self._start.julian_day),
            self._start.day_fraction(time_s),
        )
        order = np.argsort(satellite, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(satellite[order])) + 1):
            if rows.size:
                model = self._satellites[satellite[rows[0]]].model
                _, position[rows], velocity[rows] = model.sgp4_array(day[rows], fraction[rows])
        return self._rotation.rotate(time_s, position, velocity)


def refined(
    passes: Passes, exact: Source, frames: SiteFrames, first_s: float, last_s: float
) -> Passes:
    """Passes in [first_s, last_s] with exact rise and set; those that stay below are dropped.

    The culmination stays the interpolated one: the elevation there is flat.
    """
    peak = sight(exact.states(passes.satellite, passes.culminate_s), frames, passes.site).margin
    passes = passes.where((peak >= 0) | passes.clipped_start | passes.clipped_end)
    satellite, site = np.tile(passes.satellite, 2), np.tile(passes.site, 2)
    time_s = np.concatenate([passes.rise_s, passes.set_s])
    slope = np.repeat([1.0, -1.0], len(passes.site))
    active = np.flatnonzero(~np.concatenate([passes.clipped_start, passes.clipped_end]))
    for _ in range(_STEPS):
        if not active.size:
            break
        seen = sight(exact.states(satellite[active], time_s[active]), frames, site[active])
        # Past the peak of a pass that only grazes the mask Newton would run away.
        uphill = seen.margin_rate_per_s * slope[active] > 0
        active = active[uphill]
        step = -seen.margin[uphill] / seen.margin_rate_per_s[uphill]
        time_s[active] += step
        active = active[np.abs(step) > _TOLERANCE_S]
    rise_s, set_s = np.split(np.clip(time_s, first_s, last_s), 2)
    passes = replace(passes, rise_s=rise_s, set_s=set_s)
    return passes.where(set_s > rise_s)
