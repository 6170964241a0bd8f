"""One transmission to many devices: the rate of the one with the poorest link."""

from dataclasses import dataclass
from functools import cached_property, reduce
from math import inf

import numpy as np
from numpy.typing import NDArray

from channel.checks import Floats
from channel.link_curve import LinkCurve

ROUNDING = 1e-12
SAMPLES = 64

Line = tuple[Floats, Floats]
"""Times (T,), rising, and rates (T,): straight in between."""


def weakest(
    curve: LinkCurve, who: NDArray[np.bool_], span_s: tuple[float, float] = (-inf, inf)
) -> LinkCurve:
    """The curves (K rows) of a broadcast to the devices in `who` (K,) within a span of time.

    At every time it has the lowest rate of those devices, so that it lasts while all of them have a
    link; its points are all those where the lowest rate bends, changes from device to device or
    jumps. Devices whose link carries nothing at all within the span are left out, and get 0, like
    those not in `who`.
    """
    members = who & (_carried_bits(curve, span_s) > 0)
    time, rate = curve.time_s[members], curve.rate_bps[members]
    start_s, end_s = time[:, 0].max(initial=span_s[0]), time[:, -1].min(initial=span_s[1])
    if not (members.any() and start_s < end_s):
        return LinkCurve(curve.time_s, np.zeros_like(curve.rate_bps))
    # A repeated time, which is a jump, becomes two that follow each other.
    again = time[:, 1:] == time[:, :-1]
    if again.any():
        early = np.nextafter(time[:, :-1], -inf)
        time = np.concatenate([np.where(again, early, time[:, :-1]), time[:, -1:]], axis=1)
    grid_s, lowest = _lowest(_Rows(time, rate, start_s, end_s))
    return LinkCurve(np.tile(grid_s, (len(who), 1)), np.where(members[:, None], lowest, 0.0))


def _carried_bits(curve: LinkCurve, span_s: tuple[float, float]) -> Floats:
    """Bits (K,) that each row carries within a span."""
    if span_s[0] <= curve.time_s[:, 0].min() and curve.time_s[:, -1].max() <= span_s[1]:
        return curve.capacity_bits
    return curve.delivered_bits(span_s[1]) - curve.delivered_bits(span_s[0])


@dataclass(frozen=True, eq=False)
class _Rows:
    """Lines (K, T) over the time from ``start_s`` to ``end_s``; many times may be those of all."""

    time_s: Floats
    rate_bps: Floats
    start_s: float
    end_s: float

    @cached_property
    def shared(self) -> NDArray[np.bool_]:
        """Columns (T,) of times inside that all rows have in common."""
        first = self.time_s[0]
        same = (self.time_s == first).all(axis=0)
        return np.asarray(same & (first > self.start_s) & (first < self.end_s))

    @cached_property
    def rounding_bps(self) -> float:
        """How far rounding may put a row below a line."""
        return ROUNDING * float(self.rate_bps.max())

    def line(self, k: int) -> Line:
        time_s = self.time_s[k]
        inner = np.unique(time_s[(time_s > self.start_s) & (time_s < self.end_s)])
        grid_s = np.concatenate([[self.start_s], inner, [self.end_s]])
        return grid_s, np.interp(grid_s, time_s, self.rate_bps[k])

    def at(self, when_s: Floats) -> Floats:
        """Rates of all rows (K, W) at some times (W,)."""
        cell = np.clip(np.searchsorted(self.time_s[0], when_s) - 1, 0, self.time_s.shape[1] - 2)
        if self.shared[cell].all() and self.shared[cell + 1].all():  # many times quicker
            first_s = self.time_s[0, cell]
            share = (when_s - first_s) / (self.time_s[0, cell + 1] - first_s)
            first = self.rate_bps[:, cell]
            there: Floats = first + share * (self.rate_bps[:, cell + 1] - first)
            return there
        rows = zip(self.time_s, self.rate_bps, strict=True)
        return np.array([np.interp(when_s, *row) for row in rows])

    def lowest_somewhere(self) -> NDArray[np.intp]:
        """Rows with the minimum at some shared (or sampled) time: candidates for the envelope."""
        if self.shared.any():
            return np.unique(self.rate_bps[:, self.shared].argmin(axis=0))
        return np.unique(self.at(np.linspace(self.start_s, self.end_s, SAMPLES)).argmin(axis=0))

    def below(self, line: Line) -> NDArray[np.intp]:
        """Rows that are below a line at points of theirs or of the line: the deepest of each cell.

        If there are none, no row is below it anywhere, as all are straight in between.
        """
        shared, own = np.flatnonzero(self.shared), np.flatnonzero(~self.shared)
        common_s, own_s = self.time_s[0, shared], self.time_s[:, own]
        inside = (own_s > self.start_s) & (own_s < self.end_s)
        there = np.interp(own_s, *line) - self.rate_bps[:, own]
        depth = np.interp(common_s, *line) - self.rate_bps[:, shared]
        at_s = np.broadcast_to(common_s, depth.shape)
        found = np.append(
            self._deepest(line, at_s, depth),
            self._deepest(line, own_s, np.where(inside, there, 0.0)),
        )
        if found.size:
            return np.unique(found)
        next_s = np.append(common_s, inf)[np.searchsorted(common_s, line[0])]
        rest_s = line[0][next_s > line[0]]
        inner = (rest_s > common_s.min(initial=inf)) & (rest_s < common_s.max(initial=-inf))
        for some_s in (rest_s[inner], rest_s[~inner]):
            depth = np.interp(some_s, *line) - self.at(some_s)
            found = self._deepest(line, np.broadcast_to(some_s, depth.shape), depth)
            if found.size:
                break
        return found

    def _deepest(self, line: Line, at_s: Floats, depth: Floats) -> NDArray[np.intp]:
        """Of the rows below a line those that are deepest in one of its cells."""
        at = np.nonzero(depth > self.rounding_bps)
        if not at[0].size:
            return at[0]
        order = np.argsort(depth[at])
        deepest = np.full(len(line[0]) + 1, -1)
        # Of several rows in one cell the last one stays.
        deepest[np.searchsorted(line[0], at_s[at])[order]] = at[0][order]
        return np.unique(deepest[deepest >= 0])


def _lowest(rows: _Rows) -> Line:
    """The lower envelope: that of some candidates, and of rows that are below it after all.

    For 500 rows this takes a sixth of the time that the minimum of all rows in turn takes.
    """
    found = reduce(_lower, map(rows.line, rows.lowest_somewhere().tolist()))
    while (deeper := rows.below(found)).size:
        found = reduce(_lower, map(rows.line, deeper.tolist()), found)
    return found


def _lower(one: Line, other: Line) -> Line:
    """The minimum of two lines over the same time, without points at which it does not bend."""
    every_s = np.union1d(one[0], other[0])
    above = np.interp(every_s, *one) - np.interp(every_s, *other)
    cells = np.flatnonzero(above[:-1] * above[1:] < 0)
    share = above[cells] / (above[cells] - above[cells + 1])
    meet_s = every_s[cells] + share * (every_s[cells + 1] - every_s[cells])
    # Both sides of a crossing stay, as the place of one inside a jump is known to rounding only.
    kept = np.zeros(len(every_s), bool)
    kept[[0, -1]] = kept[cells] = kept[cells + 1] = True
    for line, side in ((one, above <= 0), (other, above >= 0)):
        own = np.searchsorted(every_s, line[0])
        kept[own] |= side[own]
    grid_s = np.union1d(every_s[kept], meet_s) if cells.size else every_s[kept]
    return grid_s, np.minimum(np.interp(grid_s, *one), np.interp(grid_s, *other))
