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

Look = tuple[FloatArray, FloatArray, FloatArray]


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
    contacts = [(satellite, rise_s, set_s, step_s)]
    return contact_geometries(contacts, devices, start, min_elevation_deg)[0]


def contact_geometries(
    contacts: Sequence[tuple[Satellite, float, float, float]],
    devices: Sequence[Site],
    start: datetime,
    min_elevation_deg: float,
) -> list[ContactGeometry]:
    """`contact_geometry` of several contacts of the same devices, to the last bit, but quicker.

    Of each contact: the satellite, rise_s, set_s and step_s. Raises ValueError as that does.
    """
    for _, rise_s, set_s, step_s in contacts:
        _check(rise_s, set_s, step_s)
    frames = site_frames(devices, min_elevation_deg)
    tracks = [contact_track(satellite, start, *span_s) for satellite, *span_s, _ in contacts]
    every = np.arange(len(devices))
    times = [
        _even_times(*edges_s, contact[-1])
        for edges_s, contact in zip(zip(*edges(tracks, frames), strict=True), contacts, strict=True)
    ]
    seen = looks_along(tracks, times, frames, [every] * len(tracks))
    return [
        ContactGeometry(time_s[:, 0], time_s[:, -1], time_s, *look, track, frames)
        for time_s, look, track in zip(times, seen, tracks, strict=True)
    ]


def _check(rise_s: float, set_s: float, step_s: float) -> None:
    if not (isfinite(rise_s) and isfinite(set_s) and set_s > rise_s):
        raise ValueError(f"contact {rise_s} s to {set_s} s does not last; give set_s after rise_s")
    if not (isfinite(step_s) and step_s > 0):
        raise ValueError(
            f"step_s {step_s!r} is not a positive number of seconds; give one such as 8"
        )


def _even_times(aos_s: FloatArray, los_s: FloatArray, step_s: float) -> FloatArray:
    """Times (K, T) from AOS to LOS, as few as are at most a step apart in every row."""
    count = max(2, ceil(float((los_s - aos_s).max()) / step_s) + 1)
    return np.ascontiguousarray(np.linspace(aos_s, los_s, count).T)


def looks_along(
    tracks: Sequence[ContactTrack],
    times_s: Sequence[FloatArray],
    frames: SiteFrames,
    devices: Sequence[IntArray],
) -> list[Look]:
    """Elevations (deg), ranges (km) and range rates (km/s), each (K, T), along each of some tracks.

    Of each track the times, (K, T) or (1, T), and the sites (K,) that look, by index.
    """
    if len(tracks) == 1:
        return [_look_along(tracks[0], times_s[0], frames, devices[0])]
    shapes = [(len(who), time_s.shape[1]) for who, time_s in zip(devices, times_s, strict=True)]
    states = [
        np.broadcast_to(track.state(time_s), (*shape, 6)).transpose(2, 0, 1).reshape(6, -1)
        for track, time_s, shape in zip(tracks, times_s, shapes, strict=True)
    ]
    who = np.concatenate([np.repeat(w, shape[1]) for w, shape in zip(devices, shapes, strict=True)])
    seen = elevation_and_range(np.concatenate(states, axis=1).T, frames, who)
    ends = np.cumsum([state.shape[1] for state in states])[:-1]
    parts = zip(*(np.split(values, ends) for values in seen), strict=True)
    return [
        (elevation.reshape(shape), slant_range.reshape(shape), rate.reshape(shape))
        for (elevation, slant_range, rate), shape in zip(parts, shapes, strict=True)
    ]


def _look_along(
    track: ContactTrack, time_s: FloatArray, frames: SiteFrames, devices: IntArray
) -> Look:
    """What `looks_along` says of one track, a few devices at a time."""
    elevation, slant_range, range_rate = np.empty((3, len(devices), time_s.shape[1]))
    for rows, state, device in _blocks(np.broadcast_to(time_s, elevation.shape), track):
        seen = elevation_and_range(state, frames, devices[device])
        elevation[rows], slant_range[rows], range_rate[rows] = seen
    return elevation, slant_range, range_rate


def _blocks(
    time_s: FloatArray, track: ContactTrack
) -> Iterator[tuple[slice, FloatArray, IntArray]]:
    """Devices a few at a time: their rows, their states (k, T, 6), and their indices (k, 1)."""
    devices, times = time_s.shape
    for device in blocks(devices, times):
        rows = slice(device[0], device[-1] + 1)
        yield rows, track.state(time_s[rows]), device[:, None]
