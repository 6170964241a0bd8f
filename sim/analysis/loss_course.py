"""How the loss of a run went: what it says of the size of steps where accuracy did not rise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise

GROWN = 1.1
"""How many times its first value a loss comes to whose steps are too large."""
STILL = 0.002
"""The share of its first value by which a loss has to change to have moved."""
WOBBLE = 0.005
"""The share by which a loss that falls steadily may lie above an earlier one."""
LATE = 0.1
"""The part of all that a loss fell that comes in the second half of it, where it falls steadily."""
AT_GUESS = 0.99
"""The part of the loss of a uniform guess from which on a loss is that of a guess."""


class LossCourse(StrEnum):
    """How a loss went from the start to the end."""

    EXPLODED = "rose"
    STILL = "did not move"
    STEADY = "fell steadily"
    OTHER = "fell"


def loss_course(losses: Sequence[float]) -> LossCourse | None:
    """Return how ``losses`` in order of time went; None of fewer than two."""
    if len(losses) < 2:
        return None
    first, last = losses[0], losses[-1]
    if not all(map(math.isfinite, losses)) or max(losses) > GROWN * first:
        return LossCourse.EXPLODED
    if max(losses) - min(losses) < STILL * first:
        return LossCourse.STILL
    # Where no update came between two evaluations, the model is the same.
    moved = [first, *(later for before, later in pairwise(losses) if later != before)]
    fell = first - last
    lowest = first
    steady = True
    for loss in moved:
        steady = steady and loss <= lowest * (1.0 + WOBBLE)
        lowest = min(lowest, loss)
    if steady and moved[(len(moved) - 1) // 2] - last >= LATE * fell > 0.0:
        return LossCourse.STEADY
    return LossCourse.OTHER


def is_a_guess(loss: float | None, uniform: float | None) -> bool:
    """Whether a loss is no better than that of a ``uniform`` guess; False if one is not known."""
    return loss is not None and uniform is not None and not loss < AT_GUESS * uniform
