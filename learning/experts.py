"""The expert registry: how large each expert is, how often it has changed, and who holds it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from learning.requests import Floats, Ints, Mask

NOBODY = -1


class ExpertRegistry:
    """What the server knows of E experts.

    ``bytes`` (E,) is the size of each in memory; ``changes`` (E,) counts what has been aggregated
    into it: its version. ``holders`` (C, E) says which clients hold, and train, which expert: the
    clusters of EMS-FL, the devices of other methods; nobody before :meth:`hand_out`.
    """

    def __init__(self, expert_bytes: ArrayLike) -> None:
        self.bytes: Floats = np.asarray(expert_bytes, np.float64)
        self.changes: Ints = np.zeros(len(self.bytes), np.int64)
        self.holders: Mask = np.zeros((0, len(self.bytes)), bool)

    def changed(self, experts: Sequence[int], changes: int = 1) -> None:
        """Count ``changes`` more in each of ``experts``.

        Replaces ``changes`` (E,) instead of writing into it: what is on its way down keeps its own.
        """
        self.changes = self.changes.copy()
        self.changes[list(experts)] += changes

    def hand_out(self, holders: Mask) -> None:
        """Let clients hold experts as ``holders`` (C, E) says, and no others."""
        self.holders = np.array(holders, bool)

    def give(self, client: int, experts: Sequence[int]) -> None:
        """Let ``client`` hold ``experts`` too."""
        self.holders[client, list(experts)] = True

    def release(self, client: int, experts: Sequence[int]) -> None:
        """Let ``client`` hold ``experts`` no more."""
        self.holders[client, list(experts)] = False

    def held_by(self, client: int) -> list[int]:
        """Return the experts that ``client`` holds."""
        held: list[int] = np.flatnonzero(self.holders[client]).tolist()
        return held

    @property
    def owner(self) -> Ints:
        """The client (E,) that holds each expert, the first of several; ``NOBODY`` without one."""
        if not len(self.holders):
            return np.full(len(self.bytes), NOBODY)
        return np.where(self.holders.any(axis=0), self.holders.argmax(axis=0), NOBODY)
