"""A satellite's path during one contact: SGP4 once, then look angles at any time inside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, isfinite, sqrt

import numpy as np

from orbit.arrays import FloatArray
from orbit.clock import Start
from orbit.elements import Satellite
from orbit.even_spline import EvenSpline
from orbit.looks import LookAngles, looks_from
from orbit.propagation import propagate
from orbit.sites import Site, site_frames

# Radians that the satellite may turn about the Earth's centre between two knots: 7 s in a low
# orbit. A cubic spline is then within 0.1 mm of SGP4, and within 1 mm next to the ends.
_TURN_RAD = 0.008
_EARTH_RATE_RAD_S = 7.292115e-5
_LEAST_STEPS = 5


@dataclass(frozen=True, eq=False)
class ContactTrack:
    """Earth-fixed path of a satellite from `first_s` to `last_s`, seconds since the start.

    `path` is a cubic spline over seconds since `first_s`. Its six components are position (km) and
    velocity (km/s), interpolated apart: SGP4's velocity is not its position's derivative (up to
    1 m/s off in low orbits, more in eccentric ones).
    """

    first_s: float
    last_s: float
    path: EvenSpline

    def state(self, time_s: FloatArray) -> FloatArray:
        """States (..., 6) at times (...); outside the track it extrapolates: see `look`."""
        state: FloatArray = self.path(time_s - self.first_s)
        return state

    def look(self, sites: Site | Sequence[Site], time_s: FloatArray) -> LookAngles:
        """Look angles (T, K) of K sites at times (T,), or at each site's own times (T, K).

        Against exact SGP4: slant range to 1 cm, range rate to 1 mm/s, elevation to 1e-6 deg.
        Raises ValueError for no site, or for times of another shape or outside the track.
        """
        sites = [sites] if isinstance(sites, Site) else sites
        frames = site_frames(sites, 0.0)
        times = np.asarray(time_s, dtype=np.float64)
        if times.ndim == 1:
            times = times[:, None]
        if times.ndim != 2 or times.shape[1] not in (1, len(sites)):
            raise ValueError(
                f"time_s has shape {np.shape(time_s)}; give (T,), or (T, {len(sites)}) with a "
                "column a site"
            )
        outside = times[~((times >= self.first_s) & (times <= self.last_s))]
        if outside.size:
            raise ValueError(
                f"time {outside[0]} s is outside the track; give times from {self.first_s} s to "
                f"{self.last_s} s"
            )
        return looks_from(self.state(times), frames, np.arange(len(sites)))


def contact_track(
    satellite: Satellite, start: datetime, first_s: float, last_s: float
) -> ContactTrack:
    """Propagate a satellite over [first_s, last_s], seconds since the aware UTC `start`.

    Knots are dense enough for the orbit's perigee. SGP4 itself jumps now and then in a few deep
    space orbits (where its inclination passes 0.2 rad, or its resonance integrator steps); next to
    such a jump the spline is no better than the jump is high. Raises ValueError for a span that is
    not finite or does not last, a start without time zone, or where SGP4 fails.
    """
    if not (isfinite(first_s) and isfinite(last_s) and last_s > first_s):
        raise ValueError(f"track {first_s} s to {last_s} s does not last; give a later last_s")
    span_s = last_s - first_s
    steps = max(_LEAST_STEPS, ceil(span_s * _fastest_turn_rad_s(satellite) / _TURN_RAD))
    knots_s = np.linspace(0.0, span_s, steps + 1)
    state = propagate(satellite, Start.of(start), np.minimum(first_s + knots_s, last_s))
    return ContactTrack(first_s, last_s, EvenSpline.through(knots_s, state))


def _fastest_turn_rad_s(satellite: Satellite) -> float:
    """Angular rate about the Earth's centre at perigee, Earth-fixed, at most.

    Two-body: r^2 f' = n a^2 sqrt(1 - e^2) with r = a (1 - e) gives n sqrt(1 + e) / (1 - e)^1.5.
    """
    motion, eccentricity = satellite.model.no_kozai / 60, satellite.model.ecco
    turn: float = motion * sqrt(1 + eccentricity) / (1 - eccentricity) ** 1.5
    return turn + _EARTH_RATE_RAD_S
