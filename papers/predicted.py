"""Figures of papers from outside: predicted before anybody here had read the paper's results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from paper_runs import table


class Predicted(NamedTuple):
    """A figure with its range and unit, and what the paper prints of it, if it does."""

    figure: str
    value: float
    low: float
    high: float
    unit: str
    paper: float | None = None

    @property
    def text(self) -> str:
        """The value with its range and unit."""
        ends = "" if self.low == self.high else f" ({self.low:g}..{self.high:g})"
        return f"{self.value:g}{ends} {self.unit}"

    def holds(self, value: float) -> bool:
        """Whether a value is within the range."""
        return self.low <= value <= self.high


def beside(rows: Sequence[Predicted], measured: Mapping[str, float], *, read: bool = True) -> str:
    """Show what was predicted, what comes out here, and what the paper prints, if it was read."""
    lines = []
    for one in rows:
        here = measured.get(one.figure, math.nan)
        if one.paper is None:
            state = "not printed" if read else "predicted"
        else:
            state = "equal" if one.holds(one.paper) else "different"
        within = "in range" if one.holds(here) else "out of range"
        printed = "-" if one.paper is None else f"{one.paper:g}"
        lines.append([one.figure, one.text, f"{here:.4g}", within, printed, state])
    return table(("predicted", "value (range)", "here", "", "the paper", "state"), lines)
