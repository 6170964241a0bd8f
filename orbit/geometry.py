"""The geometry of one contact for each device of a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, isfinite

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.clock import Start
from orbit.elements import Satellite
from orbit.propagation import Tracks, check_propagated, propagate_tracks
from orbit.roots import bracketed_roots
from orbit.sight import look_deg, sight
from orbit.sites import Site, SiteFrames, site_frames

# SGP4's velocity is off its position's derivative by up to 0.9 m/s in low orbits, so a Hermite step
# of 2 s keeps the interpolated position within about 0.2 m.
_STEP_S = 2.0
_TOLERANCE_S = 1e-7


@dataclass(frozen=True, eq=False)
class ContactGeometry:
    """AOS and LOS (K,) of each device, and its geometry (K, T) at even times from AOS to LOS.

    Times are seconds since the start. A device that never sees the satellite above its mask has
    aos_s equal to los_s, at its highest elevation.
    """

    aos_s: FloatArray
    los_s: FloatArray
    time_s: FloatArray
    elevation_deg: FloatArray
    slant_range_km: FloatArray
    range_rate_km_s: FloatArray


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
    ends; its own mask wins over `min_elevation_deg`. T is the least number of even times, ends
    included, that keeps every device's spacing at `step_s` or below. Raises ValueError for no
    device, a contact that is not finite or does not last, a step that is not positive, a mask
    out of range, or where SGP4 fails.
    """
    if not (isfinite(rise_s) and isfinite(set_s) and set_s > rise_s):
        raise ValueError(f"contact {rise_s} s to {set_s} s does not last; give set_s after rise_s")
    if not (isfinite(step_s) and step_s > 0):
        raise ValueError(
            f"step_s {step_s!r} is not a positive number of seconds; give one such as 8"
        )
    frames = site_frames(devices, min_elevation_deg)
    origin = Start.of(start)
    tracks = propagate_tracks([satellite], origin, rise_s, set_s, min(step_s, _STEP_S))
    check_propagated(satellite, origin, tracks.time_s, tracks.error[0])
    contact = _Contact(tracks, frames)
    aos_s, los_s = contact.edges()
    count = max(2, ceil(float((los_s - aos_s).max()) / step_s) + 1)
    time_s = np.linspace(aos_s, los_s, count, axis=1)
    every = np.arange(len(devices))[:, None]
    state = contact.state(time_s)
    elevation, _ = look_deg(state, frames, every)
    seen = sight(state, frames, every)
    return ContactGeometry(
        aos_s, los_s, time_s, elevation, seen.slant_range_km, seen.range_rate_km_s
    )


@dataclass(frozen=True)
class _Contact:
    """One satellite's track during a contact, and the devices (K) under it."""

    tracks: Tracks
    frames: SiteFrames

    def state(self, time_s: FloatArray) -> FloatArray:
        return self.tracks.states(np.zeros(time_s.shape, dtype=np.int64), time_s)

    def margin(self, device: IntArray, time_s: FloatArray) -> FloatArray:
        return sight(self.state(time_s), self.frames, device).margin

    def margin_rate(self, device: IntArray, time_s: FloatArray) -> FloatArray:
        return sight(self.state(time_s), self.frames, device).margin_rate_per_s

    def edges(self) -> tuple[FloatArray, FloatArray]:
        """AOS and LOS (K,) of every device."""
        grid_s = self.tracks.time_s
        device = np.arange(len(self.frames.sin_mask))
        seen = sight(self.tracks.state[0], self.frames, device[:, None])
        peak_s = self._culminations(seen.margin.argmax(axis=1), seen.margin_rate_per_s)
        below = seen.margin < 0
        before, after = below & (grid_s <= peak_s[:, None]), below & (grid_s > peak_s[:, None])
        last = len(grid_s) - 1
        left = last - before[:, ::-1].argmax(axis=1)
        right = after.argmax(axis=1)
        up_s = np.minimum(grid_s[np.minimum(left + 1, last)], peak_s)
        down_s = np.maximum(grid_s[np.maximum(right - 1, 0)], peak_s)
        aos_s = np.full(len(device), grid_s[0])
        los_s = np.full(len(device), grid_s[-1])
        ever = self.margin(device, peak_s) >= 0
        self._cross(aos_s, ever & before.any(axis=1), grid_s[left], up_s)
        self._cross(los_s, ever & after.any(axis=1), grid_s[right], down_s)
        return np.where(ever, aos_s, peak_s), np.where(ever, los_s, peak_s)

    def _culminations(self, top: IntArray, rate: FloatArray) -> FloatArray:
        """Times of highest elevation, next to the highest samples `top`."""
        grid_s = self.tracks.time_s
        device = np.arange(len(top))
        left = np.where(rate[device, top] > 0, top, top - 1)
        right = left + 1
        peak_s = grid_s[top]
        inner = np.flatnonzero((left >= 0) & (right < len(grid_s)))
        # At the contact's ends the highest elevation may be the sample itself.
        inner = inner[(rate[inner, left[inner]] > 0) & (rate[inner, right[inner]] <= 0)]
        peak_s[inner] = bracketed_roots(
            lambda which, time_s: self.margin_rate(inner[which], time_s),
            grid_s[left[inner]], grid_s[right[inner]],
            rate[inner, left[inner]], rate[inner, right[inner]], _TOLERANCE_S,
        )  # fmt: skip
        return peak_s

    def _cross(
        self, edge_s: FloatArray, where: BoolArray, outer_s: FloatArray, inner_s: FloatArray
    ) -> None:
        """Set `edge_s` of the devices `where` to the mask crossing between outer and inner."""
        device = np.flatnonzero(where)
        outer_s, inner_s = outer_s[device], inner_s[device]
        edge_s[device] = bracketed_roots(
            lambda which, time_s: self.margin(device[which], time_s), outer_s, inner_s,
            self.margin(device, outer_s), self.margin(device, inner_s), _TOLERANCE_S,
        )  # fmt: skip
