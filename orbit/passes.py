"""Passes of interpolated tracks over sites: rise, culminations, closest approach, set."""

from dataclasses import dataclass, fields

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.crossings import Crossings, crossings
from orbit.propagation import Tracks
from orbit.samples import Samples
from orbit.sites import SiteFrames
from orbit.turns import Approaches, Turns, closest_approaches, turning_points


@dataclass(frozen=True)
class Passes:
    """Arrays of one length; times in seconds since start.

    closest_s is the rise where the range has no minimum inside; `culminations` counts peaks.
    """

    satellite: IntArray
    site: IntArray
    rise_s: FloatArray
    culminate_s: FloatArray
    closest_s: FloatArray
    set_s: FloatArray
    culminations: IntArray
    clipped_start: BoolArray
    clipped_end: BoolArray

    def where(self, keep: BoolArray) -> "Passes":
        """Those passes for which `keep` is True."""
        return Passes(**{column.name: getattr(self, column.name)[keep] for column in fields(self)})


@dataclass(frozen=True)
class _Ends:
    """One end of every pass, in order: after sample `left` at fraction x; clipped ones at x = 0."""

    left: IntArray
    x: FloatArray
    clipped: BoolArray

    @classmethod
    def of(cls, found: Crossings, which: BoolArray, clipped: IntArray) -> "_Ends":
        """The crossings `which`, and the samples `clipped`."""
        left = np.concatenate([found.left[which], clipped])
        x = np.concatenate([found.x[which], np.zeros(len(clipped))])
        flags = np.arange(len(left)) >= len(left) - len(clipped)
        order = np.argsort(left + x)
        return cls(left[order], x[order], flags[order])

    @property
    def place(self) -> FloatArray:
        """A number that grows along the samples."""
        return self.left + self.x


def find_passes(tracks: Tracks, frames: SiteFrames) -> Passes:
    """All passes: what opens, by a crossing or at a first sample, closes at the next chance."""
    samples = Samples.of(tracks, frames)
    turns = turning_points(samples)
    found = crossings(samples, turns)
    opens, closes = _ends(samples, found)
    peaks = turns.at(turns.visible & turns.is_peak)
    pass_of = np.searchsorted(opens.place, peaks.place, side="right") - 1
    near = closest_approaches(samples, peaks.left)
    passes = Passes(
        samples.satellite(opens.left),
        samples.site[opens.left],
        samples.time_s(opens.left, opens.x),
        _highest_s(samples, peaks, pass_of, opens, closes),
        _closest_s(samples, near, opens, closes),
        samples.time_s(closes.left, closes.x),
        np.bincount(pass_of, minlength=len(opens.left)),
        opens.clipped,
        closes.clipped,
    )
    # A touch of the mask at a single instant is no window.
    return passes.where(passes.set_s > passes.rise_s)


def _ends(samples: Samples, found: Crossings) -> tuple[_Ends, _Ends]:
    """Where passes open and close, as many of one as of the other."""
    linked, seen = samples.linked, samples.visible
    starts = seen.copy()
    starts[1:] &= ~linked[:-1]
    return (
        _Ends.of(found, found.rises, np.flatnonzero(starts)),
        _Ends.of(found, ~found.rises, np.flatnonzero(seen & ~linked)),
    )


def _highest_s(
    samples: Samples, peaks: Turns, pass_of: IntArray, opens: _Ends, closes: _Ends
) -> FloatArray:
    """When each pass is highest: at its best peak, or at an end that is clipped."""
    best = _first_largest(peaks.sin_elevation, pass_of)
    sine = np.full((3, len(opens.left)), -np.inf)
    time_s = np.tile(samples.time_s(opens.left, opens.x), (3, 1))
    sine[0, pass_of[best]] = peaks.sin_elevation[best]
    time_s[0, pass_of[best]] = samples.time_s(peaks.left[best], peaks.x[best])
    for row, ends in ((1, opens), (2, closes)):
        at_end = ends.left[ends.clipped]
        sine[row, ends.clipped] = samples.view.at(at_end).sin_elevation
        time_s[row, ends.clipped] = samples.time_s(at_end, ends.x[ends.clipped])
    highest: FloatArray = time_s[sine.argmax(axis=0), np.arange(len(opens.left))]
    return highest


def _closest_s(samples: Samples, near: Approaches, opens: _Ends, closes: _Ends) -> FloatArray:
    """When the range has its least minimum in each pass; its rise where it has none."""
    time_s = samples.time_s(opens.left, opens.x)
    place = near.left + near.x
    pass_of = np.searchsorted(opens.place, place, side="right") - 1
    inside = np.flatnonzero((pass_of >= 0) & (place < closes.place[pass_of]))
    best = inside[_first_largest(-near.slant_range_km[inside], pass_of[inside])]
    time_s[pass_of[best]] = samples.time_s(near.left[best], near.x[best])
    return time_s


def _first_largest(values: FloatArray, group: IntArray) -> IntArray:
    """Index of the largest value of each group (the first of equals); `group` is sorted."""
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    if not starts.size:
        return starts
    largest = np.maximum.reduceat(values, starts)
    sizes = np.diff(starts, append=len(group))
    at_best = np.flatnonzero(values == np.repeat(largest, sizes))
    return at_best[np.flatnonzero(np.diff(group[at_best], prepend=-1))]
