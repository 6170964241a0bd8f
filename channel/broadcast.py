"""One transmission to many devices: the rate of the one with the poorest link, at every time."""

from dataclasses import dataclass
from itertools import pairwise
from math import inf

import numpy as np
from numpy.typing import NDArray

from channel.checks import Floats
from channel.curve_table import CurveTable, Ints, spread
from channel.link_curve import LinkCurve, most_bits_of

ROUNDING = 1e-12

Mask = NDArray[np.bool_]
Line = tuple[Floats, Floats]
"""Times (T,), not falling, and rates (T,): straight in between."""


def weakest(curve: LinkCurve, who: Mask, span_s: tuple[float, float] = (-inf, inf)) -> LinkCurve:
    """The curves (K rows) of a broadcast to the devices in `who` (K,) within a span of time.

    At every time it has the lowest rate of those devices, so that it lasts while all of them have a
    link; its points are all those where the lowest rate bends, changes from device to device or
    jumps. Devices whose link carries nothing at all within the span are left out, and get 0, like
    those not in `who`.
    """
    rows, points = (np.array([count]) for count in curve.time_s.shape)
    members = who & (carried_bits(curve, span_s) > 0)
    flat = curve.time_s.ravel(), curve.rate_bps.ravel()
    lines = _lowest(rows, points, *flat, members, np.array([span_s]))
    return broadcast(curve, members, lines.get(0))


def carried_bits(curve: LinkCurve, span_s: tuple[float, float]) -> Floats:
    """Bits (K,) that each row carries within a span."""
    if span_s[0] <= curve.time_s[:, 0].min() and curve.time_s[:, -1].max() <= span_s[1]:
        return curve.capacity_bits
    return curve.delivered_bits(span_s[1]) - curve.delivered_bits(span_s[0])


def broadcast(curve: LinkCurve, members: Mask, line: Line | None) -> LinkCurve:
    """A batch of the rows of `curve`: the line for its members (K,), and 0 for the others."""
    if line is None:
        return LinkCurve(curve.time_s, np.zeros_like(curve.rate_bps))
    time_s, rate_bps = line
    bits = np.zeros_like(time_s)
    np.cumsum((rate_bps[:-1] + rate_bps[1:]) / 2.0 * (time_s[1:] - time_s[:-1]), out=bits[1:])
    most_bits = most_bits_of(bits[-1], np.abs(time_s).max(), rate_bps.max())
    each = (np.multiply.outer(members, values) for values in (rate_bps, bits, most_bits))
    return LinkCurve.of(np.tile(time_s, (len(members), 1)), *each)


def lowest_lines(table: CurveTable) -> dict[int, Line]:
    """The lowest rate of all devices that have a link, of each batch of a table by number.

    A batch whose devices have no time in common has none.
    """
    always = np.tile([-inf, inf], (len(table.rows), 1))
    carries = table.capacity_bits > 0
    return _lowest(table.rows, table.points, table.time_s, table.rate_bps, carries, always)


# Lower envelopes of many batches of lines at once. The time that the lines of a batch have in
# common is cut into cells at those of their points that are common as well. In most cells all lines
# are straight. Where they bend, lines of a cell are compared by pairs.


def _lowest(
    rows: Ints, points: Ints, time_s: Floats, rate_bps: Floats, members: Mask, span_s: Floats
) -> dict[int, Line]:
    """The envelope of each of B batches by number, within spans (B, 2).

    Batches have so many `rows` of so many `points`, flat; only the `members` (R,) count.
    """
    again = (time_s[1:] == time_s[:-1]) & (rate_bps[1:] != rate_bps[:-1])
    each = np.repeat(points, rows)
    again[np.cumsum(each)[:-1] - 1] = False
    if again.any():  # A jump at one time becomes two points that follow each other.
        begins = np.ones(len(time_s), bool)
        begins[1:] = time_s[1:] != time_s[:-1]
        begins[np.cumsum(each)[:-1]] = True
        # Points before it at that time are before it still.
        number = np.cumsum(begins) - 1
        last = np.full(number[-1] + 1, -1)
        last[number[:-1][again]] = np.flatnonzero(again)
        early = np.arange(len(time_s)) <= last[number]
        time_s = np.where(early, np.nextafter(time_s, -inf), time_s)
    lines = _Lines(rows, points, time_s, rate_bps, members, span_s)
    if not len(lines.batches):
        return {}
    cells = _Cells(lines)
    bent = cells.bent()
    straight = np.ones(len(cells.batch), bool)
    straight[bent[0]] = False
    found = [cells.edges(), cells.crossings(np.flatnonzero(straight)), bent]
    cell, when_s, lowest = (np.concatenate(x) for x in zip(*found, strict=True))
    order = np.lexsort((when_s, cells.batch[cell]))
    when_s, lowest = when_s[order], lowest[order]
    ends = np.cumsum(np.bincount(cells.batch[cell])).tolist()
    pieces = (slice(*ends_of) for ends_of in pairwise([0, *ends]))
    line_of = zip(lines.batches.tolist(), pieces, strict=True)
    return {number: (when_s[piece], lowest[piece]) for number, piece in line_of}


class _Lines:
    """M lines that count, of B batches whose lines have time in common.

    `first` (M,) is each line's first point, `batch` (M,) its batch. Of each batch (B,) `batches` is
    the number among all, `points` those of each line, `count` and `begin` how many lines there are
    and the first of them; between `begin_s` and `end_s` all of them have a rate.
    """

    def __init__(
        self, rows: Ints, points: Ints, time_s: Floats, rate_bps: Floats, some: Mask, span_s: Floats
    ) -> None:
        self.time_s, self.rate_bps = time_s, rate_bps
        of_row = np.repeat(np.arange(len(rows)), rows)[some]
        each = np.repeat(points, rows)
        first: Ints = (np.cumsum(each) - each)[some]
        begin_s, end_s = span_s.T.copy()
        np.maximum.at(begin_s, of_row, time_s[first])
        np.minimum.at(end_s, of_row, time_s[first + points[of_row] - 1])
        count = np.bincount(of_row, minlength=len(rows))
        batches = np.flatnonzero((count > 0) & (begin_s < end_s))
        kept = np.isin(of_row, batches)
        self.first, self.batch = first[kept], np.searchsorted(batches, of_row[kept])
        self.batches, self.points, self.count = batches, points[batches], count[batches]
        self.begin = np.cumsum(self.count) - self.count
        self.begin_s, self.end_s = begin_s[batches], end_s[batches]

    def block(self, number: int, values: Floats) -> Floats:
        """The values (K, T) of a batch's lines."""
        mine = self.first[self.begin[number] : self.begin[number] + self.count[number]]
        points = self.points[number]
        if mine[-1] - mine[0] == (len(mine) - 1) * points:  # nearly always: no line is left out
            return values[mine[0] : mine[-1] + points].reshape(-1, points)
        return values[mine[:, None] + np.arange(points)]

    def common_columns(self, number: int) -> Ints:
        """Points of a batch's lines that are at one time, within the time of all of them."""
        time_s = self.block(number, self.time_s)
        one_s = time_s[0]
        common = (one_s > self.begin_s[number]) & (one_s < self.end_s[number])
        common[common] = (time_s[:, common] == one_s[common]).all(axis=0)
        return np.flatnonzero(common)


class _Cells:
    """C cells of the batches, one after the other, between `left` and `right` (C,) columns.

    The first of a batch begins at none, -1, and its last one ends behind all. `edge` (C,) is the
    number of a cell's left edge, whose lines have `rate_bps` from `place` (C + B,) on; the next
    edge is its right one. `lowest` and `line` (C + B,) are the lowest rate at an edge, and which of
    the batch's lines has it.
    """

    def __init__(self, lines: _Lines) -> None:
        self.lines, batches = lines, len(lines.batches)
        columns = [lines.common_columns(number) for number in range(batches)]
        ends = zip(columns, lines.points.tolist(), strict=True)
        edge_column = np.concatenate([x for c, n in ends for x in ((-1,), c, (n,))])
        edges = np.array([len(c) + 2 for c in columns])
        edge_batch = np.repeat(np.arange(batches), edges)
        first_edge, last_edge = np.cumsum(edges) - edges, np.cumsum(edges) - 1
        # What a column is at for the first line it is at for all.
        inside = np.clip(edge_column, 0, lines.points[edge_batch] - 1)
        edge_s = lines.time_s[lines.first[lines.begin[edge_batch]] + inside]
        edge_s[first_edge], edge_s[last_edge] = lines.begin_s, lines.end_s
        whose = lines.batch
        begin_bps = _rates_at(
            lines, lines.begin_s, np.zeros_like(whose),
            np.minimum(edge_column[first_edge + 1], lines.points - 1)[whose], "right",
        )  # fmt: skip
        end_bps = _rates_at(
            lines, lines.end_s, np.maximum(edge_column[last_edge - 1], 0)[whose],
            (lines.points - 1)[whose], "left",
        )  # fmt: skip
        rates: list[Floats] = []
        for number, (first, end) in enumerate(zip(first_edge, last_edge + 1, strict=True)):
            mine = slice(lines.begin[number], lines.begin[number] + lines.count[number])
            at = lines.block(number, lines.rate_bps).take(inside[first:end], axis=1).T.copy()
            at[0], at[-1] = begin_bps[mine], end_bps[mine]
            rates.append(at)
        self.place = np.cumsum(lines.count[edge_batch]) - lines.count[edge_batch]
        self.lowest = np.concatenate([at.min(axis=1) for at in rates])
        self.line = np.concatenate([at.argmin(axis=1) for at in rates])
        self.rate_bps = np.concatenate([at.ravel() for at in rates])
        self.edge_s, self.edge = edge_s, np.delete(np.arange(len(edge_s)), last_edge)
        self.batch = edge_batch[self.edge]
        self.left, self.right = edge_column[self.edge], edge_column[self.edge + 1]

    def edges(self) -> tuple[Ints, Floats, Floats]:
        """A cell of each edge's batch, and its time and lowest rate."""
        last = np.cumsum(np.bincount(self.batch)) - 1
        cell = np.append(np.arange(len(self.batch)), last)
        edge = np.append(self.edge, self.edge[last] + 1)
        return cell, self.edge_s[edge], self.lowest[edge]

    def crossings(self, cell: Ints) -> tuple[Ints, Floats, Floats]:
        """Cells, times and rates where the lowest one of straight lines changes, in some cells.

        Where two lines that are the lowest ones of a stretch meet, there may be a third one below
        them: then both meet with that.
        """
        one, other = self.line[self.edge[cell]], self.line[self.edge[cell] + 1]
        found = [(cell[:0], self.edge_s[:0], self.edge_s[:0])]
        while True:
            apart = one != other
            cell, one, other = cell[apart], one[apart], other[apart]
            if not cell.size:
                break
            left, right = self.place[self.edge[cell]], self.place[self.edge[cell] + 1]
            rate = self.rate_bps
            before = rate[left + one] - rate[left + other]
            behind = rate[right + one] - rate[right + other]
            share = before / np.where(before == behind, 1.0, before - behind)
            met_bps = rate[left + one] + share * (rate[right + one] - rate[left + one])
            every, line = spread(np.zeros_like(cell), self.lines.count[self.batch[cell]])
            begin_bps = rate[left[every] + line]
            there_bps = begin_bps + share[every] * (rate[right[every] + line] - begin_bps)
            first = _begins(every)
            least_bps = np.minimum.reduceat(there_bps, first)
            at_least = np.flatnonzero(there_bps == least_bps[every])
            third = line[at_least[np.searchsorted(at_least, first)]]
            # Rounding may put one of the two a little below the other.
            met = (third == one) | (third == other) | (least_bps >= met_bps * (1.0 - ROUNDING))
            begin_s, end_s = self.edge_s[self.edge[cell]], self.edge_s[self.edge[cell] + 1]
            when_s = begin_s + share * (end_s - begin_s)
            inside = met & (when_s > begin_s) & (when_s < end_s)
            found.append((cell[inside], when_s[inside], met_bps[inside]))
            cell, one, other, third = (x[~met] for x in (cell, one, other, third))
            cell, one, other = np.tile(cell, 2), np.append(one, third), np.append(third, other)
        cells, times_s, rates = (np.concatenate(x) for x in zip(*found, strict=True))
        return cells, times_s, rates

    def bent(self) -> tuple[Ints, Floats, Floats]:
        """Cells in which lines bend, and times and rates of the lowest one's points inside."""
        lines, gap = self.lines, np.flatnonzero(self.right - self.left > 1)
        of_gap, member = spread(lines.begin[self.batch[gap]], lines.count[self.batch[gap]])
        cell = gap[of_gap]
        pair, point = spread(
            lines.first[member] + self.left[cell] + 1, self.right[cell] - self.left[cell] - 1
        )
        time_s, inside = lines.time_s[point], self.edge[cell][pair]
        own = (time_s > self.edge_s[inside]) & (time_s < self.edge_s[inside + 1])
        bends = np.zeros(len(self.batch), bool)
        bends[cell[pair[own]]] = True
        some = np.flatnonzero(bends[cell])
        cell, local = cell[some], (member - lines.begin[lines.batch[member]])[some]
        number = np.empty(len(member), np.int64)
        number[some] = np.arange(len(some))
        edge = self.edge[cell]
        line = np.concatenate([np.arange(len(some)), number[pair[own]], np.arange(len(some))])
        when_s = np.concatenate([self.edge_s[edge], time_s[own], self.edge_s[edge + 1]])
        first_bps, last_bps = (self.rate_bps[self.place[edge + n] + local] for n in (0, 1))
        rate_bps = np.concatenate([first_bps, lines.rate_bps[point[own]], last_bps])
        order = np.lexsort((when_s, line))
        found = _Bent(cell[line[order]], line[order], when_s[order], rate_bps[order])
        return found.lowest().inside()


def _rates_at(lines: _Lines, when_s: Floats, first: Ints, last: Ints, side: str) -> Floats:
    """Rates (M,) at a time of each batch (B,) between two columns (M,), on that side of a jump."""
    line, point = spread(lines.first + first, last - first + 1)
    own_s, at_s = lines.time_s[point], when_s[lines.batch]
    passed = own_s <= at_s[line] if side == "right" else own_s < at_s[line]
    begin = _begins(line)
    before = lines.first + first + np.add.reduceat(passed.astype(np.int64), begin) - 1
    time_s, rate = lines.time_s[before], lines.rate_bps[before]
    share = (at_s - time_s) / (lines.time_s[before + 1] - time_s)
    return np.asarray(rate + share * (lines.rate_bps[before + 1] - rate))


def _begins(group: Ints) -> Ints:
    """Where the groups of sorted numbers begin."""
    first = np.ones(len(group), bool)
    np.not_equal(group[1:], group[:-1], out=first[1:])
    return np.flatnonzero(first)


@dataclass(frozen=True, eq=False)
class _Bent:
    """Points of lines, sorted by cell, line and time; all lines of a cell begin and end with it."""

    cell: Ints
    line: Ints
    time_s: Floats
    rate_bps: Floats

    def of(self, some: Mask | Ints) -> "_Bent":
        """Some of the points, or all in another order."""
        return _Bent(*(values[some] for values in vars(self).values()))

    def inside(self) -> tuple[Ints, Floats, Floats]:
        """Cells, times and rates of all points but each line's first and last."""
        inner = np.zeros(len(self.line), bool)
        inner[1:-1] = (self.line[1:-1] == self.line[:-2]) & (self.line[1:-1] == self.line[2:])
        found = self.of(inner)
        return found.cell, found.time_s, found.rate_bps

    def lowest(self) -> "_Bent":
        """One line a cell: at every time the lowest one."""
        lines = self._some_lowest() if len(self.line) else self
        while len(lines.line):
            begins = _begins(lines.line)
            cell = lines.cell[begins]
            in_cell = np.arange(len(cell)) - np.searchsorted(cell, cell)
            if not in_cell.any():
                break
            alone = np.append(cell[1:] != cell[:-1], True) & (in_cell % 2 == 0)
            points = np.diff(begins, append=len(lines.line))
            second = np.repeat(in_cell % 2 == 1, points)
            number = np.repeat(np.arange(len(cell)) - in_cell % 2, points)
            rest = np.repeat(alone, points)
            pairs = _Bent(lines.cell, number, lines.time_s, lines.rate_bps)
            merged = pairs.of(~rest)._lower(second[~rest])
            both = zip(vars(merged).values(), vars(pairs.of(rest)).values(), strict=True)
            lines = _Bent(*(np.concatenate(x) for x in both))
            lines = lines.of(np.argsort(lines.line, kind="stable"))
        return lines

    def _some_lowest(self) -> "_Bent":
        """Without lines that stay above the highest point of another line of their cell."""
        begins = _begins(self.line)
        first = _begins(self.cell[begins])
        of_cell = np.repeat(np.arange(len(first)), np.diff(first, append=len(begins)))
        lowest = np.minimum.reduceat(self.rate_bps, begins)
        highest = np.maximum.reduceat(self.rate_bps, begins)
        kept = lowest <= np.minimum.reduceat(highest, first)[of_cell]
        return self.of(np.repeat(kept, np.diff(begins, append=len(self.line))))

    def _lower(self, second: Mask) -> "_Bent":
        """The lower one of each pair of lines with one number; `second` says which of the two."""
        order = np.lexsort((second, self.time_s, self.line))
        points, second = self.of(order), second[order]
        line, time_s = points.line, points.time_s
        values = [points._of_one(second == side) for side in (False, True)]
        above = values[0] - values[1]
        lower = np.minimum(*values)
        ends = _begins(line), np.flatnonzero(np.diff(line, append=-1))
        kept = np.where(second, above >= 0, above <= 0)
        cross = np.flatnonzero((line[1:] == line[:-1]) & (above[:-1] * above[1:] < 0))
        # Both sides of a crossing stay: the place of one inside a jump is known to rounding only.
        kept[cross] = kept[cross + 1] = True
        kept[ends[0]] = kept[ends[1]] = True
        kept[ends[0] + 1] = kept[ends[1] - 1] = False
        same = (line[1:] == line[:-1]) & (time_s[1:] == time_s[:-1]) & kept[:-1]
        kept[1:] &= ~same
        kept[ends[1]] = True
        share = above[cross] / (above[cross] - above[cross + 1])
        met_s = time_s[cross] + share * (time_s[cross + 1] - time_s[cross])
        first_bps = values[0][cross]
        met_bps = first_bps + share * (values[0][cross + 1] - first_bps)
        new = (points.cell[cross], line[cross], met_s, met_bps)
        lowest = _Bent(points.cell, line, time_s, lower).of(kept)
        if not cross.size:
            return lowest
        pairs = zip(vars(lowest).values(), new, strict=True)
        both = _Bent(*(np.concatenate(pair) for pair in pairs))
        places = np.append(np.flatnonzero(kept), cross + 0.5)
        return both.of(np.argsort(places))

    def _of_one(self, mine: Mask) -> Floats:
        """Rates at all points of one line of each number: at its own points, and in between."""
        place = np.arange(len(mine))
        before = np.maximum.accumulate(np.where(mine, place, -1))
        behind = np.minimum.accumulate(np.where(mine, place, len(mine))[::-1])[::-1]
        # The other line's first point may be sorted before this one's, and its last one behind it.
        begins = _begins(self.line)
        first = np.repeat(begins, np.diff(begins, append=len(mine)))
        last = np.repeat(np.append(begins[1:], len(mine)) - 1, np.diff(begins, append=len(mine)))
        early, late = before < first, behind > last
        before, behind = np.where(early, behind, before), np.where(late, before, behind)
        lasts_s = self.time_s[behind] - self.time_s[before]
        share = np.where(lasts_s > 0, self.time_s - self.time_s[before], 0.0) / np.where(
            lasts_s > 0, lasts_s, 1.0
        )
        rate = self.rate_bps[before]
        return np.asarray(rate + share * (self.rate_bps[behind] - rate))
