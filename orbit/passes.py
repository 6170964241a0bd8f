"""Passes of interpolated tracks over sites: rise, culmination, closest approach, set."""

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.propagation import Tracks
from orbit.roots import bracketed_roots
from orbit.screen import candidate_samples
from orbit.sight import Sight, sight
from orbit.sites import SiteFrames

_TOLERANCE_S = 1e-7


@dataclass(frozen=True)
class Passes:
    """Arrays of one length, sorted by (satellite, site, rise_s); times in seconds since start."""

    satellite: IntArray
    site: IntArray
    rise_s: FloatArray
    culminate_s: FloatArray
    closest_s: FloatArray
    set_s: FloatArray
    clipped_start: BoolArray
    clipped_end: BoolArray

    def where(self, keep: BoolArray) -> "Passes":
        """Those passes for which `keep` is True."""
        return Passes(**{column.name: getattr(self, column.name)[keep] for column in fields(self)})


@dataclass(frozen=True)
class _Points:
    """Instants at which a satellite was looked at from a site, sorted by satellite, site, time.

    `linked` says whether the next point belongs to the same pair without a hole in between.
    """

    satellite: IntArray
    site: IntArray
    time_s: FloatArray
    sight: Sight
    linked: BoolArray

    @property
    def visible(self) -> BoolArray:
        return self.sight.margin >= 0


def find_passes(tracks: Tracks, frames: SiteFrames) -> Passes:
    """All passes, by sign changes between samples and the turning points in between.

    With the highest and lowest elevations added to the samples, a pass or a dip shorter than a
    step shows as two sign changes like any other.
    """
    points = _with_turning_points(_sampled(tracks, frames), tracks, frames)
    visible, linked = points.visible, points.linked
    before = np.append(False, linked[:-1])
    first = np.flatnonzero(visible & ~(before & np.append(False, visible[:-1])))
    last = np.flatnonzero(visible & ~(linked & np.append(visible[1:], False)))
    clipped_start, clipped_end = ~before[first], ~linked[last]
    rise_s, set_s = points.time_s[first], points.time_s[last]
    rise_s[~clipped_start] = _roots(points, first[~clipped_start] - 1, "margin", tracks, frames)
    set_s[~clipped_end] = _roots(points, last[~clipped_end], "margin", tracks, frames)
    run = np.repeat(np.arange(len(first)), last - first + 1)
    inside = np.flatnonzero(visible)
    highest = inside[_first_largest(points.sight.margin[inside], run)]
    closest = inside[_first_largest(-points.sight.slant_range_km[inside], run)]
    passes = Passes(
        points.satellite[first], points.site[first], rise_s, points.time_s[highest],
        points.time_s[closest], set_s, clipped_start, clipped_end,
    )  # fmt: skip
    # A touch of the mask at a single instant is no window.
    return passes.where(set_s > rise_s)


def _sampled(tracks: Tracks, frames: SiteFrames) -> _Points:
    satellite, site, sample = candidate_samples(tracks, frames)
    seen = sight(tracks.state[satellite, sample], frames, site)
    same_pair = (np.diff(satellite) == 0) & (np.diff(site) == 0)
    linked = np.append(same_pair & (np.diff(sample) == 1), False)[: len(sample)]
    return _Points(satellite, site, tracks.time_s[sample], seen, linked)


def _with_turning_points(points: _Points, tracks: Tracks, frames: SiteFrames) -> _Points:
    """Insert the extrema of elevation, and the closest approaches of passes."""
    rate, visible = points.sight.margin_rate_per_s, points.visible
    here = np.flatnonzero(points.linked)
    peak = (rate[here] > 0) & (rate[here + 1] <= 0)
    dip = (rate[here] < 0) & (rate[here + 1] >= 0) & visible[here] & visible[here + 1]
    approach = (points.sight.range_rate_km_s[here] < 0) & (
        points.sight.range_rate_km_s[here + 1] >= 0
    )
    approach &= peak | visible[here] | visible[here + 1]
    turning, nearest = here[peak | dip], here[approach]
    left = np.concatenate([turning, nearest])
    time_s = np.concatenate([
        _roots(points, turning, "margin_rate_per_s", tracks, frames),
        _roots(points, nearest, "range_rate_km_s", tracks, frames),
    ])  # fmt: skip
    return _inserted(points, left, time_s, tracks, frames)


def _inserted(
    points: _Points, left: IntArray, time_s: FloatArray, tracks: Tracks, frames: SiteFrames
) -> _Points:
    """`points` with new ones at `time_s`, each after the point `left`."""
    order = np.lexsort((time_s, left))
    left, time_s = left[order], time_s[order]
    satellite, site = points.satellite[left], points.site[left]
    new = sight(tracks.states(satellite, time_s), frames, site)
    old = points.sight
    return _Points(
        np.insert(points.satellite, left + 1, satellite),
        np.insert(points.site, left + 1, site),
        np.insert(points.time_s, left + 1, time_s),
        Sight(
            np.insert(old.margin, left + 1, new.margin),
            np.insert(old.margin_rate_per_s, left + 1, new.margin_rate_per_s),
            np.insert(old.slant_range_km, left + 1, new.slant_range_km),
            np.insert(old.range_rate_km_s, left + 1, new.range_rate_km_s),
        ),
        np.insert(points.linked, left + 1, True),
    )


def _roots(
    points: _Points,
    left: IntArray,
    quantity: Literal["margin", "margin_rate_per_s", "range_rate_km_s"],
    tracks: Tracks,
    frames: SiteFrames,
) -> FloatArray:
    """Times between each point `left` and the next at which the quantity is zero."""
    satellite, site = points.satellite[left], points.site[left]

    def value(which: IntArray, time_s: FloatArray) -> FloatArray:
        seen = sight(tracks.states(satellite[which], time_s), frames, site[which])
        values: FloatArray = getattr(seen, quantity)
        return values

    known: FloatArray = getattr(points.sight, quantity)
    return bracketed_roots(
        value, points.time_s[left], points.time_s[left + 1], known[left], known[left + 1],
        _TOLERANCE_S,
    )  # fmt: skip


def _first_largest(values: FloatArray, run: IntArray) -> IntArray:
    """Index of the largest value of each run (the first of equals); `run` is sorted."""
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    if not starts.size:
        return starts
    at_best = np.flatnonzero(values == np.maximum.reduceat(values, starts)[run])
    return at_best[np.flatnonzero(np.diff(run[at_best], prepend=-1))]
