"""The rate along a pass: sampled so that the bits of its curve are right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from channel import Link, Path, Signal, bends_deg, rate_state, received_signal
from channel.link_curve import between_smooth_cells, bit_preserving, cell_middle_rates
from channel.signal import has_zenith_kink
from learning.requests.cluster import Floats, Ints, Mask
from sim.links.batching import Batched, RateQuery, alone
from sim.links.discontinuities import crossings, find_jumps, turns

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
) -> Batched[RateGrid]:
    """Rates at times (K, T), with further points where these are not enough for the right bits.

    ``seen`` is what ``look`` says of ``time_s``. Without ``step_s`` the times of each row are even.
    With it they are so many seconds apart but for those that are cut to a row's first or last one.
    Every jump and kink of the rate has a point before and one behind it, and every cell its bits
    (see ``channel.link_curve``).
    """
    snr_db, rician_k, rate = yield RateQuery(link, *seen, path)
    jumps = _may_jump(link, snr_db, seen[0])
    if step_s is None and not jumps:
        return RateGrid(time_s, bit_preserving(rate), Signal(snr_db, rician_k))
    along = LinkAlongPass(link, path, look, len(time_s))
    points = Points(time_s, rate, rate, snr_db, rician_k, np.zeros(rate.shape, bool))
    # Cells as long as the step: of each row's own even grid, or of the common one.
    own_s = (time_s[:, -1:] - time_s[:, :1]) / (time_s.shape[1] - 1)
    step = own_s if step_s is None else step_s
    smooth: Mask = np.abs(np.diff(time_s, axis=1) - step) <= 1e-6 * step
    if jumps:
        state = rate_state(link, *seen, path)
        # Between tables that bend, and around the zenith, differences reach too far.
        smooth &= (state[:, 1:] == state[:, :-1]) & (not has_zenith_kink(link))
        more_s = _further_times(points, state, seen[0], along)
    if not is_constant(link):
        inner = between_smooth_cells(smooth)
        points = replace(points, curve_bps=bit_preserving(rate, inner), inner=inner)
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
    steep = has_zenith_kink(link) and top_deg > STEEP_DEG
    return link.environment is not None or steep or bool(bent.any())


def _further_times(
    points: Points, state: Ints, elevation_deg: Floats, along: LinkAlongPass
) -> Floats:
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


def _around(tops_s: Floats, time_s: Floats, along: LinkAlongPass) -> Floats:
    """Times (K, J) around steep culminations, where the SNR may follow the elevation."""
    if is_constant(along.link) or not (has_zenith_kink(along.link) and tops_s.shape[1]):
        return time_s[:, :0]
    steep = along.elevation_deg(tops_s) > STEEP_DEG
    steps_s = float(np.diff(time_s, axis=1).max()) * AROUND_TOP
    last_s = time_s[:, -1:]
    around_s = [np.where(steep, tops_s + away_s, last_s) for away_s in steps_s if steep.any()]
    every_s: Floats = np.concatenate([last_s, *around_s], axis=1)
    return every_s.clip(time_s[:, :1], last_s)


def _with_middles(points: Points, along: LinkAlongPass) -> Batched[Points]:
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


def _middles(first: Points, last: Points, along: LinkAlongPass) -> Batched[Points]:
    """Points in the middle of cells (K, J) between two points."""
    found = yield from along.points((first.time_s + last.time_s) / 2)
    ends_bps, moved_bps = (first.true_bps, last.true_bps), (first.curve_bps, last.curve_bps)
    return replace(found, curve_bps=cell_middle_rates(ends_bps, found.true_bps, moved_bps))


# Points of the rate along a pass: what the devices of a link are seen at, and how it adds up.


Look = Callable[[Floats, Ints], Batched[tuple[Floats, Floats]]]
"""Elevation (deg) and slant range (m), (R, J), of some devices at their own times (R, J), by their
rows (R,)."""


@dataclass(frozen=True, eq=False)
class Points:
    """Points (K, T) in order of time: true rates, and those of the curve.

    ``inner`` points are those whose rate is moved for the bits of both cells beside them.
    """

    time_s: Floats
    true_bps: Floats
    curve_bps: Floats
    snr_db: Floats
    rician_k: Floats
    inner: Mask

    def with_more(self, other: Points) -> Points:
        """Both together, row by row; of points at one time this grid's are first."""
        every_s = np.concatenate([self.time_s, other.time_s], axis=1)
        order = np.argsort(every_s, axis=1, kind="stable")
        return self._beside(other).picked(order)

    def with_columns(self, columns: Ints, other: Points) -> Points:
        """Both together; each column of the other before one of these columns."""
        places = np.append(np.arange(self.time_s.shape[1]), columns - 0.5)
        return self._beside(other).at(np.argsort(places))

    def _beside(self, other: Points) -> Points:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Points(*(np.concatenate(pair, axis=1) for pair in pairs))

    def at(self, columns: Ints) -> Points:
        """The points in some columns."""
        return Points(*(x[:, columns] for x in vars(self).values()))

    def picked(self, which: Ints) -> Points:
        """Of each row those in some columns (K, J) of its own."""
        return Points(*(np.take_along_axis(x, which, axis=1) for x in vars(self).values()))


@dataclass(frozen=True, eq=False)
class LinkAlongPass:
    """A link whose devices (K) are looked at along a pass."""

    link: Link
    path: Path
    look: Look
    devices: int

    @cached_property
    def _everybody(self) -> Ints:
        return np.arange(self.devices)

    @property
    def bends_deg(self) -> list[float]:
        """Elevations at which the rate has a kink."""
        return [] if is_constant(self.link) else bends_deg(self.link).tolist()

    def elevation_deg(self, time_s: Floats) -> Floats:
        """Elevations (K, J) at times (K, J)."""
        return alone(self.look(time_s, self._everybody))[0]

    def snr_db(self, time_s: Floats) -> Floats:
        """SNR (K, J) at times (K, J)."""
        place = alone(self.look(time_s, self._everybody))
        return received_signal(self.link, *place, self.path).snr_db

    def state(self, time_s: Floats, rows: Ints) -> Ints:
        """States (R, J) of the rate of some devices, by their rows (R,), at times (R, J)."""
        return rate_state(self.link, *alone(self.look(time_s, rows)), path_of(self.path, rows))

    def points(self, time_s: Floats) -> Batched[Points]:
        """Points with their true rates."""
        place = yield from self.look(time_s, self._everybody)
        snr_db, rician_k, rate_bps = yield RateQuery(self.link, *place, self.path)
        return Points(time_s, rate_bps, rate_bps, snr_db, rician_k, np.zeros(time_s.shape, bool))


def is_constant(link: Link) -> bool:
    """Whether the rate does not change between its jumps."""
    return link.rate in ("modcod", "fixed")


def path_of(path: Path, rows: Ints) -> Path:
    """What was drawn for some devices; what is the same for all stays so."""
    fields = (np.asarray(x) for x in vars(path).values())
    return Path(*(x[rows] if x.ndim else x for x in fields))
