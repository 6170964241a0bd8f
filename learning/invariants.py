"""Invariants of learning: a run that violates one is wrong, and stops."""

from __future__ import annotations

import math
from collections.abc import Iterable

WEIGHTS = "aggregation weights sum to one"
FROZEN = "frozen parameters unchanged"

ROUNDING = 1e-9
"""How far a sum of shares may be from 1: thousands of roundings of 1e-16 each are far below."""


class Violation(ValueError):
    """A learning result contradicts itself; the text names the invariant, and how."""


def violation(invariant: str, what: str) -> Violation:
    """Return the error of an ``invariant`` that ``what`` violates."""
    return Violation(f"invariant '{invariant}' is violated: {what}")


def check_shares(shares: Iterable[float], of: str, *, whole: bool = True) -> None:
    """Raise :class:`Violation` unless ``shares`` are from 0 to 1 and sum to 1.

    Without ``whole`` they belong to a part of ``of``, and sum to at most 1.
    """
    listed = list(shares)
    # NaN fails every comparison.
    if wrong := [share for share in listed if not 0.0 <= share <= 1.0 + ROUNDING]:
        raise violation(WEIGHTS, f"a weight of {of} is {wrong[0]}")
    total = math.fsum(listed)
    if total > 1.0 + ROUNDING or (whole and total < 1.0 - ROUNDING):
        raise violation(WEIGHTS, f"those of {of} sum to {total}")
