"""One transmission to many devices: the rate of the one with the poorest link, at every time."""

from math import inf

import numpy as np

from channel.link_curve import ROUNDING, LinkCurve
from statements.arrays import Floats, Ints, Mask


def weakest(curve: LinkCurve, who: Mask, span_s: tuple[float, float] = (-inf, inf)) -> LinkCurve:
    """The curves (K rows) of a broadcast to the devices in `who` (K,) within a span of time.

    At every time it has the lowest rate of those devices, so that it lasts while all of them have a
    link; its points are all those where the lowest rate bends, changes from device to device or
    jumps. Devices whose link carries nothing at all within the span are left out, and get 0, like
    those not in `who`.
    """
    if span_s[0] <= curve.time_s[:, 0].min() and curve.time_s[:, -1].max() <= span_s[1]:
        carried_bits = curve.capacity_bits
    else:
        carried_bits = curve.delivered_bits(span_s[1]) - curve.delivered_bits(span_s[0])
    members = who & (carried_bits > 0)
    rows = slice(None) if members.all() else members
    time_s = curve.time_s[rows]
    rate_bps = curve.rate_bps[rows]
    begin_s = time_s[:, 0].max(initial=span_s[0])
    end_s = time_s[:, -1].min(initial=span_s[1])
    if not (len(time_s) and begin_s < end_s):
        return LinkCurve(curve.time_s, np.zeros_like(curve.rate_bps))
    lowest_s, lowest_bps = _lowest(time_s, rate_bps, begin_s, end_s)
    lowest_s = np.repeat(lowest_s[np.newaxis], len(members), axis=0)
    return LinkCurve.summed(lowest_s, np.multiply.outer(members, lowest_bps))


# Lines that are compared at once: the work grows with the square of their number.
_GROUP = 200


def _lowest(
    time_s: Floats, rate_bps: Floats, begin_s: float, end_s: float
) -> tuple[Floats, Floats]:
    """Times and rates of the lowest of K lines, (K, T) each, where all of them have a rate.

    Most columns hold one time for all lines: between two of these, nothing has to be sorted.
    """
    if len(time_s) <= _GROUP:
        return _of_few(time_s, rate_bps, begin_s, end_s)
    column_s = time_s[0]
    shared = (time_s == column_s).all(axis=0) & (column_s >= begin_s) & (column_s <= end_s)
    runs = np.flatnonzero(np.diff(shared[:-1] & shared[1:], prepend=False, append=False))
    parts = []
    behind = 0
    for first, last in runs.reshape(-1, 2):
        some = slice(behind, first + 1)
        parts.append(_of_many(time_s[:, some], rate_bps[:, some], begin_s, column_s[first]))
        wide = np.flatnonzero(np.diff(column_s[first : last + 1])) + first
        if len(wide):  # a jump of all lines has no width
            edges_s = column_s[wide], np.append(column_s[wide[1:]], column_s[last])
            starts = np.arange(len(wide)) == 0
            every = np.ones((len(time_s), len(wide)), bool)
            cells = _straight(edges_s, rate_bps[:, wide], rate_bps[:, wide + 1], starts, every)
            parts.append(cells[1:])
        begin_s = column_s[last]
        behind = last
    parts.append(_of_many(time_s[:, behind:], rate_bps[:, behind:], begin_s, end_s))
    lowest_s, lowest_bps = (np.concatenate(x) for x in zip(*parts, strict=True))
    new = np.append(True, (np.diff(lowest_s) > 0) | (np.diff(lowest_bps) != 0))
    return lowest_s[new], lowest_bps[new]


def _of_many(
    time_s: Floats, rate_bps: Floats, begin_s: float, end_s: float
) -> tuple[Floats, Floats]:
    """The lowest one of those of groups, without lines that are always above another's highest."""
    if begin_s >= end_s:
        return np.empty(0), np.empty(0)
    by_ends = np.stack([(time_s <= begin_s).sum(axis=1), (time_s < end_s).sum(axis=1)], axis=1)
    segment = np.minimum(np.maximum(by_ends - 1, 0), time_s.shape[1] - 2)
    ends_bps = _rates_at(np.array([begin_s, end_s]), time_s, rate_bps, segment)
    inside_bps = np.where((time_s > begin_s) & (time_s < end_s), rate_bps, ends_bps[:, :1])
    least_bps = np.minimum(inside_bps.min(axis=1), ends_bps[:, 1])
    most_bps = np.maximum(inside_bps.max(axis=1), ends_bps[:, 1])
    low = np.flatnonzero(least_bps <= most_bps.min())
    groups = np.split(low, range(_GROUP, len(low), _GROUP))
    found = [_of_few(time_s[some], rate_bps[some], begin_s, end_s) for some in groups]
    if len(found) == 1:
        return found[0]
    points = max(len(times_s) for times_s, _ in found)
    time_s, rate_bps = (
        np.stack([np.pad(x, (0, points - len(x)), mode="edge") for x in each])
        for each in zip(*found, strict=True)
    )
    return _of_few(time_s, rate_bps, begin_s, end_s)


def _of_few(
    time_s: Floats, rate_bps: Floats, begin_s: float, end_s: float
) -> tuple[Floats, Floats]:
    """The lowest line, by the rates of all of them at all points of any."""
    when_s, passed = _points_of_all(time_s, begin_s, end_s)
    inside = np.flatnonzero((when_s >= begin_s) & (when_s <= end_s))
    when_s = when_s[inside]
    by_now = passed[:, inside]
    before = passed[:, np.maximum(inside - 1, 0)] * (inside > 0)
    last = time_s.shape[1] - 2
    before_bps, behind_bps = (
        _rates_at(when_s, time_s, rate_bps, np.minimum(np.maximum(x - 1, 0), last))
        for x in (before, by_now)
    )
    starts = np.arange(len(when_s) - 1) == 0
    own = (by_now != before)[:, :-1]
    edges_s = when_s[:-1], when_s[1:]
    return _straight(edges_s, behind_bps[:, :-1], before_bps[:, 1:], starts, own)[1:]


def _points_of_all(time_s: Floats, begin_s: float, end_s: float) -> tuple[Floats, Ints]:
    """All times (U,) at which a line has a point, and two more, in order.

    With how many points of each line are at or before each time (K, U).
    """
    lines, points = time_s.shape
    # Most points are at the times of the first line's: the others are few to be sorted.
    other = time_s != time_s[0]
    all_s = np.concatenate([time_s[0], time_s[other], [begin_s, end_s]])
    when_s, rank = np.unique(all_s, return_inverse=True)
    index = np.repeat(rank[np.newaxis, :points], lines, axis=0)
    index[other] = rank[points:-2]
    index += len(when_s) * np.arange(lines)[:, None]
    counts = np.bincount(index.ravel(), minlength=lines * len(when_s)).reshape(lines, -1)
    return when_s, counts.cumsum(axis=1)


def _straight(
    span_s: tuple[Floats, Floats], first: Floats, last: Floats, starts: Mask, own: Mask
) -> tuple[Ints, Floats, Floats]:
    """The lowest of K lines in C cells from one time to another, from `first` to `last` (K, C).

    It changes where two lines cross. A cell that `starts` (C,) follows no other. What only other
    lines have a point for where a cell begins, in place of their `own` (K, C), is on the way of the
    lowest one. Returns the cell, the time and the rate of each point.
    """
    cell = np.arange(first.shape[1])
    one = first.argmin(axis=0)
    other = last.argmin(axis=0)
    first_bps = first[one, cell]
    last_bps = last[other, cell]
    bends = starts[1:] | own[one[1:], cell[1:]] | own[other[:-1], cell[1:]]
    begins = starts.copy()
    begins[1:] |= bends & (first_bps[1:] != last_bps[:-1])
    ends = np.append(bends, True)
    parts = [
        (cell[begins], np.zeros(np.count_nonzero(begins)), first_bps[begins]),
        (cell[ends], np.ones(np.count_nonzero(ends)), last_bps[ends]),
        *_crossings(first, last, one, other),
    ]
    cell, share, lowest_bps = (np.concatenate(x) for x in zip(*parts, strict=True))
    order = np.lexsort((share, cell))
    cell = cell[order]
    share = share[order]
    begin_s, end_s = (edge_s[cell] for edge_s in span_s)
    lowest_s = np.where(share == 1.0, end_s, begin_s + share * (end_s - begin_s))
    return cell, lowest_s, lowest_bps[order]


def _rates_at(when_s: Floats, time_s: Floats, rate_bps: Floats, segment: Ints) -> Floats:
    """Rates (K, U) at times (U,), each on the segment of its line that begins at such a point."""
    left = segment + time_s.shape[1] * np.arange(len(time_s))[:, None]
    start_s = time_s.take(left)
    rate = rate_bps.take(left)
    step_s = time_s.take(left + 1) - start_s
    share = np.ones_like(rate)
    np.divide(when_s - start_s, step_s, out=share, where=step_s > 0)
    return np.asarray(rate + share * (rate_bps.take(left + 1) - rate))


def _crossings(
    first_bps: Floats, last_bps: Floats, one: Ints, other: Ints
) -> list[tuple[Ints, Floats, Floats]]:
    """Cells, shares of them and rates where the lowest of lines (K, C) changes.

    `one` (C,) is the lowest one where a cell begins, `other` where it ends. Where two lines that
    are the lowest ones of a stretch meet, there may be a third one below them: then both meet with
    that.
    """
    found = []
    cell = np.flatnonzero(one != other)
    one = one[cell]
    other = other[cell]
    while cell.size:
        number = np.arange(len(cell))
        first = first_bps[:, cell]
        last = last_bps[:, cell]
        before = first[one, number] - first[other, number]
        behind = last[one, number] - last[other, number]
        share = before / np.where(before == behind, 1.0, before - behind)
        there_bps = first + share * (last - first)
        third = there_bps.argmin(axis=0)
        met_bps = there_bps[one, number]
        # Rounding may put one of the two a little below the other.
        met = (third == one) | (third == other)
        met |= there_bps[third, number] >= met_bps * (1.0 - ROUNDING)
        found.append((cell[met], share[met], met_bps[met]))
        cell, one, other, third = (x[~met] for x in (cell, one, other, third))
        cell = np.tile(cell, 2)
        one = np.append(one, third)
        other = np.append(third, other)
    return found
