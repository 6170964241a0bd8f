"""AOS, LOS and look angles of a cluster's devices during a contact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil, isfinite

import numpy as np

from orbit.contact_views import contact_views
from orbit.look_angles import LookAngles, looks_from
from orbit.satellite import Satellite
from orbit.sites import Site, site_frames
from orbit.tracks import Tracks, contact_tracks
from statements.arrays import Floats


@dataclass(frozen=True, eq=False)
class ContactTrack:
    """Earth-fixed path of a satellite from `first_s` to `last_s`, seconds since the start."""

    _tracks: Tracks = field(repr=False)

    @property
    def first_s(self) -> float:
        """When it begins."""
        return float(self._tracks.first_s[0])

    @property
    def last_s(self) -> float:
        """When it ends."""
        return float(self._tracks.last_s[0])

    def state(self, time_s: Floats) -> Floats:
        """States (..., 6), km and km/s, at finite times (...); outside it extrapolates."""
        return np.moveaxis(self._tracks.state(np.zeros((), np.int64), time_s), 0, -1)

    def look(self, sites: Site | Sequence[Site], time_s: Floats) -> LookAngles:
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

    Cubics through SGP4's states: see `orbit.tracks`. Raises ValueError for a span that is not
    finite or does not last, a start without time zone, or where SGP4 fails.
    """
    first = np.array([first_s], float)
    last = np.array([last_s], float)
    return ContactTrack(contact_tracks([satellite], start, first, last))


@dataclass(frozen=True, eq=False)
class ContactGeometry:
    """AOS and LOS (K,) of each device, and its geometry (K, T) at even times from AOS to LOS.

    Times are seconds since the start; positive range rates recede. A device that never sees the
    satellite above its mask has aos_s equal to los_s, at its highest elevation.
    """

    aos_s: Floats
    los_s: Floats
    time_s: Floats
    elevation_deg: Floats
    slant_range_km: Floats
    range_rate_km_s: Floats


def contact_geometry(
    satellite: Satellite,
    devices: Sequence[Site],
    start: datetime,
    rise_s: float,
    set_s: float,
    min_elevation_deg: float,
    step_s: float = 8.0,
) -> ContactGeometry:
    """When and how each of K devices sees a satellite within the contact [rise_s, set_s].

    A device's interval is the one around its highest elevation in the contact, cut at the contact's
    ends; its own mask (the lowest elevation of a horizon) wins over `min_elevation_deg`. AOS and
    LOS are where exact SGP4 crosses the mask to 0.1 ms (grazing ones to 1e-6 deg), the rest is as
    exact as `ContactTrack.look`. T is the
    least number of even times, ends included, that keeps every device's spacing at `step_s` or
    below. Raises ValueError for no device, a contact that is not finite or does not last, a step
    that is not positive, a mask out of range, or where SGP4 fails.
    """
    if not (isfinite(rise_s) and isfinite(set_s) and set_s > rise_s):
        raise ValueError(f"contact {rise_s} s to {set_s} s does not last; give set_s after rise_s")
    if not (isfinite(step_s) and step_s > 0):
        raise ValueError(
            f"step_s {step_s!r} is not a positive number of seconds; give one such as 8"
        )
    rise = np.array([rise_s], float)
    set_ = np.array([set_s], float)
    frames = [site_frames(devices, min_elevation_deg)]
    views = contact_views([satellite], start, rise, set_, frames, np.zeros(1, np.int64))
    count = max(2, ceil(float((views.los_s - views.aos_s).max()) / step_s) + 1)
    time_s = np.ascontiguousarray(np.linspace(views.aos_s, views.los_s, count).T)
    look = views.look(np.repeat(np.arange(len(devices)), count), time_s.ravel())
    place = (values.reshape(time_s.shape) for values in look)
    return ContactGeometry(time_s[:, 0], time_s[:, -1], time_s, *place)


# How high an orbit stands over a place: the ellipsoid is 21 km flatter at the poles, and J2 and J3
# lift and lower a circular orbit by some kilometres over a revolution. So over a polar station a
# satellite is that much higher than its nominal height, which is above the equator's radius.

_SAMPLES = 721
"""Half a degree of a circular orbit; the radius changes by less than 0.1 km in between."""


def geocentric_radius_km(site: Site) -> float:
    """Distance of a site from the centre of the Earth (WGS 84, with its altitude), km."""
    return float(np.linalg.norm(_position_km(site)))


def radius_over_km(satellite: Satellite, site: Site, start: datetime) -> float:
    """Distance of a satellite from the Earth's centre at the geocentric latitude of a site, km.

    The mean of the ways north and south in the revolution that begins at the aware UTC `start`; of
    an orbit that does not get to that latitude, where it is nearest to it. Raises ValueError for a
    start without time zone, or where SGP4 fails.
    """
    period_s = 2.0 * np.pi / satellite.model.no_kozai * 60.0
    track = contact_track(satellite, start, 0.0, period_s)
    position_km = track.state(np.linspace(0.0, period_s, _SAMPLES))[:, :3]
    radius_km = np.linalg.norm(position_km, axis=1)
    latitude = np.arcsin(position_km[:, 2] / radius_km)
    x, y, z = _position_km(site)
    off = np.abs(latitude - np.arctan2(z, np.hypot(x, y)))
    north = np.gradient(latitude) > 0.0
    ways = [way for way in (north, ~north) if way.any()]  # an equatorial orbit has but one
    return float(np.mean([radius_km[way][off[way].argmin()] for way in ways]))


def _position_km(site: Site) -> Floats:
    position_km: Floats = site_frames([site], 0.0).position_km[0]
    return position_km
