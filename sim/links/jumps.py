"""Where values along passes jump, turn or cross a level: out of sight, or to another coding.

Rows are devices in passes; points lie in flat arrays, sorted by row and there by time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from orbit.roots import peaks, roots
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
