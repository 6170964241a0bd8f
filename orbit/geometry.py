"""The geometry of one contact for each device of a cluster."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from math import ceil, isfinite

import numpy as np

from orbit.arrays import FloatArray, IntArray
from orbit.edges import blocks, edges
from orbit.elements import Satellite
from orbit.sight import azimuth_deg, elevation_and_range
from orbit.sites import Site, SiteFrames, site_frames
from orbit.track import ContactTrack, contact_track


@dataclass(frozen=True, eq=False)
class ContactGeometry:
    """AOS and LOS (K,) of each device, and its geometry (K, T) at even times from AOS to LOS.

    Times are seconds since the start; azimuth from north through east, 0 to 360 deg; positive range
    rates recede. A device that never sees the satellite above its mask has aos_s equal to los_s, at
    its highest elevation. `track` is the path that all this was seen along.
    """

    aos_s: FloatArray
    los_s: FloatArray
    time_s: FloatArray
    elevation_deg: FloatArray
    slant_range_km: FloatArray
    range_rate_km_s: FloatArray
    track: ContactTrack = field(repr=False)
    _frames: SiteFrames = field(repr=False)

    @cached_property
    def azimuth_deg(self) -> FloatArray:
        """Azimuths (K, T), worked out when first asked for."""
        azimuth: FloatArray = np.empty_like(self.time_s)
        for rows, state, device in _blocks(self.time_s, self.track):
            azimuth[rows] = azimuth_deg(state, self._frames, device)
        return azimuth


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
    ends; its own mask wins over `min_elevation_deg`. AOS and LOS are where exact SGP4 crosses the
    mask to 0.1 ms (grazing ones to 1e-6 deg), the rest is as exact as `ContactTrack.look`. T is the
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
    frames = site_frames(devices, min_elevation_deg)
    track = contact_track(satellite, start, rise_s, set_s)
    aos_s, los_s = edges(track, frames)
    count = max(2, ceil(float((los_s - aos_s).max()) / step_s) + 1)
    time_s = np.ascontiguousarray(np.linspace(aos_s, los_s, count).T)
    return _seen_at(time_s, track, frames)


def _seen_at(time_s: FloatArray, track: ContactTrack, frames: SiteFrames) -> ContactGeometry:
    """The geometry at each device's own times (K, T)."""
    elevation, slant_range, range_rate = np.empty((3, *time_s.shape))
    for rows, state, device in _blocks(time_s, track):
        seen = elevation_and_range(state, frames, device)
        elevation[rows], slant_range[rows], range_rate[rows] = seen
    return ContactGeometry(
        time_s[:, 0], time_s[:, -1], time_s, elevation, slant_range, range_rate, track, frames
    )


def _blocks(
    time_s: FloatArray, track: ContactTrack
) -> Iterator[tuple[slice, FloatArray, IntArray]]:
    """Devices a few at a time: their rows, their states (k, T, 6), and their indices (k, 1)."""
    devices, times = time_s.shape
    for device in blocks(devices, times):
        rows = slice(device[0], device[-1] + 1)
        yield rows, track.state(time_s[rows]), device[:, None]
