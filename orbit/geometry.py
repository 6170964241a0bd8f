"""The geometry of one contact for each device of a cluster."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, isfinite

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.elements import Satellite
from orbit.looks import looks_from
from orbit.roots import bracketed_roots
from orbit.sight import sight
from orbit.sites import Site, SiteFrames, site_frames
from orbit.track import ContactTrack, contact_track

_TOLERANCE_S = 1e-7
# Numbers of an array at most, so that a long contact of many devices does not need all memory.
_CHUNK = 200_000


@dataclass(frozen=True, eq=False)
class ContactGeometry:
    """AOS and LOS (K,) of each device, and its geometry (K, T) at even times from AOS to LOS.

    Times are seconds since the start; azimuth from north through east, 0 to 360 deg; positive range
    rates recede. A device that never sees the satellite above its mask has aos_s equal to los_s, at
    its highest elevation.
    """

    aos_s: FloatArray
    los_s: FloatArray
    time_s: FloatArray
    elevation_deg: FloatArray
    azimuth_deg: FloatArray
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
    aos_s, los_s = _edges(track, frames)
    count = max(2, ceil(float((los_s - aos_s).max()) / step_s) + 1)
    time_s = np.linspace(aos_s, los_s, count, axis=1)
    return _seen_at(time_s, track, frames)


def _seen_at(time_s: FloatArray, track: ContactTrack, frames: SiteFrames) -> ContactGeometry:
    """The geometry at each device's own times (K, T)."""
    looks = np.empty((4, *time_s.shape))
    for device in _chunks(*time_s.shape):
        seen = looks_from(track.state(time_s[device]), frames, device[:, None])
        looks[0, device], looks[1, device] = seen.elevation_deg, seen.azimuth_deg
        looks[2, device], looks[3, device] = seen.slant_range_km, seen.range_rate_km_s
    return ContactGeometry(time_s[:, 0], time_s[:, -1], time_s, *looks)


def _chunks(devices: int, times: int) -> Iterator[IntArray]:
    """Indices of the devices, a few at a time."""
    yield from np.array_split(np.arange(devices), ceil(devices * times / _CHUNK))


def _edges(track: ContactTrack, frames: SiteFrames) -> tuple[FloatArray, FloatArray]:
    """AOS and LOS (K,) of every device."""
    chunks = _chunks(len(frames.sin_mask), len(track.path.x))
    scans = (_Scan.of(track, frames, device) for device in chunks)
    aos, los = np.concatenate([scan.edges() for scan in scans], axis=1)
    return _within_track(track, aos), _within_track(track, los)


def _within_track(track: ContactTrack, after_s: FloatArray) -> FloatArray:
    """Seconds since the start, of which rounding puts none past the end or short of it."""
    time_s = np.minimum(track.first_s + after_s, track.last_s)
    return np.where(after_s == track.path.x[-1], track.last_s, time_s)


@dataclass(frozen=True)
class _Scan:
    """Devices (k,) under a track, at instants (k, n) that miss no change of the margin's sign.

    `after_s` counts from the track's first time: a short contact keeps its digits.
    """

    track: ContactTrack
    frames: SiteFrames
    device: IntArray
    after_s: FloatArray
    margin: FloatArray

    @classmethod
    def of(cls, track: ContactTrack, frames: SiteFrames, device: IntArray) -> "_Scan":
        """Scan the track's knots, and the tops and bottoms that hide between two of them."""
        knots_s: FloatArray = track.path.x
        seen = sight(_moving(track, knots_s), frames, device[:, None])
        rate = seen.margin_rate_per_s
        row, left = np.nonzero(_hides_turn(seen.margin, rate))
        ends = rate[row, left], rate[row, left + 1]
        turn_s = _turns_s(track, frames, device[row], left, ends)
        # Every interval gets one instant more: its own turning point, or its first knot again.
        after_s = np.tile(np.repeat(knots_s, 2)[:-1], (len(device), 1))
        margin = np.repeat(seen.margin, 2, axis=1)[:, :-1]
        after_s[row, 2 * left + 1] = turn_s
        margin[row, 2 * left + 1] = sight(track.path(turn_s), frames, device[row]).margin
        return cls(track, frames, device, after_s, margin)

    def edges(self) -> FloatArray:
        """AOS and LOS (2, k), seconds after the track's first time."""
        below, place = self.margin < 0, np.arange(self.margin.shape[1])
        top = self.margin.argmax(axis=1)
        before, later = below & (place < top[:, None]), below & (place > top[:, None])
        ever = ~below[self._every, top]
        rises = np.flatnonzero(ever & before.any(axis=1))
        sets = np.flatnonzero(ever & later.any(axis=1))
        last_below = place[-1] - before[rises, ::-1].argmax(axis=1)
        last_above = later[sets].argmax(axis=1) - 1
        crossings = self._crossings(np.append(rises, sets), np.append(last_below, last_above))
        edges = np.stack([self.after_s[:, 0], self.after_s[:, -1]])
        edges[:, ~ever] = self.after_s[self._every, top][~ever]
        edges[0, rises], edges[1, sets] = np.split(crossings, [len(rises)])
        return edges

    @property
    def _every(self) -> IntArray:
        return np.arange(len(self.device))

    def _crossings(self, row: IntArray, left: IntArray) -> FloatArray:
        """Where the margin changes sign between instants `left` and the next."""
        device = self.device[row]

        def margin(which: IntArray, after_s: FloatArray) -> FloatArray:
            return sight(self.track.path(after_s), self.frames, device[which]).margin

        return bracketed_roots(
            margin, self.after_s[row, left], self.after_s[row, left + 1],
            self.margin[row, left], self.margin[row, left + 1], _TOLERANCE_S,
        )  # fmt: skip


def _hides_turn(margin: FloatArray, rate: FloatArray) -> BoolArray:
    """Which steps (k, n - 1) may rise above the mask, or dip below it, with neither end saying so.

    A step between two samples below the mask hides a top, one between two above it a bottom.
    """
    below, climbs = margin < 0, rate >= 0
    same_side = below[:, :-1] == below[:, 1:]
    turns = climbs[:, :-1] != climbs[:, 1:]
    hides: BoolArray = same_side & turns & (below[:, :-1] == climbs[:, :-1])
    return hides


def _turns_s(
    track: ContactTrack,
    frames: SiteFrames,
    device: IntArray,
    left: IntArray,
    rates: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """When each of m devices sees the highest or lowest point after its knot `left` (m,).

    `rates` are the margin's at that knot and the next.
    """
    knots_s = track.path.x

    def rate_at(which: IntArray, after_s: FloatArray) -> FloatArray:
        return sight(_moving(track, after_s), frames, device[which]).margin_rate_per_s

    return bracketed_roots(rate_at, knots_s[left], knots_s[left + 1], *rates, _TOLERANCE_S)


def _moving(track: ContactTrack, after_s: FloatArray) -> FloatArray:
    """States (..., 6) whose velocity is the derivative of their position.

    SGP4's own velocity would put a synchronous satellite's highest and lowest points seconds off.
    """
    state = track.path(after_s)
    state[..., 3:] = track.path(after_s, 1)[..., :3]
    moving: FloatArray = state
    return moving
