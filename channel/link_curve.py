"""Link curves, one or many batches: rate over time, bits by a time, when a payload is through."""

from collections.abc import Sequence
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from channel.checks import checked, finite, not_negative
from statements.arrays import Floats, Ints, Mask

ROUNDING: Final = 1e-12
_LEAST: Final = 5e-324
"""Smallest number above 0: 0 / max(x, _LEAST) is 0 where x is 0, and x / x stays as it is."""


class LinkCurve:
    """A rate that is linear between grid points and 0 outside the grid.

    time_s is (T,) or (K, T) with T >= 2, finite and non-decreasing along T; rate_bps is (T,) or
    (K, T), finite and not negative; they broadcast. A repeated time is a jump of the rate. With K
    rows the curve is a batch, one row per device: times and sizes are then scalars or (K,) and
    results are (K,). Without, times and sizes have any shape and results have that shape.

    The bits delivered by a time are quadratic on every segment, so both directions are exact up to
    rounding: there is no stepping and no division of a size by a rate.

    Raises ValueError for other shapes and values.
    """

    def __init__(self, time_s: ArrayLike, rate_bps: ArrayLike) -> None:
        """Check the grid, copy it, and sum the bits up to every grid point."""
        time = finite("time_s", time_s)
        rate = not_negative("rate_bps", rate_bps)
        dimensions = {time.ndim, rate.ndim}
        points = {*time.shape[-1:], *rate.shape[-1:]}
        rows = {*time.shape[:-1], *rate.shape[:-1]}
        if not dimensions <= {1, 2} or len(points) > 1 or min(points) < 2 or len(rows - {1}) > 1:
            raise ValueError(
                f"time_s has shape {time.shape} and rate_bps {rate.shape}; "
                "give (T,) or (K, T) with one and the same T of at least 2"
            )
        if time.shape != rate.shape:
            time, rate = np.broadcast_arrays(time, rate)
        step_s = time[..., 1:] - time[..., :-1]
        checked("a step of time_s", step_s, lambda x: x >= 0, "at least 0: sort the grid by time")
        time = time.copy()
        rate = rate.copy()
        self._keep(time, rate, *_sums(time, rate))

    def _keep(self, time_s: Floats, rate_bps: Floats, bits: Floats, most_bits: Floats) -> None:
        self.time_s = time_s
        self.rate_bps = rate_bps
        self._bits = bits
        self._most_bits = most_bits
        # Where each row begins in the grid's memory; None for a single curve.
        batch = time_s.ndim > 1
        self._rows = np.arange(0, time_s.size, time_s.shape[1]) if batch else None

    @classmethod
    def summed(cls, time_s: Floats, rate_bps: Floats) -> "LinkCurve":
        """A batch of what is known to be right: only its bits are summed up, nothing is copied.

        Arrays (K, T), or (T,) of a single curve, each in one piece of memory, which must not change
        any more.
        """
        return cls.of(time_s, rate_bps, *_sums(time_s, rate_bps))

    @classmethod
    def of(cls, time_s: Floats, rate_bps: Floats, bits: Floats, most_bits: Floats) -> "LinkCurve":
        """A batch of what is known to be right: nothing is checked, summed up or copied.

        Arrays (K, T), each in one piece of memory, and `_most_bits` of them (K,).
        """
        curve = cls.__new__(cls)
        cls._keep(curve, time_s, rate_bps, bits, most_bits)
        return curve

    def copy(self) -> "LinkCurve":
        """The same curve in memory of its own: one of a table keeps the whole of that alive."""
        arrays = self.time_s, self.rate_bps, self._bits, self._most_bits
        return LinkCurve.of(*map(np.copy, arrays))

    @property
    def capacity_bits(self) -> Floats:
        """Bits that the whole curve carries: a scalar, or (K,) for a batch."""
        return self._bits[..., -1][()]

    @property
    def bits(self) -> Floats:
        """Bits carried from the start up to each grid point: (T,), or (K, T) for a batch."""
        return self._bits

    @cached_property
    def span_s(self) -> tuple[Floats, Floats]:
        """From when to when each row (K,) of a batch carries anything; to -inf where it never does.

        Worked out once for all transfers over it.
        """
        time = self.time_s
        rate = self.rate_bps
        first = ((rate[:, 0] > 0) | (rate[:, 1] > 0)) & (time[:, 1] > time[:, 0])
        last = ((rate[:, -2] > 0) | (rate[:, -1] > 0)) & (time[:, -1] > time[:, -2])
        if np.count_nonzero(first & last) == len(time):
            return time[:, 0], time[:, -1]  # nearly always
        carries = ((rate[:, :-1] > 0) | (rate[:, 1:] > 0)) & (time[:, 1:] > time[:, :-1])
        rows = np.arange(len(time))
        cells = carries.shape[1]
        opens = carries.argmax(axis=1)
        closes = cells - carries[:, ::-1].argmax(axis=1)
        return time[rows, opens], np.where(carries[rows, opens], time[rows, closes], -np.inf)

    def flat_part(self, start_s: float, end_s: float) -> "LinkCurve | None":
        """A batch of constant rates between two times; None where it is none, or not there."""
        time = self.time_s
        rate = self.rate_bps
        inside = (time[:, 0] <= start_s) & (time[:, -1] >= end_s)
        if time.shape[1] != 2 or not (inside & (rate[:, 0] == rate[:, 1])).all():
            return None
        return LinkCurve.constant(rate[:, 0], start_s, end_s)

    @classmethod
    def constant(cls, rate_bps: Floats, start_s: float, end_s: float) -> "LinkCurve":
        """A batch of rates (K,) that do not change between two times; nothing is checked."""
        time, rate, bits = np.zeros((3, len(rate_bps), 2))
        time[:] = start_s, end_s
        rate[:] = rate_bps[:, None]
        bits[:, 1] = rate_bps * (end_s - start_s)
        latest_s = np.full(len(rate_bps), max(abs(start_s), abs(end_s)))
        return cls.of(time, rate, bits, most_bits_of(bits[:, 1], latest_s, rate_bps))

    def device(self, k: int) -> "LinkCurve":
        """Row `k` of a batch (0 to K - 1) as a curve of its own; ValueError if there is none."""
        devices = 0 if self._rows is None else len(self.time_s)
        if not 0 <= k < devices:
            raise ValueError(f"device is {k}; this curve is a batch of {devices} devices")
        return LinkCurve.summed(self.time_s[k], self.rate_bps[k])

    def rate_at_bps(self, time_s: ArrayLike) -> Floats:
        """Rate at `time_s`, 0 outside the grid; at a jump that after it. ValueError for a NaN."""
        when = self._each(_not_nan("time_s", time_s))
        inside = self._within(when)
        i = self._segment(_rank(self.time_s, inside, "right"))
        start_s = self.time_s.take(i)
        rate = self.rate_bps.take(i)
        step_s = self.time_s.take(i + 1) - start_s
        share = np.ones_like(inside)
        np.divide(inside - start_s, step_s, out=share, where=step_s > 0)
        rate = rate + (self.rate_bps.take(i + 1) - rate) * share
        return np.where(when == inside, rate, 0.0)[()]

    def delivered_bits(self, time_s: ArrayLike) -> Floats:
        """Bits carried from the start of the grid up to `time_s` (infinite times are allowed).

        0 before the grid and the whole capacity after it. Raises ValueError for a NaN.
        """
        return self._sent_bits(self._each(_not_nan("time_s", time_s)))[()]

    def completion_time_s(self, bits: ArrayLike, start_s: ArrayLike | None = None) -> Floats:
        """Earliest time at which `bits` sent from `start_s` on are through, infinity if never.

        start_s is the start of the grid if it is None; it may lie outside the grid or be infinite.
        0 bits are through at start_s itself. A payload that exceeds what is left only by rounding
        (1e-12 of the capacity and one step of the float64 clock at the peak rate) is through when
        the last bit has passed. bits and start_s broadcast. Raises ValueError for negative or
        non-finite bits and for a NaN start.
        """
        size = self._each(not_negative("bits", bits))
        start = self._each(self.time_s[..., 0] if start_s is None else _not_nan("start_s", start_s))
        if size.shape != start.shape:
            size, start = np.broadcast_arrays(size, start)
        return self.unchecked_completion_time_s(size, start)[()]

    def unchecked_completion_time_s(self, bits: Floats, start_s: Floats) -> Floats:
        """The same for arrays of one shape, (K,) for a batch, that are known to be right."""
        last_s = self.time_s[..., -1]
        total = self._bits[..., -1]
        goal = self._sent_bits(start_s) + bits
        done_s = np.maximum(self._reached_s(np.minimum(goal, total)), start_s)
        through = (goal <= self._most_bits) & (start_s < last_s)
        done_s = np.where(through, done_s, np.inf)
        some = np.count_nonzero(bits) == bits.size
        return done_s if some else np.where(bits == 0, start_s, done_s)

    def _sent_bits(self, time_s: Floats) -> Floats:
        """Bits by each time: on a segment the time so far times the mean of the rates."""
        if not np.count_nonzero(time_s > self.time_s[..., 0]):
            return np.zeros_like(time_s)
        inside_s = self._within(time_s)
        i = self._segment(_rank(self.time_s, inside_s, "right"))
        start_s = self.time_s.take(i)
        rate = self.rate_bps.take(i)
        since_s = inside_s - start_s
        step_s = self.time_s.take(i + 1) - start_s
        share = since_s / np.maximum(step_s, _LEAST)
        mean_bps = rate + (self.rate_bps.take(i + 1) - rate) * share / 2.0
        upper = self._bits.take(i + 1)
        bits = np.minimum(self._bits.take(i) + mean_bps * since_s, upper)
        return np.where(since_s >= step_s, upper, bits)

    def _reached_s(self, goal: Floats) -> Floats:
        """Earliest time at which the curve has carried `goal` bits, at most its capacity.

        On a segment r0 dt + a dt^2 / 2 = b gives dt = 2 b / (r0 + sqrt(r0^2 + 2 a b)), which
        neither cancels nor divides by the slope a.
        """
        i = self._segment(_rank(self._bits, goal, "left"))
        start_s = self.time_s.take(i)
        rate = self.rate_bps.take(i)
        before = self._bits.take(i)
        i += 1
        end_s = self.time_s.take(i)
        upper = self._bits.take(i)
        left = goal - before
        # Where nothing is left, which 0 bits leave in a segment of no length, 0 over anything.
        twice_mean_bps = 2.0 * left / np.maximum(end_s - start_s, _LEAST)
        # Rounding may take the square of the final rate a little below 0.
        square = np.maximum(rate**2 + twice_mean_bps * (self.rate_bps.take(i) - rate), 0.0)
        after_s = 2.0 * left / np.maximum(rate + np.sqrt(square), _LEAST)
        whole = (left > 0) & (goal >= upper)
        return np.where(whole, end_s, np.minimum(start_s + after_s, end_s))

    def _each(self, values: Floats) -> Floats:
        """Values of any shape for one curve, (K,) for a batch."""
        if self._rows is None:
            return values
        rows = len(self.time_s)
        if values.shape == (rows,):
            return values
        if values.shape not in ((), (1,)):
            raise ValueError(f"shape {values.shape} does not fit a batch: give () or ({rows},)")
        return np.broadcast_to(values, (rows,))

    def _within(self, time_s: Floats) -> Floats:
        """Each time, or the nearer end of the grid."""
        return np.minimum(np.maximum(time_s, self.time_s[..., 0]), self.time_s[..., -1])

    def _segment(self, rank: Ints) -> Ints:
        """Places in the grid's memory of the points where segments begin."""
        i: Ints = np.minimum(np.maximum(rank - 1, 0), self.time_s.shape[-1] - 2)
        return i if self._rows is None else i + self._rows


def _sums(time: Floats, rate: Floats) -> tuple[Floats, Floats]:
    """The bits up to every grid point, and `_most_bits`, of arrays that from now on stay."""
    step_s = time[..., 1:] - time[..., :-1]
    segment_bits = (rate[..., :-1] + rate[..., 1:]) / 2.0 * step_s
    bits = np.zeros(time.shape)
    np.cumsum(segment_bits, axis=-1, out=bits[..., 1:])
    for grid in (time, rate, bits):
        grid.setflags(write=False)
    latest_s = np.maximum(np.abs(time[..., 0]), np.abs(time[..., -1]))
    peak_bps = rate.max(axis=-1)
    return bits, most_bits_of(bits[..., -1], latest_s, peak_bps)


def most_bits_of(capacity_bits: Floats, latest_s: Floats, peak_bps: Floats) -> Floats:
    """The capacity and as much as float64 is unsure of: its rounding, and one tick of the clock.

    `latest_s` is the time that is farthest from 0.
    """
    return capacity_bits + (ROUNDING * capacity_bits + np.spacing(latest_s) * peak_bps)


def _not_nan(name: str, value: ArrayLike) -> Floats:
    return checked(name, value, lambda x: ~np.isnan(x), "a number, infinity included")


def _rank(grid: Floats, values: Floats, side: Literal["left", "right"]) -> Ints:
    """How many points of each row are below (left) or at most (right) the value, row by row."""
    if grid.ndim == 1:
        return np.asarray(np.searchsorted(grid, values, side))
    column = values[:, np.newaxis]
    counted = grid < column if side == "left" else grid <= column
    return np.asarray(np.add.reduce(counted, axis=1, dtype=np.intp))


def joined(curves: Sequence[LinkCurve], spans_s: Sequence[tuple[float, float]]) -> LinkCurve:
    """One curve that follows each of `curves` within its span (start, end), and is 0 in between.

    The curves are batches of the same K devices. Spans are seconds in order of time, and may touch
    but not overlap. What a curve carries outside its span is left out, so that the capacity is the
    sum of what the curves carry inside. Raises ValueError for no curve, curves that are no batches
    of the same devices, or spans that do not follow each other.
    """
    if not curves or len(curves) != len(spans_s):
        raise ValueError(f"{len(curves)} curves and {len(spans_s)} spans; give a span to each")
    rows = {curve.time_s.shape[:-1] for curve in curves}
    if len(rows) != 1 or rows == {()}:
        raise ValueError(f"the curves have rows {sorted(rows)}; give batches of the same devices")
    edges = np.array(spans_s, dtype=float).ravel()
    if not (np.isfinite(edges).all() and (np.diff(edges) >= 0).all()):
        raise ValueError(f"the spans {list(spans_s)} overlap; give them in order of time")
    if len(curves) == 1 and (flat := curves[0].flat_part(*edges)) is not None:
        return flat
    pieces = [_cut(curve, *span) for curve, span in zip(curves, spans_s, strict=True)]
    if len(pieces) == 1:
        return LinkCurve.summed(*pieces[0])
    return LinkCurve.summed(*(np.concatenate(parts, axis=1) for parts in zip(*pieces, strict=True)))


def clipped(curve: LinkCurve, start_s: float | Floats, end_s: float | Floats) -> LinkCurve:
    """A batch of K rows between two times, for all or one per row (K,), falling to 0 at both.

    A row whose grid lies outside is at the nearer time, and carries nothing.
    """
    return LinkCurve.summed(*_cut(curve, start_s, end_s))


def _cut(curve: LinkCurve, start_s: float | Floats, end_s: float | Floats) -> tuple[Floats, Floats]:
    """Times and rates (K, T + 2) of a batch between two times: see `clipped`."""
    rows, points = curve.time_s.shape
    time: Floats = np.empty((rows, points + 2))
    rate: Floats = np.zeros((rows, points + 2))
    edges = [np.broadcast_to(edge_s, rows) for edge_s in (start_s, end_s)]
    inside_s = time[:, 1:-1]
    inside_bps = rate[:, 1:-1]
    np.clip(curve.time_s, edges[0][:, None], edges[1][:, None], out=inside_s)
    inside_bps[:] = curve.rate_bps
    for edge_s in edges:
        moved = (inside_s == edge_s[:, None]) & (curve.time_s != edge_s[:, None])
        np.copyto(inside_bps, curve.rate_at_bps(edge_s)[:, None], where=moved)
    time[:, 0] = inside_s[:, 0]
    time[:, -1] = inside_s[:, -1]
    return time, rate


# Rates for the points of a grid, such that a curve that is linear in between carries the right
# number of bits.


MOST_POINTS = 8
"""Points of a row from which its differences can be extrapolated to its ends."""
LEAST_POINTS = 4
"""Points of a row from which it has second differences there."""


def bit_preserving(rate_bps: Floats, points: Ints, where: Mask | None = None) -> Floats:
    """Rates (P,) of smooth links at even times, changed so that every cell has its true bits.

    The rows follow each other; `points` (R,) is how many each has, and no row changes another. At
    the two points next to either end differences are extrapolated. Rows of fewer than eight points
    have second differences only; those of fewer than four are left. With `where` (P,) other points
    are left: a cell between two that are not has its true bits, others need `cell_middle_rates`.
    """
    first = np.cumsum(points) - points
    last = np.cumsum(points) - 1
    second = _second_differences(rate_bps)
    bend = _second_differences(second)
    bend *= 11.0 / 60.0
    np.subtract(second, bend, out=bend)
    bend[:2] = bend[-2:] = 0.0
    if points.size and points.min() < MOST_POINTS:
        few = (points >= LEAST_POINTS) & (points < MOST_POINTS)
        bend = np.where(np.repeat(few, points), second, bend)
        _extrapolate(bend, first[few], last[few], (2.0, -1.0))
        bend[np.repeat(points < LEAST_POINTS, points)] = 0.0
    many = points >= MOST_POINTS
    for end in (1, 0):
        _extrapolate(bend, first[many] + end, last[many] - end, (4.0, -6.0, 4.0, -1.0))
    bend /= 12.0
    changed = np.subtract(rate_bps, bend, out=bend)
    np.maximum(changed, 0.0, out=changed)
    return changed if where is None else np.where(where, changed, rate_bps)


def _second_differences(values: Floats) -> Floats:
    """Second differences (P,) of values, those of the first and the last one 0."""
    found = np.zeros_like(values)
    inner = np.multiply(values[1:-1], 2.0, out=found[1:-1])
    np.subtract(values[:-2], inner, out=inner)
    inner += values[2:]
    return found


def between_smooth_cells(smooth: Mask) -> Mask:
    """Points (P,) with two `smooth` cells (P,) on either side.

    A cell is behind its point; behind the last point of a row there is none, smooth or not.
    """
    inner = np.zeros(len(smooth), bool)
    inner[2:-1] = smooth[:-3] & smooth[1:-2] & smooth[2:-1] & smooth[3:]
    return inner


def _extrapolate(bend: Floats, first: Ints, last: Ints, weights: tuple[float, ...]) -> None:
    """Fill in points `first` and `last`, each from those that lie inwards of it."""
    for at, inwards in ((first, 1), (last, -1)):
        bend[at] = sum(w * bend[at + inwards * n] for n, w in enumerate(weights, 1))


def cell_middle_rates(mean_bps: Floats, moved_bps: tuple[Floats, Floats]) -> Floats:
    """Rates for the middle of cells, such that both halves together have the bits of the cell.

    `mean_bps` is the true mean over each, `moved_bps` are the rates that the curve has at its
    ends. All of one shape.
    """
    return np.maximum(2.0 * mean_bps - (moved_bps[0] + moved_bps[1]) / 2.0, 0.0)


class CurveTable:
    """B batches of link curves; batch b has `rows` and `points` (B,) of each row.

    `time_s` and `rate_bps` are flat, row after row and batch after batch, and are what `LinkCurve`
    asks for, which is not checked. `capacity_bits` is that of every row.
    """

    def __init__(self, rows: Ints, points: Ints, time_s: Floats, rate_bps: Floats) -> None:
        """Sum the bits up to every point, row by row, as `LinkCurve` does."""
        self.rows = rows
        self.points = points
        self.time_s = time_s
        self.rate_bps = rate_bps
        ends = np.cumsum(rows * points)
        self._first = ends - rows * points
        self._first_row = np.cumsum(rows) - rows
        bits = np.empty_like(time_s)
        of_cells = np.add(rate_bps[:-1], rate_bps[1:], out=bits[1:])
        of_cells /= 2.0
        of_cells *= time_s[1:] - time_s[:-1]
        each = np.repeat(points, rows)
        last = np.cumsum(each) - 1
        bits[last - each + 1] = 0.0
        for first, end, count in zip(
            self._first.tolist(), ends.tolist(), points.tolist(), strict=True
        ):
            batch = bits[first:end].reshape(-1, count)
            np.cumsum(batch, axis=1, out=batch)
        self._bits = bits
        self.capacity_bits = bits[last]
        latest_s = np.maximum(np.abs(time_s[last]), np.abs(time_s[last - each + 1]))
        peak_bps = np.maximum.reduceat(rate_bps, last - each + 1) if len(last) else rate_bps
        self._most_bits = most_bits_of(self.capacity_bits, latest_s, peak_bps)
        for grid in (time_s, rate_bps, bits, self.capacity_bits):
            grid.setflags(write=False)

    def batch(self, number: int) -> LinkCurve:
        """The curves of one batch: views of the table."""
        rows = int(self.rows[number])
        points = int(self.points[number])
        first = int(self._first[number])
        row = int(self._first_row[number])
        place = slice(first, first + rows * points)
        shape = (rows, points)
        time, rate, bits = (
            flat[place].reshape(shape) for flat in (self.time_s, self.rate_bps, self._bits)
        )
        return LinkCurve.of(time, rate, bits, self._most_bits[row : row + rows])

    def row_capacity_bits(self, number: int) -> Floats:
        """Capacity of each row of one batch."""
        row = int(self._first_row[number])
        return self.capacity_bits[row : row + int(self.rows[number])]
