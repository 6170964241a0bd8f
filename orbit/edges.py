"""AOS and LOS of many devices under one satellite's track."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.even_spline import EvenSpline
from orbit.roots import bracketed_roots
from orbit.sight import margins, sight
from orbit.sites import SiteFrames
from orbit.track import ContactTrack

_TOLERANCE_S = 1e-7
# Numbers of an array at most, so that a long contact of many devices does not need all memory ...
_CHUNK = 200_000
# ... and so that a dozen arrays stay in a core's own cache.
_BLOCK = 8_000


def blocks(devices: int, times: int, most: int = _BLOCK) -> Iterator[IntArray]:
    """Indices of the devices, a few at a time, at least one."""
    yield from np.array_split(np.arange(devices), min(devices, ceil(devices * times / most)))


def edges(track: ContactTrack, frames: SiteFrames) -> tuple[FloatArray, FloatArray]:
    """AOS and LOS (K,) of every device."""
    # SGP4's own velocity would put a synchronous satellite's highest and lowest points seconds off.
    path = track.path.first(3).moving()
    parts = blocks(len(frames.sin_mask), len(path.x), _CHUNK)
    scans = (_Scan.of(path, frames, device) for device in parts)
    aos, los = np.concatenate([scan.edges() for scan in scans], axis=1)
    return _within_track(track, aos), _within_track(track, los)


def _within_track(track: ContactTrack, after_s: FloatArray) -> FloatArray:
    """Seconds since the start, of which rounding puts none past the end or short of it."""
    time_s = np.minimum(track.first_s + after_s, track.last_s)
    return np.where(after_s == track.path.x[-1], track.last_s, time_s)


@dataclass(frozen=True)
class _Scan:
    """Devices (k,) under a path, at instants (k, n) that miss no change of the margin's sign.

    `path` is of positions and their derivatives; it and `after_s` count from the track's first
    time: a short contact keeps its digits.
    """

    path: EvenSpline
    frames: SiteFrames
    device: IntArray
    after_s: FloatArray
    margin: FloatArray

    @classmethod
    def of(cls, path: EvenSpline, frames: SiteFrames, device: IntArray) -> "_Scan":
        """Scan the path's knots, and the tops and bottoms that hide between two of them."""
        margin, rate = _at_knots(path, frames, device)
        row, left = np.nonzero(_hides_turn(margin, rate))
        after_s = np.tile(path.x, (len(device), 1))
        if not row.size:
            return cls(path, frames, device, after_s, margin)
        ends = rate[row, left], rate[row, left + 1]
        turn_s = _turns_s(path, frames, device[row], left, ends)
        # A step that hides something for one device gets an instant more for all of them: the
        # turning point, or its first knot again.
        more = np.unique(left)
        place = left + 1 + np.searchsorted(more, left)
        after_s = np.insert(after_s, more + 1, path.x[more], axis=1)
        margin = np.insert(margin, more + 1, margin[:, more], axis=1)
        after_s[row, place] = turn_s
        margin[row, place] = margins(path(turn_s), frames, device[row])
        return cls(path, frames, device, after_s, margin)

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
        device, positions = self.device[row], self.path.first(3)

        def margin(which: IntArray, after_s: FloatArray) -> FloatArray:
            return margins(positions(after_s), self.frames, device[which])

        return bracketed_roots(
            margin, self.after_s[row, left], self.after_s[row, left + 1],
            self.margin[row, left], self.margin[row, left + 1], _TOLERANCE_S,
        )  # fmt: skip


def _at_knots(
    path: EvenSpline, frames: SiteFrames, device: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Margins of devices (k,) and their rates at the path's knots, both (k, n)."""
    state = path(path.x)
    margin, rate = np.empty((2, len(device), len(path.x)))
    for some in blocks(*margin.shape):
        seen = sight(state, frames, device[some, None])
        margin[some], rate[some] = seen.margin, seen.margin_rate_per_s
    return margin, rate


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
    path: EvenSpline,
    frames: SiteFrames,
    device: IntArray,
    left: IntArray,
    rates: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """When each of m devices sees the highest or lowest point after its knot `left` (m,).

    `rates` are the margin's at that knot and the next.
    """

    def rate_at(which: IntArray, after_s: FloatArray) -> FloatArray:
        return sight(path(after_s), frames, device[which]).margin_rate_per_s

    return bracketed_roots(rate_at, path.x[left], path.x[left + 1], *rates, _TOLERANCE_S)
