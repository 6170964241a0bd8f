"""Figures over seeds, as the tables of studies show them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import mean, median


def spread(values: Iterable[float], form: str = "{:g}") -> str:
    """Show the median and the range of figures over seeds; of one seed the figure alone."""
    known = sorted(values)
    shown = [form.format(value) if math.isfinite(value) else "never" for value in known]
    middle = median(known)
    centre = form.format(middle) if math.isfinite(middle) else "never"
    return centre if len(known) == 1 else f"{centre} ({shown[0]}..{shown[-1]})"


def mean_and_range(values: Sequence[float]) -> str:
    """Show the mean and the range of accuracies over seeds; a dash without any."""
    if not values:
        return "-"
    centre = f"{mean(values):.3f}"
    return centre if len(values) == 1 else f"{centre} ({min(values):.3f}..{max(values):.3f})"
