"""Passes above a horizon whose elevation depends on the azimuth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from orbit.look_angles import looks_from
from orbit.passes import SHORTEST_S, Passes, first_largest
from orbit.propagation import Source
from orbit.roots import peaks, roots
from orbit.sites import Horizon, SiteFrames
from orbit.windows import groups
from statements.arrays import Floats, Ints, Mask, stretches

# Samples of a pass in each step of its ephemeris: between two of them the elevation over the
# horizon has one extremum at most, but for kinks, which become samples.
_FINER = 24
_LEAST = 12
# An azimuth that turns further between two samples is looked at more closely.
_TURN_DEG = 15.0
# Down to this time between samples.
_SHORTEST_S = 1e-4
# Edges are right to this, far below a millisecond.
_EDGE_S = 1e-7
# Peaks and dips are right to this: there an elevation changes by nothing.
_PEAK_S = 5e-5
_DERIVATIVE_S = 1e-3


def above_horizons(passes: Passes, source: Source, frames: SiteFrames, step_s: Floats) -> Passes:
    """Passes over the lowest elevation of each site's horizon, cut to where they are above it.

    A pass may become several, or none. `step_s` (N,) are the steps of an ephemeris of each
    satellite. Sites without a horizon keep their passes.
    """
    sites, of = np.unique(passes.site, return_inverse=True)
    masked = np.array([frames.horizons[site] is not None for site in sites.tolist()], bool)
    which = masked[of]
    if not which.any():
        return passes
    cut = _Above(passes.where(which), source, frames, step_s).pieces()
    together = [passes.where(~which), cut]
    columns = {
        name.name: np.concatenate([getattr(some, name.name) for some in together])
        for name in fields(Passes)
    }
    order = np.lexsort((columns["rise_s"], columns["satellite"], columns["site"]))
    return Passes(**{name: column[order] for name, column in columns.items()})


@dataclass(frozen=True)
class _Nodes:
    """Times in passes (by `row`), sorted, with what is seen then; arrays of one length."""

    row: Ints
    time_s: Floats
    elevation_deg: Floats
    azimuth_deg: Floats
    range_km: Floats
    over_deg: Floats

    def with_(self, more: "_Nodes") -> "_Nodes":
        """These and more of them."""
        both = [
            np.concatenate([getattr(self, f.name), getattr(more, f.name)]) for f in fields(_Nodes)
        ]
        order = np.lexsort((both[1], both[0]))
        return _Nodes(*(column[order] for column in both))

    @property
    def intervals(self) -> Ints:
        """The first of each two nodes of one pass that follow each other."""
        return np.flatnonzero(self.row[1:] == self.row[:-1])


class _Above:
    """Cuts passes, all of sites with a horizon."""

    def __init__(self, passes: Passes, source: Source, frames: SiteFrames, step_s: Floats) -> None:
        self._passes = passes
        self._source = source
        self._frames = frames
        self._horizons: Sequence[Horizon | None] = frames.horizons
        self._finest_s = step_s[passes.satellite] / _FINER

    def pieces(self) -> Passes:
        """What of the passes is above the horizons."""
        nodes = self._even()
        nodes = self._where_azimuth_turns(nodes)
        nodes = self._with_kinks(nodes)
        nodes = self._with_extrema(nodes)
        return self._cut(nodes)

    def _look(self, row: Ints, time_s: Floats) -> _Nodes:
        states = self._source.states(self._passes.satellite[row], time_s)
        site = self._passes.site[row]
        seen = looks_from(states, self._frames, site)
        mask_deg = np.zeros(len(row))
        for number, here in enumerate(groups(site, len(self._horizons))):
            horizon = self._horizons[number]
            if horizon is not None and here.size:
                mask_deg[here] = horizon.at(seen.azimuth_deg[here])
        over_deg = seen.elevation_deg - mask_deg
        return _Nodes(
            row, time_s, seen.elevation_deg, seen.azimuth_deg, seen.slant_range_km, over_deg
        )

    def _over(self, row: Ints, time_s: Floats) -> Floats:
        return self._look(row, time_s).over_deg

    def _even(self) -> _Nodes:
        passes = self._passes
        lasts_s = passes.set_s - passes.rise_s
        count = np.maximum(np.ceil(lasts_s / self._finest_s).astype(np.int64), _LEAST) + 1
        row, number = stretches(np.zeros_like(count), count)
        time_s = passes.rise_s[row] + lasts_s[row] * (number / (count[row] - 1))
        return self._look(row, np.minimum(time_s, passes.set_s[row]))

    def _where_azimuth_turns(self, nodes: _Nodes) -> _Nodes:
        """Add times in the middle where the azimuth turns quickly: near the zenith."""
        while True:
            left = nodes.intervals
            turn_deg = np.abs(_turn(nodes.azimuth_deg[left], nodes.azimuth_deg[left + 1]))
            lasts_s = nodes.time_s[left + 1] - nodes.time_s[left]
            left = left[(turn_deg > _TURN_DEG) & (lasts_s > _SHORTEST_S)]
            if not left.size:
                return nodes
            middle_s = 0.5 * (nodes.time_s[left] + nodes.time_s[left + 1])
            nodes = nodes.with_(self._look(nodes.row[left], middle_s))

    def _with_kinks(self, nodes: _Nodes) -> _Nodes:
        """Add the times at which the azimuth is that of a point of the horizon."""
        left = nodes.intervals
        azimuth_deg = nodes.azimuth_deg[left]
        turn_deg = _turn(azimuth_deg, nodes.azimuth_deg[left + 1])
        low = np.minimum(azimuth_deg, azimuth_deg + turn_deg)
        high = np.maximum(azimuth_deg, azimuth_deg + turn_deg)
        intervals, knots = [], []
        for number, here in enumerate(groups(self._passes.site[nodes.row[left]])):
            horizon = self._horizons[number]
            if horizon is None or not here.size:
                continue
            once = np.array(horizon.azimuth_deg)
            around = np.concatenate([once - 360.0, once, once + 360.0])
            first = np.searchsorted(around, low[here], side="right")
            count = np.searchsorted(around, high[here], side="left") - first
            count = np.maximum(count, 0)
            which, knot = stretches(first, count)
            intervals.append(left[here[which]])
            knots.append(around[knot])
        if not intervals:
            return nodes
        at = np.concatenate(intervals)
        knot_deg = np.concatenate(knots)
        row = nodes.row[at]

        def past_knot(which: Ints, time_s: Floats) -> Floats:
            seen = self._look(row[which], time_s)
            return _turn(knot_deg[which], seen.azimuth_deg)

        ends_s = nodes.time_s[at], nodes.time_s[at + 1]
        begin_deg, end_deg = nodes.azimuth_deg[at], nodes.azimuth_deg[at + 1]
        past_deg = _turn(knot_deg, begin_deg), _turn(knot_deg, end_deg)
        time_s = roots(past_knot, ends_s, past_deg, _EDGE_S)
        inner = (time_s > nodes.time_s[at]) & (time_s < nodes.time_s[at + 1])
        return nodes.with_(self._look(row[inner], time_s[inner]))

    def _with_extrema(self, nodes: _Nodes) -> _Nodes:
        """Add the highest and lowest times between nodes that may hide two crossings."""
        left = nodes.intervals
        begin_s, end_s = nodes.time_s[left], nodes.time_s[left + 1]
        above = nodes.over_deg >= 0
        same = (above[left] == above[left + 1]) & (end_s - begin_s > 4 * _DERIVATIVE_S)
        left, begin_s, end_s = left[same], begin_s[same], end_s[same]
        row = nodes.row[left]
        in_view = above[left]  # dips where it is in view, else peaks
        climb = self._over(row, begin_s + _DERIVATIVE_S) - nodes.over_deg[left]
        fall = nodes.over_deg[left + 1] - self._over(row, end_s - _DERIVATIVE_S)
        turns = np.where(in_view, (climb < 0) & (fall > 0), (climb > 0) & (fall < 0))
        row, begin_s, end_s = row[turns], begin_s[turns], end_s[turns]

        def climbs(which: Ints, begin_s: Floats) -> Floats:
            later = self._over(row[which], begin_s + _DERIVATIVE_S)
            return later - self._over(row[which], begin_s)

        ends_s = begin_s, end_s - _DERIVATIVE_S
        time_s = roots(climbs, ends_s, (climb[turns], fall[turns]), _PEAK_S)
        return nodes.with_(self._look(row, time_s + 0.5 * _DERIVATIVE_S))

    def _cut(self, nodes: _Nodes) -> Passes:
        passes = self._passes
        above = nodes.over_deg >= 0
        left = nodes.intervals
        crosses = left[above[left] != above[left + 1]]
        both = crosses, crosses + 1
        crossed_s = roots(
            lambda which, time_s: self._over(nodes.row[crosses[which]], time_s),
            (nodes.time_s[both[0]], nodes.time_s[both[1]]),
            (nodes.over_deg[both[0]], nodes.over_deg[both[1]]),
            _EDGE_S,
        )
        rises = above[crosses + 1]
        ends = (
            np.append(nodes.row[1:] != nodes.row[:-1], True)
            if len(nodes.row)
            else np.zeros(0, bool)
        )
        begins = np.append(True, ends[:-1]) if len(ends) else ends

        def in_order(crossed: Mask, uncut: Mask) -> tuple[Ints, Floats, Mask]:
            """Rows, times, and whether the pass itself ends there, of one end of all pieces."""
            row = np.append(nodes.row[crosses[crossed]], nodes.row[uncut])
            time_s = np.append(crossed_s[crossed], nodes.time_s[uncut])
            whole = np.arange(len(row)) >= np.count_nonzero(crossed)
            order = np.lexsort((time_s, row))
            return row[order], time_s[order], whole[order]

        row, rise_s, whole_start = in_order(rises, begins & above)
        _, set_s, whole_end = in_order(~rises, ends & above)
        lasts = set_s - rise_s >= SHORTEST_S
        row, rise_s, set_s = row[lasts], rise_s[lasts], set_s[lasts]
        top_s, top_deg, peaks, closest_s = self._tops(nodes, row, rise_s, set_s)
        return Passes(
            satellite=passes.satellite[row],
            site=passes.site[row],
            rise_s=rise_s,
            culminate_s=top_s,
            sin_elevation=np.sin(np.radians(top_deg)),
            closest_s=closest_s,
            farthest_s=rise_s,
            set_s=set_s,
            culminations=peaks,
            clipped_start=whole_start[lasts] & passes.clipped_start[row],
            clipped_end=whole_end[lasts] & passes.clipped_end[row],
        )

    def _tops(
        self, nodes: _Nodes, row: Ints, rise_s: Floats, set_s: Floats
    ) -> tuple[Floats, Floats, Ints, Floats]:
        """When each piece is highest, how high, its culminations, and when it is closest."""
        passes = self._passes
        edges = [self._look(row, time_s) for time_s in (rise_s, set_s)]
        high = np.argmax([edge.elevation_deg for edge in edges], axis=0)
        every = np.arange(len(row))
        top_s = np.array([rise_s, set_s])[high, every]
        top_deg = np.array([edge.elevation_deg for edge in edges])[high, every]
        piece, peak_s, peak_deg = self._peaks(
            nodes, lambda seen: seen.elevation_deg, row, rise_s, set_s
        )
        culminations = np.bincount(piece, minlength=len(row))
        best = first_largest(peak_deg, piece)
        higher = peak_deg[best] > top_deg[piece[best]]
        top_s[piece[best][higher]] = peak_s[best][higher]
        top_deg[piece[best][higher]] = peak_deg[best][higher]
        closest_s = rise_s.copy()
        piece, near_s, nearness_km = self._peaks(
            nodes, lambda seen: -seen.range_km, row, rise_s, set_s
        )
        best = first_largest(nearness_km, piece)
        closest_s[piece[best]] = near_s[best]
        known = passes.closest_s[row]
        inside = (known > rise_s) & (known < set_s)
        return top_s, top_deg, culminations, np.where(inside, known, closest_s)

    def _peaks(
        self,
        nodes: _Nodes,
        value: Callable[[_Nodes], Floats],
        row: Ints,
        rise_s: Floats,
        set_s: Floats,
    ) -> tuple[Ints, Floats, Floats]:
        """Peaks of a value inside of pieces: the piece, when it is, and the value there."""
        # They lie beside samples that are higher than both neighbours.
        height = value(nodes)
        inner = nodes.intervals[1:]
        inner = inner[nodes.row[inner - 1] == nodes.row[inner]] if len(inner) else inner
        top = inner[(height[inner] > height[inner - 1]) & (height[inner] >= height[inner + 1])]
        peak_s = peaks(
            lambda which, time_s: value(self._look(nodes.row[top[which]], time_s)),
            _around(top, nodes.time_s), _around(top, height), _PEAK_S,
        )  # fmt: skip
        piece = _piece_of(nodes.row[top], peak_s, row, rise_s, set_s)
        found = piece >= 0
        at = self._look(nodes.row[top[found]], peak_s[found])
        return piece[found], peak_s[found], value(at)


def _around(node: Ints, column: Floats) -> tuple[Floats, Floats, Floats]:
    """Values at the nodes before, at and after these."""
    return column[node - 1], column[node], column[node + 1]


def _turn(from_deg: Floats, to_deg: Floats) -> Floats:
    """From one azimuth to another, the shorter way: -180 up to 180."""
    return (to_deg - from_deg + 180.0) % 360.0 - 180.0


def _piece_of(row: Ints, time_s: Floats, rows: Ints, rise_s: Floats, set_s: Floats) -> Ints:
    """The piece (sorted by row and rise) in which each time is, -1 for none."""
    order = np.lexsort((np.append(np.zeros(len(rows)), np.ones(len(row))),
                        np.append(rise_s, time_s), np.append(rows, row)))  # fmt: skip
    last = np.maximum.accumulate(np.where(order < len(rows), order, -1))
    piece = np.empty(len(order), np.int64)
    piece[order] = last
    piece = piece[len(rows) :]
    at = np.maximum(piece, 0)
    if not len(rows):
        return piece
    inside = (piece >= 0) & (rows[at] == row) & (time_s > rise_s[at]) & (time_s < set_s[at])
    return np.where(inside, piece, -1)
