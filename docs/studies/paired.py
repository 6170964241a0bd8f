"""Tables of studies whose runs are paired by their seeds: rows, and intervals of 95 %."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev

from scipy.stats import t as student


def interval(values: Sequence[float]) -> str:
    """Show a mean, and how far it may be from the truth at 95 % by Student's t."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    half = student.ppf(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return f"{mean(values):.3f} +- {half:.3f}"


def line(head: str, cells: Sequence[str]) -> str:
    """Show a row."""
    return f"{head:<38}" + "".join(f"{cell:>17}" for cell in cells)


def shown_cycles(last: int) -> list[int]:
    """Return the cycles that tables show: the first two, the middle one and the last."""
    return sorted({1, 2, (last + 1) // 2, last} & set(range(1, last + 1)))


def less(
    ours: Sequence[Sequence[float]], others: Sequence[Sequence[float]], cycles: Sequence[int]
) -> list[str]:
    """Show by cycle the differences of runs with the same seeds, whose figures are by cycle."""
    pairs = zip(ours, others, strict=True)
    apart = [[own[n] - other[n] for n in cycles] for own, other in pairs]
    return [interval(own) for own in zip(*apart, strict=True)]
