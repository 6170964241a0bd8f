"""Rates along passes: sampled so that the bits of their curves are right.

Rows are devices in passes; the points of all rows lie in flat arrays, sorted by row and there by
time. No bit of a row depends on the other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from channel import CLEAR_PATH, Link, Path, bends_deg, rate_state, received_signal
from channel.link_curve import between_smooth_cells, bit_preserving, cell_middle_rates
from channel.signal import has_zenith_kink, unchecked_rate_bps, unchecked_signal
from learning.requests.cluster import Floats, Ints, Mask
from orbit.contact_views import ContactViews, blocks
from sim.links.pass_geometry import Grid, interleaved

HORIZON_DEG = 1e-6
"""A hair above the horizon, at and below which there is no link."""
HIGHER_DB = 1.0
"""By so much an SNR may rise between two points of a grid."""
SHORTEST_CELL_S = 1e-3
"""Shorter cells need no point in their middle."""
GAUSS = np.array([0.5 - np.sqrt(0.15), 0.5, 0.5 + np.sqrt(0.15)])
"""Shares of a cell at which Gauss' rule of three points looks: the mean is right to degree five."""
STEEP_DEG = 80.0
"""A satellite that culminates higher turns around so quickly that tables nearly have a kink."""
AROUND_TOP = np.outer([-1.0, 1.0], [0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]).ravel()
"""Further points around such a culmination, in steps of the grid."""


POINTS_OF_A_BLOCK = 1 << 13
"""Points whose losses are summed at a time, so that they stay in a core's own cache."""


@dataclass(frozen=True, eq=False)
class LinkView:
    """A link whose devices see their satellites; ``path`` has a draw for each row of the views."""

    link: Link
    path: Path
    views: ContactViews

    @property
    def is_constant(self) -> bool:
        """Whether the rate does not change between its jumps."""
        return self.link.rate in ("modcod", "fixed")

    @property
    def bends_deg(self) -> list[float]:
        """Elevations at which the rate has a kink."""
        return [] if self.is_constant else bends_deg(self.link).tolist()

    def look(self, row: Ints, time_s: Floats) -> Place:
        """Where rows (P,) see their satellites at times (P,), within the contact."""
        tracks = self.views.tracks
        contact = self.views.contact[row]
        inside_s = np.clip(time_s, tracks.first_s[contact], tracks.last_s[contact])
        elevation_deg, range_km = self.views.place(row, inside_s)
        return self.above(elevation_deg), range_km * 1e3

    def above(self, elevation_deg: Floats) -> Floats:
        """Elevations not below the mask: AOS and LOS lie on it, and rounding is no gate."""
        return np.maximum(elevation_deg, max(self.link.min_elevation_deg, HORIZON_DEG))

    def elevation_deg(self, row: Ints, time_s: Floats) -> Floats:
        """Elevations (P,) of rows at times."""
        return self.look(row, time_s)[0]

    def snr_db(self, row: Ints, time_s: Floats) -> Floats:
        """SNR (P,) of rows at times."""
        return received_signal(self.link, *self.look(row, time_s), self._path(row)).snr_db

    def state(self, row: Ints, time_s: Floats) -> Ints:
        """States (P,) of the rate of rows at times; see ``channel.rate_state``."""
        return self.state_of(row, self.look(row, time_s))

    def state_of(self, row: Ints, place: Place) -> Ints:
        """States (P,) of the rate of rows at their places."""
        return rate_state(self.link, *place, self._path(row))

    def signal(self, row: Ints, place: Place) -> tuple[Floats, Floats]:
        """Rate (bit/s) and SNR (dB) of rows at their places."""
        found = np.empty((2, len(row)))
        width_hz = np.asarray(self.link.bandwidth_hz)
        for some in blocks(len(row), POINTS_OF_A_BLOCK):
            elevation_deg, range_m = (x[some] for x in place)
            path = self._path(row[some])
            snr_db, k = unchecked_signal(self.link, elevation_deg, range_m, path)
            found[0, some] = unchecked_rate_bps(self.link, snr_db, k, width_hz)
            found[1, some] = snr_db
        return found[0], found[1]

    def rate_bps(self, row: Ints, time_s: Floats) -> Floats:
        """Rates (P,) of rows at times."""
        return self.signal(row, self.look(row, time_s))[0]

    def _path(self, row: Ints) -> Path:
        """What was drawn for every point; without an environment it has no effect."""
        if self.link.environment is None:
            return CLEAR_PATH
        return Path(*(np.asarray(draws)[row] for draws in vars(self.path).values()))


Place = tuple[Floats, Floats]
"""Elevations (deg) and slant ranges (m), both (P,)."""


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

    def merged(self, other: RatePoints, key_s: bool = True) -> RatePoints:
        """Both together; of points at one time these are first.

        Without ``key_s`` no row is in both.
        """
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        both = RatePoints(*(np.concatenate(pair) for pair in pairs))
        keys = (both.time_s, both.row) if key_s else (both.row,)
        order = np.lexsort(keys)
        return RatePoints(*(values[order] for values in vars(both).values()))


def rate_points(view: LinkView, grid: Grid) -> tuple[Floats, RatePoints | None]:
    """Rates of the curve at the points of a grid and its middles.

    Every cell has its bits (see ``channel.link_curve``). Where some rows need further points, these
    are all: every jump and kink of the rate has a point before one and one behind it.
    """
    place = view.above(grid.elevation_deg), grid.slant_range_m
    rate_bps, snr_db = view.signal(grid.row, place)
    curve_bps = _curve(view, grid, rate_bps)
    jumps = _may_jump(view, grid, snr_db, place[0])
    if not jumps.any():
        return curve_bps, None
    here = np.repeat(jumps, grid.points)
    none = np.zeros(len(rate_bps), bool)
    every = RatePoints(grid.row, grid.time_s, rate_bps, rate_bps, none, ~none).of(here)
    found = _with_further(view, grid.of(jumps), every, (place[0][here], snr_db[here]))
    if jumps.all():
        return curve_bps, found
    # Of rows without jumps nothing but the curve is wanted.
    given = np.ones(len(curve_bps), bool)
    if grid.middles is not None:
        given[grid.every[2]] = False
    row = np.repeat(grid.rows, grid.every_points)
    plain = RatePoints(row, grid.every_s, curve_bps, curve_bps, ~given, given)
    return curve_bps, plain.of(np.repeat(~jumps, grid.every_points)).merged(found, key_s=False)


def _curve(view: LinkView, grid: Grid, rate_bps: Floats) -> Floats:
    """Rates of the curve at all points of a grid, from the true ones at those that are given."""
    moved = rate_bps
    middles = grid.middles
    if not view.is_constant:
        moved = bit_preserving(rate_bps, grid.points, grid.inner)
    if middles is None:
        return moved
    cell = middles.cell
    place = (view.above(middles.elevation_deg), middles.slant_range_m)
    middle_bps, _ = view.signal(grid.row[cell], place)
    if not view.is_constant:
        mean_bps = (rate_bps[cell] + 4.0 * middle_bps + rate_bps[cell + 1]) / 6.0
        middle_bps = cell_middle_rates(mean_bps, (moved[cell], moved[cell + 1]))
        none = middles.time_s == grid.time_s[cell]  # of no length: no jump by rounding
        middle_bps[none] = moved[cell[none]]
    return interleaved(moved, middle_bps, *grid.every[1:])


def _may_jump(view: LinkView, grid: Grid, snr_db: Floats, elevation_deg: Floats) -> Mask:
    """Whether the rate of each row (R,) may jump or have a kink anywhere."""
    link = view.link
    rows = len(grid.rows)
    if link.rate == "modcod":
        return np.ones(rows, bool)
    low_db = np.minimum.reduceat(snr_db, grid.first)
    high_db = np.maximum.reduceat(snr_db, grid.first)
    jumps: Mask = (low_db < link.required_snr_db) & (link.required_snr_db <= high_db + HIGHER_DB)
    if link.rate == "fixed":
        return jumps
    if link.environment is not None:
        return np.ones(rows, bool)
    low_deg = np.minimum.reduceat(elevation_deg, grid.first)
    top_deg = np.maximum.reduceat(elevation_deg, grid.first)
    for deg in view.bends_deg:
        jumps |= (low_deg < deg) & (deg < top_deg)
    if has_zenith_kink(link):
        jumps |= top_deg > STEEP_DEG
    return jumps


def _with_further(
    view: LinkView, grid: Grid, points: RatePoints, seen: tuple[Floats, Floats]
) -> RatePoints:
    """Points with more of them around jumps and kinks, and in the middle of cells that do not lie
    between two inner points.

    ``seen`` are the elevations and the SNRs at the points.
    """
    state = view.state_of(points.row, (seen[0], grid.slant_range_m))
    more = _further_times(view, grid, points.row, seen, state)
    if not view.is_constant:
        step = np.repeat(grid.step_s, grid.points)
        smooth = np.abs(np.diff(grid.time_s, append=0.0) - step) <= 1e-6 * step
        smooth[np.cumsum(grid.points) - 1] = False
        # Between tables that bend, and around the zenith, differences reach too far.
        smooth &= (not has_zenith_kink(view.link)) & (state == np.append(state[1:], 0))
        inner = between_smooth_cells(smooth)
        moved = bit_preserving(points.true_bps, grid.points, inner)
        points = replace(points, curve_bps=moved, inner=inner)
    if more[0].size:
        points = points.merged(_at(view, *more))
    return points if view.is_constant else _with_middles(view, points)


def _at(view: LinkView, row: Ints, time_s: Floats) -> RatePoints:
    """Points of rows at times, with their true rates."""
    rate_bps = view.rate_bps(row, time_s)
    none = np.zeros(len(row), bool)
    return RatePoints(row, time_s, rate_bps, rate_bps, none, none)


def _further_times(
    view: LinkView, grid: Grid, row: Ints, seen: tuple[Floats, Floats], state: Ints
) -> tuple[Ints, Floats]:
    """Rows and times before and behind each jump, and around steep culminations.

    Highest and lowest points of the SNR and the elevation are looked at for a state that comes and
    goes there between two points of the grid.
    """
    time_s, (elevation_deg, snr_db) = grid.time_s, seen
    tops = turns(row, time_s, elevation_deg, view.elevation_deg)
    bends = crossings(row, time_s, elevation_deg, view.bends_deg, view.elevation_deg)
    found = [tops, turns(row, time_s, snr_db, view.snr_db), bends]
    more_row, more_s = (np.concatenate(x) for x in zip(*found, strict=True))
    every_row = np.append(row, more_row)
    every_s = np.append(time_s, more_s)
    states = np.append(state, view.state(more_row, more_s))
    order = np.lexsort((every_s, every_row))
    who, before_s, behind_s = find_jumps(
        every_row[order], every_s[order], states[order], view.state
    )
    around_row, around_s = _around(view, grid, tops)
    rows = np.concatenate([who, who, bends[0], around_row])
    return rows, np.concatenate([before_s, behind_s, bends[1], around_s])


def _around(view: LinkView, grid: Grid, tops: tuple[Ints, Floats]) -> tuple[Ints, Floats]:
    """Rows and times around steep culminations, where the SNR may follow the elevation."""
    if view.is_constant or not has_zenith_kink(view.link):
        return tops[0][:0], tops[1][:0]
    steep = view.elevation_deg(*tops) > STEEP_DEG
    row = tops[0][steep]
    top_s = tops[1][steep]
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
    curve_bps = cell_middle_rates(mean_bps, ends_bps)
    none = np.zeros(len(cell), bool)
    found = RatePoints(row, nodes_s[1], rates[1], curve_bps, none, none)
    pairs = zip(vars(points).values(), vars(found).values(), strict=True)
    return RatePoints(*(np.insert(here, cell + 1, new) for here, new in pairs))


# Where rates along passes jump or have a kink: in and out of sight, from coding to coding.


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

    Returns the row, the time just before and the time just behind each of them. Of a cell with
    several changes all are found, unless one undoes another.
    """
    cell = np.flatnonzero((row[1:] == row[:-1]) & (state[1:] != state[:-1]))
    who = row[cell]
    start_s = time_s[cell]
    end_s = time_s[cell + 1]
    first = state[cell]
    last = state[cell + 1]
    found = [(who[:0], start_s[:0], start_s[:0])]
    while True:
        lasts = (first != last) & (end_s > start_s + ALMOST_AT_ONCE_S)
        who, start_s, end_s, first, last = (x[lasts] for x in (who, start_s, end_s, first, last))
        if not who.size:
            break
        before_s = start_s
        behind_s = end_s
        for _ in range(HALVINGS):
            middle_s = (before_s + behind_s) / 2
            same = state_at(who, middle_s) == first
            before_s = np.where(same, middle_s, before_s)
            behind_s = np.where(same, behind_s, middle_s)
        found.append((who, before_s, behind_s))
        start_s = behind_s
        first = state_at(who, behind_s)
    rows, before, behind = (np.concatenate(x) for x in zip(*found, strict=True))
    return rows, before, behind


GOLDEN = (5**0.5 - 1) / 2
NARROWINGS = 18
"""Steps of the golden section: two cells of some seconds down to two milliseconds."""


def turns(row: Ints, time_s: Floats, value: Floats, value_at: ValueAt) -> tuple[Ints, Floats]:
    """Rows and times of the highest and lowest of ``value`` (P,) inside each row."""
    slope = np.sign(np.diff(value))
    middle = np.flatnonzero((slope[:-1] * slope[1:] < 0) & (row[2:] == row[:-2])) + 1
    who = row[middle]
    sign = slope[middle - 1]
    low = time_s[middle - 1]
    high = time_s[middle + 1]
    for _ in range(NARROWINGS if who.size else 0):
        left = high - GOLDEN * (high - low)
        right = low + GOLDEN * (high - low)
        falls = sign * value_at(who, left) > sign * value_at(who, right)
        low = np.where(falls, low, left)
        high = np.where(falls, right, high)
    return who, (low + high) / 2


SECANTS = 8


def crossings(
    row: Ints, time_s: Floats, value: Floats, levels: Sequence[float], value_at: ValueAt
) -> tuple[Ints, Floats]:
    """Rows and times at which ``value`` (P,) passes a level: both sides, a microsecond apart.

    By the Illinois rule: straight lines, with the side that stays behind halved.
    """
    same = row[1:] == row[:-1]
    cells = [np.flatnonzero(same & _passes(value, level)) for level in levels]
    cell = np.concatenate([np.empty(0, np.intp), *cells])
    level = np.repeat(np.array(levels, float), [len(some) for some in cells])
    who = row[cell]
    low = time_s[cell]
    high = time_s[cell + 1]
    left = value[cell] - level
    right = value[cell + 1] - level
    middle = low
    twice = np.zeros((2, len(cell)), bool)
    for _ in range(SECANTS if cell.size else 0):
        slope = np.where(right == left, 1.0, right - left)
        middle = np.clip(low - left * (high - low) / slope, low, high)
        there = value_at(who, middle) - level
        back = (there > 0) == (right > 0)  # the root is before the middle
        low = np.where(back, low, middle)
        high = np.where(back, middle, high)
        left = np.where(back, np.where(twice[0], left / 2, left), there)
        right = np.where(back, there, np.where(twice[1], right / 2, right))
        twice = np.stack([back, ~back])
    ends = np.searchsorted(row, who, "left"), np.searchsorted(row, who, "right") - 1
    close = np.array([[-ALMOST_AT_ONCE_S / 4], [ALMOST_AT_ONCE_S / 4]])
    both = np.clip(middle + close, time_s[ends[0]], time_s[ends[1]])
    return np.tile(who, 2), both.ravel()


def _passes(value: Floats, level: float) -> Mask:
    """Cells (P - 1,) with one end above a level."""
    above = value > level
    return above[1:] != above[:-1]
