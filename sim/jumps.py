"""Where the rate along a pass jumps: into and out of sight, from one coding to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from learning.requests import Floats, Ints, Mask

HALVINGS = 25
"""Halvings of a cell of some seconds, down to a tenth of a microsecond."""

StateAt = Callable[[Floats], Ints]
"""State (K, J) of each device at its own times (K, J)."""


@dataclass(frozen=True, eq=False)
class Jumps:
    """Times (K, J) just before and just behind each jump, and the ``cell`` of the grid it is in.

    J is the largest number of jumps of one device. Those that are not ``real`` fill up the others'
    rows, with their last time.
    """

    before_s: Floats
    behind_s: Floats
    cell: Ints
    real: Mask


def find_jumps(time_s: Floats, state: Ints, state_at: StateAt) -> Jumps:
    """Find each change of ``state`` (K, T) between two times (K, T).

    Of several changes in one cell of the grid one is found.
    """
    changes = (state[:, 1:] != state[:, :-1]) & (np.diff(time_s, axis=1) > 0)
    count = int(changes.sum(axis=1).max(initial=0))
    cell = np.argsort(~changes, axis=1, kind="stable")[:, :count]
    real = np.take_along_axis(changes, cell, axis=1)
    before = np.where(real, np.take_along_axis(time_s, cell, axis=1), time_s[:, -1:])
    behind = np.where(real, np.take_along_axis(time_s, cell + 1, axis=1), time_s[:, -1:])
    first = np.take_along_axis(state, cell, axis=1)
    for _ in range(HALVINGS if count else 0):
        middle = (before + behind) / 2
        same = state_at(middle) == first
        before, behind = np.where(same, middle, before), np.where(same, behind, middle)
    before, behind = (np.where(real, edge, time_s[:, -1:]) for edge in (before, behind))
    return Jumps(before, behind, cell, real)
