"""Figures over seeds: median and range, mean with its 95 % interval, and paired tests."""

import math
from collections.abc import Mapping, Sequence
from statistics import mean, median, stdev
from typing import Any

from sim.analysis.verdict import (
    FEWEST,
    FEWEST_RANKED,
    NO_BOUNDS,
    Bounds,
    interval,
    lead,
)

FEWEST_PAIRS = 2
"""Pairs that a mean difference needs."""

OverSeeds = Mapping[str, float | None]
"""``median``, ``min``, ``max``, ``mean``, and ``low`` and ``high`` of the mean's interval."""


def over_seeds(values: Sequence[float], bounds: Bounds = NO_BOUNDS) -> dict[str, float | None]:
    """Return median, least and greatest value, mean, and the ends of its 95 % interval.

    None stands for inf, never, and for a mean of values of which some are never; the interval,
    Student's, takes three values, and ends at the ``bounds`` of the figure.
    """
    figures = {"median": median(values), "min": min(values), "max": max(values)}
    known = {key: value if math.isfinite(value) else None for key, value in figures.items()}
    finite = all(map(math.isfinite, values))
    low, high = (interval(values, bounds) if finite else None) or (None, None)
    return {**known, "mean": mean(values) if finite else None, "low": low, "high": high}


def paired(
    first: Mapping[int, float], second: Mapping[int, float], bounds: Bounds = NO_BOUNDS
) -> dict[str, Any]:
    """Compare figures by seed: the mean of ``first - second`` over the seeds that both have.

    ``pairs`` counts these; ``difference`` has its 95 % interval ``low`` to ``high``, and ``min``
    and ``max`` over the pairs; ``t_p`` is the two-sided p value of the paired t test and
    ``wilcoxon_p`` that of Wilcoxon's signed ranks. None where there are too few pairs, where the
    differences do not differ, and where a run never got there: without it, those that are left
    would say too much.
    """
    seeds = sorted(first.keys() & second.keys())
    found: dict[str, Any] = {
        "pairs": len(seeds),
        "difference": None,
        "low": None,
        "high": None,
        "t_p": None,
        "wilcoxon_p": None,
        "min": None,
        "max": None,
    }
    known = all(math.isfinite(own[seed]) for own in (first, second) for seed in seeds)
    if len(seeds) < FEWEST_PAIRS or not known:
        return found
    one, other = ({("", seed): own[seed] for seed in seeds} for own in (first, second))
    ahead = lead(one, other, rising=True, bounds=bounds)
    differences = list(ahead.by_seed.values())
    found |= {"difference": ahead.mean, "low": ahead.low, "high": ahead.high}
    found |= {"min": min(differences), "max": max(differences)}
    if len(seeds) >= FEWEST and len(set(differences)) > 1:
        from scipy.special import stdtr

        error = stdev(differences) / math.sqrt(len(differences))
        found["t_p"] = 2 * float(stdtr(len(seeds) - 1, -abs(mean(differences)) / error))
    if len(differences) >= FEWEST_RANKED and any(differences):
        from scipy.stats import wilcoxon

        found["wilcoxon_p"] = float(wilcoxon(differences).pvalue)
    return found
