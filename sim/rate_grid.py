"""The rate of a link along a pass, on a grid of times that has its jumps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from channel import Link, Path, Signal, rate_state
from channel.curve import bit_preserving, inside, middle_of_cells, moved
from channel.signal import bends_deg, turns_abruptly
from learning.requests.cluster import Floats, Ints, Mask
from sim.in_step import Asking, Rates
from sim.jumps import crossings, find_jumps, turns
from sim.rate_points import Look, Points, Sightline, is_constant

HIGHER_DB = 1.0
"""By so much an SNR may rise between two points of a grid."""
SHORTEST_CELL_S = 1e-3
"""Shorter cells need no point in their middle."""
MANY = 4
"""Times as many columns as a row has cells without a middle may have one in all rows."""
STEEP_DEG = 80.0
"""A satellite that culminates higher turns around so quickly that tables nearly have a kink."""
AROUND_TOP = np.outer([-1.0, 1.0], [0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]).ravel()
"""Further points around such a culmination, in steps of the grid."""


@dataclass(frozen=True, eq=False)
class RateGrid:
    """Times, rates and signals of each device, all (K, T)."""

    time_s: Floats
    rate_bps: Floats
    signal: Signal


def rate_grid(
    link: Link,
    path: Path,
    time_s: Floats,
    look: Look,
    seen: tuple[Floats, Floats],
    step_s: float | None = None,
) -> Asking[RateGrid]:
    """Rates at times (K, T), with further points where these are not enough for the right bits.

    ``seen`` is what ``look`` says of ``time_s``. Without ``step_s`` the times of each row are even.
    With it they are so many seconds apart but for those that are cut to a row's first or last one.
    Every jump and kink of the rate has a point before and one behind it, and every cell its bits
    (see ``channel.curve``).
    """
    snr_db, rician_k, rate = yield Rates(link, *seen, path)
    jumps = _may_jump(link, snr_db, seen[0])
    if step_s is None and not jumps:
        return RateGrid(time_s, bit_preserving(rate), Signal(snr_db, rician_k))
    along = Sightline(link, path, look, len(time_s))
    points = Points(time_s, rate, rate, snr_db, rician_k, np.zeros(rate.shape, bool))
    smooth = _whole(time_s, step_s)
    if jumps:
        state = rate_state(link, *seen, path)
        # Between tables that bend, and around the zenith, differences reach too far.
        smooth &= (state[:, 1:] == state[:, :-1]) & (not turns_abruptly(link))
        more_s = _further_times(points, state, seen[0], along)
    if not is_constant(link):
        inner = inside(smooth)
        points = replace(points, curve_bps=moved(rate, inner), inner=inner)
    if jumps:
        points = points.with_more((yield from along.points(more_s)))
    if not is_constant(link):
        points = yield from _with_middles(points, along)
    return RateGrid(points.time_s, points.curve_bps, Signal(points.snr_db, points.rician_k))


def _may_jump(link: Link, snr_db: Floats, elevation_deg: Floats) -> bool:
    """Whether the rate may jump or have a kink anywhere."""
    if link.rate == "modcod":
        return True
    low_db, high_db = float(snr_db.min()), float(snr_db.max())
    if low_db < link.required_snr_db <= high_db + HIGHER_DB:
        return True
    if link.rate == "fixed":
        return False
    bends, top_deg = bends_deg(link), float(elevation_deg.max())
    bent = (elevation_deg.min() < bends) & (bends < top_deg)
    steep = turns_abruptly(link) and top_deg > STEEP_DEG
    return link.environment is not None or steep or bool(bent.any())


def _whole(time_s: Floats, step_s: float | None) -> Mask:
    """Cells (K, T - 1) as long as the step: of each row's own even grid, or of the common one."""
    own_s = (time_s[:, -1:] - time_s[:, :1]) / (time_s.shape[1] - 1)
    step = own_s if step_s is None else step_s
    whole: Mask = np.abs(np.diff(time_s, axis=1) - step) <= 1e-6 * step
    return whole


def _further_times(points: Points, state: Ints, elevation_deg: Floats, along: Sightline) -> Floats:
    """Times (K, J) before and behind each jump, and around steep culminations.

    Highest and lowest points of the SNR and the elevation are looked at for a state that comes and
    goes there between two points of the grid.
    """
    time_s, everybody = points.time_s, np.arange(len(state))
    tops_s = turns(time_s, elevation_deg, along.elevation_deg)
    bends_s = np.concatenate(
        [time_s[:, :0]]
        + [crossings(time_s, elevation_deg, deg, along.elevation_deg) for deg in along.bends_deg],
        axis=1,
    )
    more_s = np.concatenate([tops_s, turns(time_s, points.snr_db, along.snr_db), bends_s], axis=1)
    when_s = np.concatenate([time_s, more_s], axis=1)
    states = np.concatenate([state, along.state(more_s, everybody)], axis=1)
    order = np.argsort(when_s, axis=1, kind="stable")
    jumps = find_jumps(
        np.take_along_axis(when_s, order, axis=1),
        np.take_along_axis(states, order, axis=1),
        along.state,
    )
    around_s = _around(tops_s, time_s, along)
    return np.concatenate([jumps.before_s, jumps.behind_s, bends_s, around_s], axis=1)


def _around(tops_s: Floats, time_s: Floats, along: Sightline) -> Floats:
    """Times (K, J) around steep culminations, where the SNR may follow the elevation."""
    if is_constant(along.link) or not (turns_abruptly(along.link) and tops_s.shape[1]):
        return time_s[:, :0]
    steep = along.elevation_deg(tops_s) > STEEP_DEG
    steps_s = float(np.diff(time_s, axis=1).max()) * AROUND_TOP
    last_s = time_s[:, -1:]
    around_s = [np.where(steep, tops_s + away_s, last_s) for away_s in steps_s if steep.any()]
    every_s: Floats = np.concatenate([last_s, *around_s], axis=1)
    return every_s.clip(time_s[:, :1], last_s)


def _with_middles(points: Points, along: Sightline) -> Asking[Points]:
    """Add a point in the middle of each cell that does not lie between two inner points.

    Where the lacking cells of all rows are few columns, all rows get a point there, so that rows
    with common times keep them.
    """
    plain = points.inner[:, 1:] & points.inner[:, :-1]
    lacking = ~plain & (np.diff(points.time_s, axis=1) > SHORTEST_CELL_S)
    count, columns = int(lacking.sum(axis=1).max(initial=0)), np.flatnonzero(lacking.any(axis=0))
    if not count:
        return points
    if len(columns) <= MANY * count:
        middles = yield from _middles(points.at(columns), points.at(columns + 1), along)
        return points.with_columns(columns + 1, middles)
    which = np.argsort(~lacking, axis=1, kind="stable")[:, :count]
    # Where a row lacks fewer, its last point is repeated.
    real = np.take_along_axis(lacking, which, axis=1)
    last = points.time_s.shape[1] - 1
    first, second = (points.picked(np.where(real, which + step, last)) for step in (0, 1))
    middles = yield from _middles(first, second, along)
    curve_bps = np.where(real, middles.curve_bps, points.curve_bps[:, -1:])
    return points.with_more(replace(middles, curve_bps=curve_bps))


def _middles(first: Points, last: Points, along: Sightline) -> Asking[Points]:
    """Points in the middle of cells (K, J) between two points."""
    found = yield from along.points((first.time_s + last.time_s) / 2)
    ends_bps, moved_bps = (first.true_bps, last.true_bps), (first.curve_bps, last.curve_bps)
    return replace(found, curve_bps=middle_of_cells(ends_bps, found.true_bps, moved_bps))
