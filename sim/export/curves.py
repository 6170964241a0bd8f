"""Figures of a run over cycles and simulated time, as points of curves."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

NOT_FIGURES = ("time_s", "cycle", "version", "scope", "cluster", "samples")
"""Columns of the metrics that are no curves."""


class Point(NamedTuple):
    """A value of a curve, at a step and at seconds since the run's start."""

    curve: str
    step: int
    time_s: float
    value: float


def points_of(rows: Iterable[Mapping[str, Any]], by_second: bool = True) -> Iterator[Point]:
    """Every figure in ``rows`` of the metrics, once by cycle and, if asked for, once by second."""
    for row in rows:
        whose = "global" if row["scope"] == "global" else f"cluster {row['cluster']}"
        for name, value in row.items():
            if name in NOT_FIGURES or value is None:
                continue
            yield Point(f"{name}/{whose}", row["cycle"], row["time_s"], value)
            if by_second:
                second = f"{name}_by_second/{whose}"
                yield Point(second, int(row["time_s"]), row["time_s"], value)
