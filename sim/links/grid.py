"""Points of devices in passes at which rates are evaluated, in flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from orbit.contact_views import ContactViews
from statements.arrays import Floats, Ints, Mask


class SeenPoints(NamedTuple):
    """Points (P,) in flat arrays: times, and where devices see their satellites then."""

    time_s: Floats
    elevation_deg: Floats
    slant_range_m: Floats


@dataclass(frozen=True, eq=False)
class Middles:
    """Points (M,) in the middle of cells, which begin at points ``cell`` (M,) of a grid."""

    cell: Ints
    time_s: Floats
    elevation_deg: Floats
    slant_range_m: Floats


@dataclass(frozen=True, eq=False)
class Grid:
    """Points (P,) of R rows: ``rows`` of the views, rising, with so many ``points`` (R,) each.

    They are ``step_s`` (R,) apart but for those that are cut to a row's first or last one. The rate
    at ``inner`` points (P,) is moved for the bits of the cells beside them; every cell that does
    not lie between two of them has a point in its middle.
    """

    rows: Ints
    points: Ints
    time_s: Floats
    elevation_deg: Floats
    slant_range_m: Floats
    step_s: Floats
    inner: Mask
    middles: Middles

    @cached_property
    def first(self) -> Ints:
        """First point (R,) of each row."""
        return np.cumsum(self.points) - self.points

    @cached_property
    def row(self) -> Ints:
        """The row (P,) of the views that each point is of."""
        return np.repeat(self.rows, self.points)

    @cached_property
    def every(self) -> tuple[Floats, Ints, Ints]:
        """Times of all points and middles, and the indices of the points and of the middles."""
        width = np.ones(len(self.time_s), np.int64)
        width[self.middles.cell] = 2
        place = np.cumsum(width) - width
        inside = place[self.middles.cell] + 1
        return interleaved(self.time_s, self.middles.time_s, place, inside), place, inside

    @property
    def every_s(self) -> Floats:
        """Times of all points with the middles."""
        return self.every[0]

    @cached_property
    def every_points(self) -> Ints:
        """Points (R,) of each row with its middles."""
        within = np.searchsorted(self.middles.cell, np.cumsum(self.points))
        return np.diff(within, prepend=0) + self.points

    def of(self, some: Mask) -> Grid:
        """Return the grid of some rows (R,)."""
        if some.all():
            return self
        kept = np.repeat(some, self.points)
        in_kept = kept[self.middles.cell]
        middles = Middles(
            cell=(np.cumsum(kept) - 1)[self.middles.cell[in_kept]],
            time_s=self.middles.time_s[in_kept],
            elevation_deg=self.middles.elevation_deg[in_kept],
            slant_range_m=self.middles.slant_range_m[in_kept],
        )
        return Grid(
            rows=self.rows[some],
            points=self.points[some],
            time_s=self.time_s[kept],
            elevation_deg=self.elevation_deg[kept],
            slant_range_m=self.slant_range_m[kept],
            step_s=self.step_s[some],
            inner=self.inner[kept],
            middles=middles,
        )


def cut_grid(
    views: ContactViews, rows: Ints, points: Ints, seen: SeenPoints, step_s: Floats, inner: Mask
) -> Grid:
    """Return a grid of points that are cut, with the middles of its cells."""
    between = inner[:-1] & inner[1:]
    between[np.cumsum(points)[:-1] - 1] = True
    cell = np.flatnonzero(~between)
    time_s = (seen.time_s[cell] + seen.time_s[cell + 1]) / 2
    elevation_deg, range_km = views.place(np.repeat(rows, points)[cell], time_s)
    middles = Middles(cell, time_s, elevation_deg, range_km * 1e3)
    return Grid(
        rows=rows,
        points=points,
        time_s=seen.time_s,
        elevation_deg=seen.elevation_deg,
        slant_range_m=seen.slant_range_m,
        step_s=step_s,
        inner=inner,
        middles=middles,
    )


def interleaved(values: Floats, middle: Floats, place: Ints, inside: Ints) -> Floats:
    """Values at points and in the middles, in order of time."""
    both = np.empty(len(values) + len(middle))
    both[place] = values
    both[inside] = middle
    return both
