"""Points of devices in passes at which rates are looked at, in flat arrays.

Rows are devices in passes; points are sorted by row and there by time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from orbit.contact_views import ContactViews


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
    not lie between two of them has a point in its middle. Without these no point is cut, and all
    are moved.
    """

    rows: Ints
    points: Ints
    time_s: Floats
    elevation_deg: Floats
    slant_range_m: Floats
    step_s: Floats
    inner: Mask | None = None
    middles: Middles | None = None

    @cached_property
    def first(self) -> Ints:
        """First point (R,) of each row."""
        first: Ints = np.cumsum(self.points) - self.points
        return first

    @cached_property
    def row(self) -> Ints:
        """The row (P,) of the views that each point is of."""
        return np.repeat(self.rows, self.points)

    @cached_property
    def every(self) -> tuple[Floats, Ints, Ints]:
        """Times of all points with the middles, and where there the points and the middles are."""
        assert self.middles is not None  # who has none has its points
        width = np.ones(len(self.time_s), np.int64)
        width[self.middles.cell] = 2
        place = np.cumsum(width) - width
        inside = place[self.middles.cell] + 1
        return interleaved(self.time_s, self.middles.time_s, place, inside), place, inside

    @property
    def every_s(self) -> Floats:
        """Times of all points with the middles."""
        return self.time_s if self.middles is None else self.every[0]

    @cached_property
    def every_points(self) -> Ints:
        """Points (R,) of each row with its middles."""
        if self.middles is None:
            return self.points
        within = np.searchsorted(self.middles.cell, np.cumsum(self.points))
        return np.diff(within, prepend=0) + self.points

    def of(self, some: Mask) -> Grid:
        """Those of some rows (R,)."""
        if some.all():
            return self
        here = np.repeat(some, self.points)
        points = self.time_s[here], self.elevation_deg[here], self.slant_range_m[here]
        grid = Grid(self.rows[some], self.points[some], *points, self.step_s[some])
        if self.middles is None or self.inner is None:
            return grid
        cell, *seen = (x[here[self.middles.cell]] for x in vars(self.middles).values())
        middles = Middles((np.cumsum(here) - 1)[cell], *seen)
        return replace(grid, inner=self.inner[here], middles=middles)


def cut_grid(
    views: ContactViews, rows: Ints, points: Ints, seen: tuple[Floats, Floats, Floats],
    step_s: Floats, inner: Mask,
) -> Grid:  # fmt: skip
    """A grid whose times, elevations and ranges (P,) are cut, with the middles of its cells."""
    between = inner[:-1] & inner[1:]
    between[np.cumsum(points)[:-1] - 1] = True
    cell = np.flatnonzero(~between)
    time_s = (seen[0][cell] + seen[0][cell + 1]) / 2
    elevation_deg, range_km = views.place(np.repeat(rows, points)[cell], time_s)
    middles = Middles(cell, time_s, elevation_deg, range_km * 1e3)
    return Grid(rows, points, *seen, step_s, inner, middles)


def interleaved(values: Floats, middle: Floats, place: Ints, inside: Ints) -> Floats:
    """Values at points and in the middles, in order of time."""
    both = np.empty(len(values) + len(middle))
    both[place], both[inside] = values, middle
    return both
