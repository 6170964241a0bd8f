"""Rates along passes: sampled so that the bits of their curves are right.

Where values jump, turn or cross a level, as out of sight or to another coding, is found first.
Rows are devices in passes; the points of all rows lie in flat arrays, sorted by row and there by
time. No bit of a row depends on the other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from channel import CLEAR_PATH, Link, Path, bends_deg, rate_state, received_signal
from channel.link_curve import between_smooth_cells, bit_preserving, cell_middle_rates
from channel.signal import (
    PATH_FIELDS,
    has_zenith_kink,
    signal_after_loss,
    unchecked_loss_db,
    unchecked_rate_bps,
)
from orbit.contact_views import ContactViews, blocks
from orbit.roots import peaks, roots
from sim.links.pass_geometry import Grid, interleaved
from statements.arrays import Floats, Ints, Mask

HALVINGS = 28
"""Halvings of a cell of some seconds, down to some hundredths of a microsecond."""

ALMOST_AT_ONCE_S = 2e-6
"""Two times so close are both sides of what lies between them."""

StateAt = Callable[[Ints, Floats], Ints]
"""States (J,) of rows (J,) at times (J,)."""
ValueAt = Callable[[Ints, Floats], Floats]
"""Values (J,) of rows (J,) at times (J,)."""


def find_jumps(
    row: Ints, time_s: Floats, state: Ints, state_at: StateAt
) -> tuple[Ints, Floats, Floats]:
    """Find the changes of ``state`` (P,) between the points (P,) of each row.

    Returns the row, and the times just before and just after each of them. All changes of a cell
    are found, unless one undoes another. Cells are halved by hand: where values jump, SciPy's
    `find_root` halves too, and takes 0.58 s for the 25,000 jumps of `three-stations`, this 0.31 s.
    """
    cell = np.flatnonzero((row[1:] == row[:-1]) & (state[1:] != state[:-1]))
    cell_row = row[cell]
    start_s = time_s[cell]
    end_s = time_s[cell + 1]
    first = state[cell]
    last = state[cell + 1]
    jump_rows = [cell_row[:0]]
    before_jumps_s = [start_s[:0]]
    after_jumps_s = [start_s[:0]]
    while True:
        lasts = (first != last) & (end_s > start_s + ALMOST_AT_ONCE_S)
        cell_row, start_s, end_s, first, last = (
            x[lasts] for x in (cell_row, start_s, end_s, first, last)
        )
        if not cell_row.size:
            break
        before_s = start_s
        after_s = end_s
        for _ in range(HALVINGS):
            middle_s = (before_s + after_s) / 2
            same = state_at(cell_row, middle_s) == first
            before_s = np.where(same, middle_s, before_s)
            after_s = np.where(same, after_s, middle_s)
        jump_rows.append(cell_row)
        before_jumps_s.append(before_s)
        after_jumps_s.append(after_s)
        start_s = after_s
        first = state_at(cell_row, after_s)
    return (
        np.concatenate(jump_rows),
        np.concatenate(before_jumps_s),
        np.concatenate(after_jumps_s),
    )


CROSSING_S = 1e-7
"""To what the time of a crossing is right."""
TURN_S = 1e-3
"""To what the time of a turn is right, where the value changes by nothing."""


def turns(row: Ints, time_s: Floats, value: Floats, value_at: ValueAt) -> tuple[Ints, Floats]:
    """Rows and times of the highest and lowest of ``value`` (P,) inside each row."""
    slope = np.sign(np.diff(value))
    middle = np.flatnonzero((slope[:-1] * slope[1:] < 0) & (row[2:] == row[:-2])) + 1
    cell_row = row[middle]
    sign = slope[middle - 1]
    points = middle - 1, middle, middle + 1
    turned_s = peaks(
        lambda which, time_s: sign[which] * value_at(cell_row[which], time_s),
        (time_s[points[0]], time_s[points[1]], time_s[points[2]]),
        (sign * value[points[0]], sign * value[points[1]], sign * value[points[2]]),
        TURN_S,
    )
    return cell_row, turned_s


def crossings(
    row: Ints, time_s: Floats, value: Floats, levels: Sequence[float], value_at: ValueAt
) -> tuple[Ints, Floats]:
    """Rows and times at which ``value`` (P,) passes a level: both sides, a microsecond apart."""
    same = row[1:] == row[:-1]
    cells = [np.flatnonzero(same & _passes(value, level)) for level in levels]
    cell = np.concatenate([np.empty(0, np.intp), *cells])
    level = np.repeat(np.array(levels, float), [len(some) for some in cells])
    cell_row = row[cell]
    passed_s = roots(
        lambda which, time_s: value_at(cell_row[which], time_s) - level[which],
        (time_s[cell], time_s[cell + 1]),
        (value[cell] - level, value[cell + 1] - level),
        CROSSING_S,
    )
    ends = np.searchsorted(row, cell_row, "left"), np.searchsorted(row, cell_row, "right") - 1
    close = np.array([[-ALMOST_AT_ONCE_S / 4], [ALMOST_AT_ONCE_S / 4]])
    both = np.clip(passed_s + close, time_s[ends[0]], time_s[ends[1]])
    return np.tile(cell_row, 2), both.ravel()


def _passes(value: Floats, level: float) -> Mask:
    """Cells (P - 1,) with one end above a level."""
    above = value > level
    return above[1:] != above[:-1]


HORIZON_DEG = 1e-6
"""Just above the horizon, at and below which there is no link."""
HIGHER_DB = 1.0
"""Most that an SNR may rise between two points of a grid."""
SHORTEST_CELL_S = 1e-3
"""Shorter cells need no point in their middle."""
GAUSS = np.array([0.5 - np.sqrt(0.15), 0.5, 0.5 + np.sqrt(0.15)])
"""Shares of a cell at which Gauss' rule of three points looks: the mean is right to degree five."""
STEEP_DEG = 80.0
"""A satellite that culminates higher turns around so quickly that tables nearly have a kink."""
AROUND_TOP = np.outer([-1.0, 1.0], [0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]).ravel()
"""Further points around such a culmination, in steps of the grid."""

Times = tuple[Ints, Floats]
"""Rows, and a time in each."""

POINTS_OF_A_BLOCK = 1 << 13
"""Points whose losses are summed at a time, so that they stay in a core's own cache."""


class Sight(NamedTuple):
    """Where devices see their satellites at points (P,)."""

    elevation_deg: Floats
    slant_range_m: Floats


class Lossy(NamedTuple):
    """At which elevations points (P,) are, and what is lost between the antennas there."""

    elevation_deg: Floats
    loss_db: Floats


@dataclass(frozen=True, eq=False)
class LinkView:
    """A link whose devices see their satellites; ``path`` has a draw for each row of the views."""

    link: Link
    path: Path
    views: ContactViews

    @property
    def is_constant(self) -> bool:
        """Whether the rate does not change between its jumps."""
        return not self.link.law.follows_shannon

    @property
    def bends_deg(self) -> list[float]:
        """Elevations at which the rate has a kink."""
        return [] if self.is_constant else bends_deg(self.link).tolist()

    def look(self, row: Ints, time_s: Floats) -> Sight:
        """Where rows (P,) see their satellites at times (P,), within the contact."""
        tracks = self.views.tracks
        contact = self.views.contact[row]
        inside_s = np.clip(time_s, tracks.first_s[contact], tracks.last_s[contact])
        elevation_deg, range_km = self.views.place(row, inside_s)
        return Sight(self.above(elevation_deg), range_km * 1e3)

    def above(self, elevation_deg: Floats) -> Floats:
        """Elevations, at least the mask: AOS and LOS lie on it but for rounding."""
        return np.maximum(elevation_deg, max(self.link.min_elevation_deg, HORIZON_DEG))

    def elevation_deg(self, row: Ints, time_s: Floats) -> Floats:
        """Elevations (P,) of rows at times."""
        return self.look(row, time_s).elevation_deg

    def snr_db(self, row: Ints, time_s: Floats) -> Floats:
        """SNR (P,) of rows at times."""
        sight = self.look(row, time_s)
        path = self._path(row)
        return received_signal(self.link, sight.elevation_deg, sight.slant_range_m, path).snr_db

    def state(self, row: Ints, time_s: Floats) -> Ints:
        """States (P,) of the rate of rows at times; see ``channel.rate_state``."""
        return self.state_of(row, self.look(row, time_s))

    def state_of(self, row: Ints, sight: Sight) -> Ints:
        """States (P,) of the rate of rows where they see their satellites."""
        path = self._path(row)
        return rate_state(self.link, sight.elevation_deg, sight.slant_range_m, path)

    def lossy(self, row: Ints, sight: Sight) -> Lossy:
        """What rows lose between the antennas where they see their satellites."""
        loss_db: Floats = np.empty(len(row))
        for block in blocks(len(row), POINTS_OF_A_BLOCK):
            elevation_deg = sight.elevation_deg[block]
            range_m = sight.slant_range_m[block]
            path = self._path(row[block])
            loss_db[block] = unchecked_loss_db(self.link, elevation_deg, range_m, path)
        return Lossy(sight.elevation_deg, loss_db)

    def signal(self, row: Ints, place: Lossy) -> tuple[Floats, Floats]:
        """Rate (bit/s) and SNR (dB) of rows."""
        rate_bps: Floats = np.empty(len(row))
        snr_db: Floats = np.empty(len(row))
        width_hz = np.asarray(self.link.bandwidth_hz)
        for block in blocks(len(row), POINTS_OF_A_BLOCK):
            elevation_deg = place.elevation_deg[block]
            path = self._path(row[block])
            snr_db[block], k = signal_after_loss(
                self.link, elevation_deg, place.loss_db[block], path
            )
            rate_bps[block] = unchecked_rate_bps(self.link, snr_db[block], k, width_hz)
        return rate_bps, snr_db

    def rate_bps(self, row: Ints, time_s: Floats) -> Floats:
        """Rates (P,) of rows at times."""
        rate_bps, _ = self.signal(row, self.lossy(row, self.look(row, time_s)))
        return rate_bps

    def _path(self, row: Ints) -> Path:
        """Return the draws of every point; without an environment they have no effect."""
        if self.link.environment is None:
            return CLEAR_PATH
        return Path(*(np.asarray(draws)[row] for draws in vars(self.path).values()))


class LossyGrid:
    """What links lose at the points of a grid and its middles, looked up once for all of them.

    Both directions of a cluster's link mostly lose the same.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._known: dict[tuple[object, ...], tuple[Lossy, Lossy]] = {}

    def of(self, view: LinkView) -> tuple[Lossy, Lossy]:
        """Return what a link loses at the points, and in the middles."""
        path = tuple(getattr(view.link, name) for name in PATH_FIELDS)
        if path not in self._known:
            grid = self.grid
            row = grid.row
            each = ((row, grid), (row[grid.middles.cell], grid.middles))
            points, middles = (
                view.lossy(row, Sight(view.above(at.elevation_deg), at.slant_range_m))
                for row, at in each
            )
            self._known[path] = points, middles
        return self._known[path]


@dataclass(frozen=True, eq=False)
class RatePoints:
    """Points (P,) by row of the views and time: true rates, and those of the curve.

    ``inner`` points are those whose rate is moved for the bits of both cells beside them, ``given``
    those of the grid.
    """

    row: Ints
    time_s: Floats
    true_bps: Floats
    curve_bps: Floats
    inner: Mask
    given: Mask

    def of(self, some: Mask) -> RatePoints:
        """Some of the points (P,)."""
        if some.all():
            return self
        return RatePoints(*(values[some] for values in vars(self).values()))

    def merged(self, other: RatePoints, *, share_rows: bool = True) -> RatePoints:
        """Return both in order; of points at one time, those of ``self`` come first.

        Where they ``share_rows`` they are sorted by time within each.
        """
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        both = RatePoints(*(np.concatenate(pair) for pair in pairs))
        keys = (both.time_s, both.row) if share_rows else (both.row,)
        order = np.lexsort(keys)
        return RatePoints(*(values[order] for values in vars(both).values()))


def rate_points(view: LinkView, losses: LossyGrid) -> tuple[Floats, RatePoints | None]:
    """Rates of the curve at the points of a grid and its middles.

    Every cell keeps its bits (see ``channel.link_curve``). Where some rows need further points, all
    points are returned as well: each jump and kink of the rate lies between two of them.
    """
    grid = losses.grid
    at_points, in_middles = losses.of(view)
    elevation_deg = at_points.elevation_deg
    rate_bps, snr_db = view.signal(grid.row, at_points)
    curve_bps = _curve(view, grid, rate_bps, in_middles)
    jumps = _may_jump(view, grid, snr_db, elevation_deg)
    if not jumps.any():
        return curve_bps, None
    in_jumping = np.repeat(jumps, grid.points)
    none = np.zeros(len(rate_bps), bool)
    every = RatePoints(grid.row, grid.time_s, rate_bps, rate_bps, none, ~none).of(in_jumping)
    further = _with_further(
        view, grid.of(jumps), every, elevation_deg[in_jumping], snr_db[in_jumping]
    )
    if jumps.all():
        return curve_bps, further
    # Of rows without jumps nothing but the curve is wanted.
    given = np.ones(len(curve_bps), bool)
    given[grid.every[2]] = False
    row = np.repeat(grid.rows, grid.every_points)
    plain = RatePoints(row, grid.every_s, curve_bps, curve_bps, ~given, given)
    return curve_bps, plain.of(np.repeat(~jumps, grid.every_points)).merged(
        further, share_rows=False
    )


def _curve(view: LinkView, grid: Grid, rate_bps: Floats, in_middles: Lossy) -> Floats:
    """Rates of the curve at all points of a grid, from the true ones at those that are given."""
    moved = rate_bps
    middles = grid.middles
    if not view.is_constant:
        moved = bit_preserving(rate_bps, grid.points, grid.inner)
    cell = middles.cell
    middle_bps, _ = view.signal(grid.row[cell], in_middles)
    if not view.is_constant:
        mean_bps = (rate_bps[cell] + 4.0 * middle_bps + rate_bps[cell + 1]) / 6.0
        middle_bps = cell_middle_rates(mean_bps, (moved[cell], moved[cell + 1]))
        empty = middles.time_s == grid.time_s[cell]  # of no length: no jump by rounding
        middle_bps[empty] = moved[cell[empty]]
    return interleaved(moved, middle_bps, *grid.every[1:])


def _may_jump(view: LinkView, grid: Grid, snr_db: Floats, elevation_deg: Floats) -> Mask:
    """Whether the rate of each row (R,) may jump or have a kink anywhere."""
    link = view.link
    rows = len(grid.rows)
    law = link.law
    if law.has_levels or (law.follows_shannon and link.environment is not None):
        return np.ones(rows, bool)
    jumps: Mask = np.zeros(rows, bool)
    if link.required_snr_db > -np.inf:
        low_db = np.minimum.reduceat(snr_db, grid.first)
        high_db = np.maximum.reduceat(snr_db, grid.first)
        jumps |= (low_db < link.required_snr_db) & (link.required_snr_db <= high_db + HIGHER_DB)
    if not law.follows_shannon:
        return jumps
    for deg in view.bends_deg:
        if deg > link.min_elevation_deg:
            low_deg = np.minimum.reduceat(elevation_deg, grid.first)
            top_deg = np.maximum.reduceat(elevation_deg, grid.first)
            jumps |= (low_deg < deg) & (deg < top_deg)
    if has_zenith_kink(link):
        jumps |= np.maximum.reduceat(elevation_deg, grid.first) > STEEP_DEG
    return jumps


def _with_further(
    view: LinkView, grid: Grid, points: RatePoints, elevation_deg: Floats, snr_db: Floats
) -> RatePoints:
    """Add points around jumps and kinks, and in the middle of cells that do not lie between two
    inner points.
    """
    state = view.state_of(points.row, Sight(elevation_deg, grid.slant_range_m))
    more_row, more_s = _further_times(view, grid, points.row, elevation_deg, snr_db, state)
    if not view.is_constant:
        step = np.repeat(grid.step_s, grid.points)
        smooth = np.abs(np.diff(grid.time_s, append=0.0) - step) <= 1e-6 * step
        smooth[np.cumsum(grid.points) - 1] = False
        # Between tables that bend, and around the zenith, differences reach too far.
        smooth &= (not has_zenith_kink(view.link)) & (state == np.append(state[1:], 0))
        inner = between_smooth_cells(smooth)
        moved = bit_preserving(points.true_bps, grid.points, inner)
        points = replace(points, curve_bps=moved, inner=inner)
    if more_row.size:
        points = points.merged(_at(view, more_row, more_s))
    return points if view.is_constant else _with_middles(view, points)


def _at(view: LinkView, row: Ints, time_s: Floats) -> RatePoints:
    """Points of rows at times, with their true rates."""
    rate_bps = view.rate_bps(row, time_s)
    none = np.zeros(len(row), bool)
    return RatePoints(row, time_s, rate_bps, rate_bps, none, none)


def _further_times(
    view: LinkView, grid: Grid, row: Ints, elevation_deg: Floats, snr_db: Floats, state: Ints
) -> tuple[Ints, Floats]:
    """Return rows and times before and after each jump, at bends, and around steep culminations."""
    time_s = grid.time_s
    tops = turns(row, time_s, elevation_deg, view.elevation_deg)
    turned = turns(row, time_s, snr_db, view.snr_db)
    bends = crossings(row, time_s, elevation_deg, view.bends_deg, view.elevation_deg)
    jump_row, before_s, after_s = _jumps(view, (row, time_s), state, [tops, turned, bends])
    return _joined([(jump_row, before_s), (jump_row, after_s), bends, _around(view, grid, *tops)])


def _jumps(
    view: LinkView, on_grid: Times, state: Ints, between: Sequence[Times]
) -> tuple[Ints, Floats, Floats]:
    """Return rows, and times before and after each jump of the state that points show.

    Those ``between`` the points of the grid are where the SNR or the elevation turns or bends: the
    state there shows one that comes and goes between two points of the grid.
    """
    more_row, more_s = _joined(between)
    row, time_s = _joined([on_grid, (more_row, more_s)])
    states = np.append(state, view.state(more_row, more_s))
    order = np.lexsort((time_s, row))
    return find_jumps(row[order], time_s[order], states[order], view.state)


def _joined(several: Sequence[Times]) -> Times:
    """Return rows and times one after another."""
    rows, times_s = zip(*several, strict=True)
    return np.concatenate(rows), np.concatenate(times_s)


def _around(view: LinkView, grid: Grid, row: Ints, top_s: Floats) -> tuple[Ints, Floats]:
    """Rows and times around steep culminations, where the SNR may follow the elevation."""
    if view.is_constant or not has_zenith_kink(view.link):
        return row[:0], top_s[:0]
    steep = view.elevation_deg(row, top_s) > STEEP_DEG
    row = row[steep]
    top_s = top_s[steep]
    last = grid.first + grid.points - 1
    lasts_s = np.diff(grid.time_s, append=0.0)
    lasts_s[last] = 0.0
    longest_s = np.maximum.reduceat(lasts_s, grid.first)
    at = np.searchsorted(grid.rows, row)
    around_s = top_s + np.multiply.outer(AROUND_TOP, longest_s[at])
    inside_s = np.clip(around_s, grid.time_s[grid.first[at]], grid.time_s[last[at]])
    return np.tile(row, len(AROUND_TOP)), inside_s.ravel()


def _with_middles(view: LinkView, points: RatePoints) -> RatePoints:
    """Add a point in the middle of each cell that does not lie between two inner points."""
    lasts_s = np.diff(points.time_s)
    same = points.row[1:] == points.row[:-1]
    plain = points.inner[1:] & points.inner[:-1]
    cell = np.flatnonzero(same & ~plain & (lasts_s > SHORTEST_CELL_S))
    row = points.row[cell]
    begin_s = points.time_s[cell]
    whole_s = lasts_s[cell]
    nodes_s = begin_s + np.multiply.outer(GAUSS, whole_s)
    rates = view.rate_bps(np.tile(row, 3), nodes_s.ravel()).reshape(nodes_s.shape)
    mean_bps = (5.0 * (rates[0] + rates[2]) + 8.0 * rates[1]) / 18.0
    ends_bps = points.curve_bps[cell], points.curve_bps[cell + 1]
    none = np.zeros(len(cell), bool)
    place = cell + 1
    return RatePoints(
        row=np.insert(points.row, place, row),
        time_s=np.insert(points.time_s, place, nodes_s[1]),
        true_bps=np.insert(points.true_bps, place, rates[1]),
        curve_bps=np.insert(points.curve_bps, place, cell_middle_rates(mean_bps, ends_bps)),
        inner=np.insert(points.inner, place, none),
        given=np.insert(points.given, place, none),
    )
