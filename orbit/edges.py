"""AOS and LOS of many devices under one satellite's track."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.roots import bracketed_roots
from orbit.sight import sight
from orbit.sites import SiteFrames
from orbit.track import ContactTrack

_TOLERANCE_S = 1e-7
# Numbers of an array at most, so that a long contact of many devices does not need all memory.
_CHUNK = 200_000


def chunks(devices: int, times: int) -> Iterator[IntArray]:
    """Indices of the devices, a few at a time."""
    yield from np.array_split(np.arange(devices), ceil(devices * times / _CHUNK))


def edges(track: ContactTrack, frames: SiteFrames) -> tuple[FloatArray, FloatArray]:
    """AOS and LOS (K,) of every device."""
    parts = chunks(len(frames.sin_mask), len(track.path.x))
    scans = (_Scan.of(track, frames, device) for device in parts)
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
