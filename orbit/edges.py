"""AOS and LOS of many devices under the tracks of satellites."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.even_spline import EvenSplines
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
    """Indices of the devices, a few at a time, at least one if there is anything to do."""
    if devices * times:
        yield from np.array_split(np.arange(devices), min(devices, ceil(devices * times / most)))


def edges(tracks: Sequence[ContactTrack], frames: SiteFrames) -> tuple[FloatArray, FloatArray]:
    """AOS and LOS (N, K) of every device under each of N tracks."""
    # SGP4's own velocity would put a synchronous satellite's highest and lowest points seconds off.
    paths = EvenSplines.of([track.path for track in tracks]).first(3).moving()
    devices = len(frames.sin_mask)
    track, device = np.divmod(np.arange(len(tracks) * devices), devices)
    scans = (
        _Scan.of(paths, track[rows], frames, device[rows])
        for rows in blocks(len(track), int(paths.pieces.max()) + 1, _CHUNK)
    )
    after_s = np.concatenate([scan.edges() for scan in scans], axis=1)
    first_s, last_s = np.array([(track.first_s, track.last_s) for track in tracks]).T[:, track]
    # Of which rounding puts none past the end or short of it.
    whole_s = paths.x[paths.knot + paths.pieces][track]
    time_s = np.where(after_s == whole_s, last_s, np.minimum(first_s + after_s, last_s))
    aos_s, los_s = time_s.reshape(2, len(tracks), devices)
    return aos_s, los_s


@dataclass(frozen=True)
class _Scan:
    """Devices (k,) under their paths, at instants (k, n) that miss no change of the margin's sign.

    `paths` are of positions and their derivatives; they and `after_s` count from the tracks' first
    times: a short contact keeps its digits. Rows under a shorter path repeat its last instant.
    """

    paths: EvenSplines
    track: IntArray
    frames: SiteFrames
    device: IntArray
    after_s: FloatArray
    margin: FloatArray

    @classmethod
    def of(
        cls, paths: EvenSplines, track: IntArray, frames: SiteFrames, device: IntArray
    ) -> "_Scan":
        """Scan the paths' knots, and the tops and bottoms that hide between two of them."""
        every = np.arange(len(paths.pieces))[:, None]
        knots_s = paths.x[
            paths.knot[every] + np.minimum(np.arange(paths.pieces.max() + 1), paths.pieces[every])
        ]
        states = paths(every, knots_s).transpose(2, 0, 1)
        margin, rate = np.empty((2, len(track), knots_s.shape[1]))
        for some in blocks(*margin.shape):
            state = states.take(track[some], axis=1).transpose(1, 2, 0)
            seen = sight(state, frames, device[some, None])
            margin[some], rate[some] = seen.margin, seen.margin_rate_per_s
        after_s = knots_s[track]
        scan = cls(paths, track, frames, device, after_s, margin)
        row, left = np.nonzero(_hides_turn(margin, rate))
        return scan._with_turns(row, left, rate) if row.size else scan

    def _with_turns(self, row: IntArray, left: IntArray, rate: FloatArray) -> "_Scan":
        """The same with the turning points of some rows (m,) behind instants `left` (m,).

        `rate` (k, n) is the margin's.
        """

        def rate_at(which: IntArray, after_s: FloatArray) -> FloatArray:
            state = self.paths(self.track[row[which]], after_s)
            return sight(state, self.frames, self.device[row[which]]).margin_rate_per_s

        turn_s = bracketed_roots(
            rate_at, self.after_s[row, left], self.after_s[row, left + 1],
            rate[row, left], rate[row, left + 1], _TOLERANCE_S,
        )  # fmt: skip
        # A step that hides something for one device gets an instant more for all of them: the
        # turning point, or its first knot again.
        more = np.unique(left)
        place = left + 1 + np.searchsorted(more, left)
        after_s = np.insert(self.after_s, more + 1, self.after_s[:, more], axis=1)
        margin = np.insert(self.margin, more + 1, self.margin[:, more], axis=1)
        after_s[row, place] = turn_s
        margin[row, place] = self._margins(row, turn_s)
        return replace(self, after_s=after_s, margin=margin)

    def _margins(self, row: IntArray, after_s: FloatArray) -> FloatArray:
        """Margins (m,) of some rows at their times."""
        state = self.paths.first(3)(self.track[row], after_s)
        return margins(state, self.frames, self.device[row])

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

        def margin(which: IntArray, after_s: FloatArray) -> FloatArray:
            return self._margins(row[which], after_s)

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
