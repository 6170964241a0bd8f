"""Where the rate along a pass jumps or has a kink: in and out of sight, from coding to coding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask

HALVINGS = 25
"""Halvings of a cell of some seconds, down to a tenth of a microsecond."""

ALMOST_AT_ONCE_S = 2e-6
"""Two times so close are both sides of what lies between them."""

StateAt = Callable[[Floats, Ints], Ints]
"""States (R, J) of some devices at their own times (R, J), by their rows (R,)."""
ValueAt = Callable[[Floats], Floats]
"""Values (K, J) of all devices at their own times (K, J)."""


@dataclass(frozen=True, eq=False)
class Jumps:
    """Times (K, J) just before and just behind each jump of each device.

    Those that are not ``real`` fill up the rows of devices with fewer jumps, with their last time.
    """

    before_s: Floats
    behind_s: Floats
    real: Mask


@dataclass(frozen=True, eq=False)
class _Cells:
    """Times and states (K, J) at both ends of stretches of time; those of no length do not count.

    All rows have as many stretches as the row with the most.
    """

    start_s: Floats
    end_s: Floats
    first: Ints
    last: Ints

    @property
    def changes(self) -> Mask:
        lasts = self.end_s > self.start_s + ALMOST_AT_ONCE_S
        changes: Mask = (self.first != self.last) & lasts
        return changes

    def of(self, rows: Ints) -> _Cells:
        """Those of some rows."""
        return _Cells(*(x[rows] for x in vars(self).values()))

    def with_rest(self, rows: Ints, rest: _Cells) -> _Cells:
        """These cells after one change of each: ``rest`` in some rows, none in others."""
        left = _Cells(self.end_s.copy(), self.end_s, self.last.copy(), self.last)
        left.start_s[rows], left.first[rows] = rest.start_s, rest.first
        return left

    def changing(self) -> _Cells:
        """Those with two states, first in each row; the others shrink to one instant."""
        which, real = _first_columns(self.changes)
        start_s, end_s, first, last = (
            np.take_along_axis(x, which, axis=1) for x in vars(self).values()
        )
        return _Cells(start_s, np.where(real, end_s, start_s), first, last)


def find_jumps(time_s: Floats, state: Ints, state_at: StateAt) -> Jumps:
    """Find the changes of ``state`` (K, T) between times (K, T), not decreasing.

    Of a cell with several changes all are found, unless one undoes another.
    """
    cells = _Cells(time_s[:, :-1], time_s[:, 1:], state[:, :-1], state[:, 1:]).changing()
    ends_s = time_s[:, -1:]
    before, behind = [ends_s[:, :0]], [ends_s[:, :0]]
    while cells.first.shape[1]:
        rows = np.flatnonzero(cells.changes.any(axis=1))
        found = _bracket(cells.of(rows), rows, state_at)
        for side, found_s in zip((before, behind), found, strict=True):
            side.append(np.repeat(ends_s, cells.first.shape[1], axis=1))
            side[-1][rows] = np.where(cells.changes[rows], found_s, ends_s[rows])
        rest = cells.of(rows)
        rest = _Cells(found[1], rest.end_s, state_at(found[1], rows), rest.last)
        cells = cells.with_rest(rows, rest).changing()
    both = np.concatenate(before, axis=1), np.concatenate(behind, axis=1)
    return Jumps(*both, both[0] < both[1])


def _bracket(cells: _Cells, rows: Ints, state_at: StateAt) -> tuple[Floats, Floats]:
    """Halve each cell down to a change from its first state to another one."""
    before, behind = cells.start_s, cells.end_s
    for _ in range(HALVINGS):
        middle = (before + behind) / 2
        same = state_at(middle, rows) == cells.first
        before, behind = np.where(same, middle, before), np.where(same, behind, middle)
    return before, behind


GOLDEN = (5**0.5 - 1) / 2
NARROWINGS = 18
"""Steps of the golden section: two cells of some seconds down to two milliseconds."""


def turns(time_s: Floats, value: Floats, value_at: ValueAt) -> Floats:
    """Times (K, J) of the highest and lowest of ``value`` (K, T) inside the grid (K, T).

    J is the largest number of one device; the others' rest is their last time.
    """
    slope = np.sign(np.diff(value, axis=1))
    which, real = _first_columns(slope[:, :-1] * slope[:, 1:] < 0)
    low, high = (np.take_along_axis(time_s, which + step, axis=1) for step in (0, 2))
    sign = np.take_along_axis(slope[:, :-1], which, axis=1)
    for _ in range(NARROWINGS if which.shape[1] else 0):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        falls = sign * value_at(left) > sign * value_at(right)
        low, high = np.where(falls, low, left), np.where(falls, right, high)
    return np.where(real, (low + high) / 2, time_s[:, -1:])


SECANTS = 8


def crossings(time_s: Floats, value: Floats, level: float, value_at: ValueAt) -> Floats:
    """Times (K, J) at which ``value`` (K, T) passes a level: both sides, a microsecond apart.

    J is twice the largest number of one device; the others' rest is their last time. By the
    Illinois rule: straight lines, with the side that stays behind halved.
    """
    above = value > level
    which, real = _first_columns(above[:, 1:] != above[:, :-1])
    (low, high), (left, right) = (
        [np.take_along_axis(x, which + step, axis=1) for step in (0, 1)]
        for x in (time_s, value - level)
    )
    middle, twice = low, np.zeros((2, *low.shape), bool)
    for _ in range(SECANTS if which.shape[1] else 0):
        slope = np.where(right == left, 1.0, right - left)
        middle = np.clip(low - left * (high - low) / slope, low, high)
        there = value_at(middle) - level
        back = (there > 0) == (right > 0)  # the root is before the middle
        low, high = np.where(back, low, middle), np.where(back, middle, high)
        left = np.where(back, np.where(twice[0], left / 2, left), there)
        right = np.where(back, there, np.where(twice[1], right / 2, right))
        twice = np.stack([back, ~back])
    close = np.array([-ALMOST_AT_ONCE_S / 4, ALMOST_AT_ONCE_S / 4])
    both = np.clip(middle[:, :, None] + close, time_s[:, :1, None], time_s[:, -1:, None])
    sides = np.where(real[:, :, None], both, time_s[:, -1:, None])
    return sides.reshape(len(time_s), -1)


def _first_columns(mask: Mask) -> tuple[Ints, Mask]:
    """Columns (K, J) where a mask is true, first in each row, and which of them are real."""
    count = int(mask.sum(axis=1).max(initial=0))
    which = np.argsort(~mask, axis=1, kind="stable")[:, :count]
    return which, np.take_along_axis(mask, which, axis=1)
