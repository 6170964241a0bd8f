"""The slow reference: rise, culmination and set by root finding on Skyfield's own `altaz`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from orbit.checks import FloatArray, IntArray
from orbit.earth import timescale
from orbit.look_angles import LookAngles
from orbit.passes import Passes
from orbit.satellite import Satellite
from orbit.sites import Site
from orbit.utc import DAY_S, Start

# Degrees, or a difference of degrees, at a time in seconds.
Elevation = Callable[[float], float]

_TOLERANCE_S = 1e-6
# Brackets around what was found before: this far on either side, wider where that is too little.
_BRACKETS_S = (0.01, 1.0, 30.0)
# Half the distance over which a slope is taken.
_SLOPE_S = 0.1


class SkyfieldView:
    """Satellites as Skyfield sees them from sites, by its full transformation."""

    def __init__(
        self, satellites: Sequence[Satellite], sites: Sequence[Site], start: Start
    ) -> None:
        """Satellites and sites are then named by their index."""
        from skyfield.api import EarthSatellite, wgs84

        self._start = start
        self._bodies = [EarthSatellite.from_satrec(s.model, timescale()) for s in satellites]
        self._places = [wgs84.latlon(s.latitude_deg, s.longitude_deg, s.altitude_m) for s in sites]

    def elevation_deg(self, satellite: int, site: int, time_s: float) -> float:
        """Elevation of one satellite from one site."""
        elevation, _, _ = self._seen(satellite, site, time_s).altaz()
        return float(elevation.degrees)

    def look(self, satellite: IntArray, site: IntArray, time_s: FloatArray) -> LookAngles:
        """Look angles (n,) of satellites from sites at times (n,), one by one."""
        rows = np.empty((4, len(time_s)))
        for k, (i, j) in enumerate(zip(satellite, site, strict=True)):
            angles = self._seen(i, j, time_s[k]).frame_latlon_and_rates(self._places[j])
            elevation, azimuth, distance, _, _, rate = angles
            rows[:, k] = elevation.degrees, azimuth.degrees, distance.km, rate.km_per_s
        return LookAngles(*rows)

    def _seen(self, satellite: int, site: int, time_s: float) -> Any:
        days, seconds = divmod(self._start.second_of_day + float(time_s), DAY_S)
        at = self._start.midnight
        # Seconds are counted by UTC labels, a leap second left out, as SGP4 counts them.
        time = timescale().utc(at.year, at.month, at.day + int(days), 0, 0, seconds)
        return (self._bodies[satellite] - self._places[site]).at(time)


def referenced(
    passes: Passes, view: SkyfieldView, mask_deg: FloatArray, first_s: float, last_s: float
) -> Passes:
    """Passes in [first_s, last_s] whose edges and culminations are Skyfield's.

    `mask_deg` is that of each site. A pass that stays below its mask in Skyfield is dropped.
    """
    times = np.stack([passes.rise_s, passes.culminate_s, passes.set_s])
    keep = passes.clipped_start | passes.clipped_end
    for k, (satellite, site) in enumerate(zip(passes.satellite, passes.site, strict=True)):

        def above(time_s: float, satellite: int = satellite, site: int = site) -> float:
            return view.elevation_deg(satellite, site, time_s) - float(mask_deg[site])

        times[1, k] = _culmination_s(above, *times[:, k])
        keep[k] |= above(times[1, k]) >= 0
        if keep[k] and not passes.clipped_start[k]:
            times[0, k] = _root(above, times[0, k], first_s, times[1, k])
        if keep[k] and not passes.clipped_end[k]:
            times[2, k] = _root(above, times[2, k], times[1, k], last_s)
    rise_s, culminate_s, set_s = times
    passes = replace(passes, rise_s=rise_s, culminate_s=culminate_s, set_s=set_s)
    return passes.where(keep & (set_s > rise_s))


def _culmination_s(above: Elevation, rise_s: float, near_s: float, set_s: float) -> float:
    """Where the elevation stops rising next to `near_s`, unless that is an end of the window."""

    def slope(time_s: float) -> float:
        return above(time_s + _SLOPE_S) - above(time_s - _SLOPE_S)

    return _root(slope, near_s, rise_s, set_s) if rise_s < near_s < set_s else near_s


def _root(function: Elevation, near_s: float, first_s: float, last_s: float) -> float:
    """The zero of a function next to `near_s` within [first_s, last_s]; `near_s` if none is."""
    from scipy.optimize import brentq

    for reach_s in _BRACKETS_S:
        low_s, high_s = max(near_s - reach_s, first_s), min(near_s + reach_s, last_s)
        if function(low_s) * function(high_s) < 0:
            return float(brentq(function, low_s, high_s, xtol=_TOLERANCE_S))
    return near_s
