"""Passes of satellites over places, and the points at which their devices see them.

Rows are devices in passes; points are sorted by row and there by time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from math import ceil
from typing import NamedTuple

import numpy as np

import orbit
from channel import Path, doppler_hz
from channel.link_curve import between_smooth_cells
from orbit.contact_views import ContactViews, contact_views
from orbit.look_angles import elevation_and_range
from orbit.sites import SiteFrames, site_frames
from sim.links.beam import Radios
from statements.arrays import Floats, Ints, Mask, stretches

GRID_S_PER_KM = 6.0 / 600.0
"""Spacing of a link curve's points over the shortest range: the nearer a satellite passes, the
faster its link changes. Transfers then end within 0.3 ms of the exact time."""
FINE_GRID_S_PER_KM = 4.0 / 600.0
"""The same in an environment, which may take nearly all of a device's rate away: the bits sent
until then must be more exact."""
NEAREST_KM = 150.0
"""Shorter ranges have the spacing of this one."""
FARTHEST_KM = 1800.0
"""Longer ranges have the spacing of this one."""
LEAST_POINTS = 40
"""Points of a short contact."""
MOST_POINTS = 1000
"""Points of a contact of some hours: on a high orbit links change that much slower."""


def grid_step_s(
    nearest_km: float | Floats, lasts_s: float | Floats, *, fine: bool
) -> float | Floats:
    """Spacing of the points of contacts' link curves, at most; ``fine`` in an environment."""
    near_km = np.minimum(np.maximum(nearest_km, NEAREST_KM), FARTHEST_KM)
    step_s = near_km * (FINE_GRID_S_PER_KM if fine else GRID_S_PER_KM)
    widest_s: float | Floats = np.minimum(step_s, lasts_s / LEAST_POINTS)
    return np.maximum(widest_s, lasts_s / MOST_POINTS)


@dataclass(frozen=True, eq=False)
class GroundPlace:
    """A cluster on the ground: its centre, its devices (K), and the radios of all of these.

    A device's own mask wins over ``min_elevation_deg``.
    """

    centre: orbit.Site
    devices: Sequence[orbit.Site]
    min_elevation_deg: float
    radios: Radios

    @cached_property
    def frames(self) -> tuple[SiteFrames, SiteFrames]:
        """Local frames of the devices, and of the centre."""
        sites = self.devices, [self.centre]
        devices, centre = (site_frames(some, self.min_elevation_deg) for some in sites)
        return devices, centre


@dataclass(frozen=True, eq=False)
class Pass:
    """A satellite over a place, and each device's draws.

    No device is nearer to the satellite than ``nearest_km``.
    """

    satellite: orbit.Satellite
    place: GroundPlace
    rise_s: float
    set_s: float
    nearest_km: float
    path: Path

    @cached_property
    def step_s(self) -> float:
        """Spacing of its points, at most."""
        fine = self.place.radios[0].link.environment is not None
        return float(grid_step_s(self.nearest_km, self.set_s - self.rise_s, fine=fine))

    @property
    def columns(self) -> int:
        """Even times from rise to set."""
        return ceil((self.set_s - self.rise_s) / self.step_s) + 1

    @property
    def points(self) -> int:
        """About how many points all devices have in both directions, before those of jumps."""
        return 2 * self.columns * len(self.place.devices)


class PassGeometry:
    """What the devices of P passes of one plan see: rows are devices in passes.

    ``grid`` are even times of all devices of a pass from its rise to its set, cut to each one's AOS
    and LOS. ``seen`` says of each row whether its device sees the satellite at all. ``doppler_hz``
    (P, 2) is the largest shift over the centre, and for a device against the centre's.
    """

    def __init__(self, passes: Sequence[Pass], start: datetime) -> None:
        """Look at at least one pass; all are of one plan."""
        places = list({id(p.place): p.place for p in passes}.values())
        numbers = {id(place): number for number, place in enumerate(places)}
        place = np.array([numbers[id(p.place)] for p in passes])
        rise_s, set_s = np.array([(p.rise_s, p.set_s) for p in passes]).T
        points: Ints = np.array([p.columns for p in passes])
        frames = [some.frames[which] for which in (0, 1) for some in places]
        satellites = [p.satellite for p in passes]
        views = contact_views(satellites, start, rise_s, set_s, frames, place, points)
        self.views = views
        self.devices: Ints = np.bincount(views.contact, minlength=len(passes))
        self.first_row: Ints = np.cumsum(self.devices) - self.devices
        self.seen: Mask = views.los_s > views.aos_s
        self.steps_s: Floats = (set_s - rise_s) / (points - 1)
        frequency_hz = np.array([p.place.radios[0].link.frequency_hz for p in passes])
        centre = sum(len(some.devices) for some in places) + place
        shifts = doppler_hz(self._fastest_km_s(centre), frequency_hz[:, None])
        self.doppler_hz: Floats = -shifts

    def block(self, number: int, grid: Grid, values: Floats) -> Floats:
        """The values (K, T) of one pass at a grid of all rows: a view."""
        row = self.first_row[number]
        devices = self.devices[number]
        first = grid.first[row]
        points = grid.points[row]
        return values[first : first + devices * points].reshape(devices, points)

    @cached_property
    def _column(self) -> Ints:
        """Index of each point in the even times of all passes."""
        points = self.views.even.points
        first = np.repeat(np.cumsum(points) - points, self.devices)
        return stretches(first, np.repeat(points, self.devices))[1]

    @cached_property
    def _edges(self) -> Floats:
        """Elevations, ranges and their rates (3, 2 R) of all rows at AOS, and then at LOS."""
        row = np.tile(np.arange(len(self.seen)), 2)
        return self.views.look(row, np.concatenate([self.views.aos_s, self.views.los_s]))

    @cached_property
    def grid(self) -> Grid:
        """Points of all rows."""
        views = self.views
        even = self.views.even
        each = np.repeat(even.points, self.devices)
        time_s = even.time_s[self._column]
        early = np.flatnonzero(time_s < np.repeat(views.aos_s, each))
        late = np.flatnonzero(time_s > np.repeat(views.los_s, each))
        rows = np.arange(len(each))
        edges = self._edges
        range_m = even.slant_range_km * 1e3
        ends = np.cumsum(each)
        elevation_deg = even.elevation_deg.copy()
        for place, shift, edge_s in ((early, 0, views.aos_s), (late, len(rows), views.los_s)):
            row = np.searchsorted(ends, place, "right")
            time_s[place] = edge_s[row]
            elevation_deg[place] = edges[0][row + shift]
            range_m[place] = edges[1][row + shift] * 1e3
        inner = self._inner()
        step_s = np.repeat(self.steps_s, self.devices)
        seen = SeenPoints(time_s, elevation_deg, range_m)
        return cut_grid(views, rows, each, seen, step_s, inner[self._column])

    def _inner(self) -> Mask:
        """Even times, of all passes, with two whole cells of all devices on either side."""
        views = self.views
        even = self.views.even
        begins = self.first_row
        latest_s = np.maximum.reduceat(np.where(self.seen, views.aos_s, -np.inf), begins)
        earliest_s = np.minimum.reduceat(np.where(self.seen, views.los_s, np.inf), begins)
        whole = even.time_s >= np.repeat(latest_s, even.points)
        whole &= even.time_s <= np.repeat(earliest_s, even.points)
        ends = np.cumsum(even.points) - 1
        cell = whole.copy()
        cell[:-1] &= whole[1:]
        cell[ends] = False
        return between_smooth_cells(cell)

    def _fastest_km_s(self, centre: Ints) -> Floats:
        """Largest range rates (P, 2): over the centre, and of a device against the centre's.

        At the even times, AOS and LOS: right to about a tenth of a percent.
        """
        views = self.views
        even = self.views.even
        over_km_s = elevation_and_range(
            even.states.T, views.frames, np.repeat(centre, even.points)
        )[2]
        first = np.cumsum(even.points) - even.points
        fastest_km_s = np.maximum.reduceat(np.abs(over_km_s), first)
        left_km_s = even.range_rate_km_s - over_km_s[self._column]
        np.abs(left_km_s, out=left_km_s)
        left_km_s *= even.above_mask_km >= 0
        begins = np.cumsum(self.devices * even.points) - self.devices * even.points
        most_km_s = np.maximum.reduceat(left_km_s, begins)
        contact = np.tile(views.contact, 2)
        edges_s = np.concatenate([views.aos_s, views.los_s])
        state = views.tracks.state(contact, edges_s).T
        left_km_s = self._edges[2] - elevation_and_range(state, views.frames, centre[contact])[2]
        at_edges = np.abs(left_km_s).reshape(2, -1).max(axis=0) * self.seen
        most_km_s = np.maximum(most_km_s, np.maximum.reduceat(at_edges, self.first_row))
        return np.stack([fastest_km_s, most_km_s], axis=1)


# Points of devices in passes at which rates are evaluated, in flat arrays.


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
