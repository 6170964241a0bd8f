"""Figures over seeds: median and range, mean with its 95 % interval, and paired tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, median, stdev
from typing import Any

LEVEL = 0.95
"""Confidence of the intervals."""
FEWEST, FEWEST_RANKED = 2, 5
"""Pairs that a mean difference and its t test need, and a test of ranks: with fewer, no outcome of
it is rare."""

Figure = Mapping[str, float | None]
"""``median``, ``min``, ``max``, ``mean``, and ``low`` and ``high`` of the mean's interval."""


def over_seeds(values: Sequence[float]) -> dict[str, float | None]:
    """Return median, least and greatest value, mean, and the ends of its 95 % interval.

    None stands for inf, never, and for a mean of values of which some are never; the interval,
    Student's, takes two values.
    """
    figures = {"median": median(values), "min": min(values), "max": max(values)}
    known = {key: value if math.isfinite(value) else None for key, value in figures.items()}
    finite = all(map(math.isfinite, values))
    low, high = _interval(values) if finite and len(values) >= FEWEST else (None, None)
    return {**known, "mean": mean(values) if finite else None, "low": low, "high": high}


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of Student's interval of the mean of two or more values."""
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2))
    half = quantile * stdev(values) / math.sqrt(len(values))
    return mean(values) - half, mean(values) + half


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> dict[str, Any]:
    """Compare figures by seed: the mean of ``first - second`` over the seeds that both have.

    ``pairs`` counts these; ``difference`` has its 95 % interval ``low`` to ``high``, ``t_p`` is the
    two-sided p value of the paired t test and ``wilcoxon_p`` that of Wilcoxon's signed ranks. None
    where there are too few pairs, where the differences do not differ, and where a run never got
    there: without it, those that are left would say too much.
    """
    seeds = sorted(first.keys() & second.keys())
    found: dict[str, Any] = {"pairs": len(seeds), "difference": None, "low": None}
    found |= {"high": None, "t_p": None, "wilcoxon_p": None}
    known = all(math.isfinite(own[seed]) for own in (first, second) for seed in seeds)
    if len(seeds) < FEWEST or not known:
        return found
    differences = [first[seed] - second[seed] for seed in seeds]
    found["difference"] = mean(differences)
    found["low"], found["high"] = _interval(differences)
    if len(set(differences)) > 1:
        found["t_p"] = _t_test(differences)
    if len(differences) >= FEWEST_RANKED and any(differences):
        from scipy.stats import wilcoxon

        found["wilcoxon_p"] = float(wilcoxon(differences).pvalue)
    return found


def _t_test(differences: Sequence[float]) -> float:
    from scipy.special import stdtr

    error = stdev(differences) / math.sqrt(len(differences))
    return 2 * float(stdtr(len(differences) - 1, -abs(mean(differences)) / error))
