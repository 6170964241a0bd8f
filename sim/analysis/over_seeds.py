"""Figures over seeds: median and range, mean with its 95 % interval, and paired tests."""

import math
from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Any

from sim.analysis.lead import (
    FEWEST_RANKED,
    NO_BOUNDS,
    Asked,
    Bounds,
    PairedTest,
    interval,
    lead,
)
from sim.analysis.pair_tests import pair_tests

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


def geometric(values: Sequence[float]) -> dict[str, float | None]:
    """Return the geometric mean, and the ends of Student's 95 % interval of it, on logarithms.

    None where some value is 0 or never was; the interval takes three values.
    """
    if not all(0.0 < value < math.inf for value in values):
        return dict.fromkeys(GEOMETRIC)
    logs = list(map(math.log, values))
    low, high = interval(logs) or (None, None)
    ends = (None if end is None else math.exp(end) for end in (mean(logs), low, high))
    return dict(zip(GEOMETRIC, ends, strict=True))


GEOMETRIC = ("geometric_mean", "geometric_low", "geometric_high")
"""What :func:`geometric` returns."""


def on_logarithms(figure: Mapping[str, Any]) -> dict[str, Any]:
    """Return a figure with its geometric mean, and the interval of that, as its mean.

    It stays as it is where it has none: of figures that are not compared by ratios, and of a 0.
    """
    if figure.get("geometric_mean") is None:
        return dict(figure)
    return {**figure, **{key: figure[f"geometric_{key}"] for key in ("mean", "low", "high")}}


def paired(
    first: Mapping[int, float],
    second: Mapping[int, float],
    bounds: Bounds = NO_BOUNDS,
    *,
    ratios: bool = False,
) -> dict[str, Any]:
    """Compare figures of two by seed, as :func:`pair_of` does, where nothing else is tested."""
    each = {"first": first, "second": second}
    cases = {name: {("", seed): x for seed, x in own.items()} for name, own in each.items()}
    asked = Asked(cases, rising=True, bounds=bounds, ratios=ratios)
    return pair_of(asked, "first", "second", pair_tests({"": asked}).of("", "first", "second"))


def pair_of(asked: Asked, first: str, second: str, test: PairedTest | None) -> dict[str, Any]:
    """Compare two candidates: the mean of ``first - second`` over the seeds that both have.

    ``asked`` has one figure a seed, and is rising. ``pairs`` counts seeds; ``difference`` has its
    95 % interval ``low`` to ``high``, and ``min`` and ``max`` over the pairs. ``t_p`` is the
    two-sided p value of the paired t test, ``t_p_holm`` the same corrected for all tests of the
    comparison, and ``wilcoxon_p`` that of Wilcoxon's signed ranks. ``ratio`` is the geometric mean
    of ``first / second`` with its interval ``ratio_low`` to ``ratio_high``; it is what is tested
    where there is one. None where there are too few pairs, where the differences do not differ, and
    where a run never got there: without it, those that are left would say too much.
    """
    one, other = asked.candidates[first], asked.candidates[second]
    seeds = one.keys() & other.keys()
    found: dict[str, Any] = {"pairs": len(seeds)} | dict.fromkeys(PAIRED)
    known = all(math.isfinite(own[seed]) for own in (one, other) for seed in seeds)
    if len(seeds) < FEWEST_PAIRS or not known:
        return found
    apart = lead(asked, first, second, test)
    differences = list(apart.by_seed.values())
    found |= {"difference": apart.mean, "low": apart.low, "high": apart.high}
    found |= {"min": min(differences), "max": max(differences)}
    if test is not None:
        found |= {"t_p": test.p, "t_p_holm": test.p_holm}
    if ratio := apart.ratio:
        found |= {"ratio": ratio.mean, "ratio_low": ratio.low, "ratio_high": ratio.high}
    if len(differences) >= FEWEST_RANKED:
        found["wilcoxon_p"] = apart.wilcoxon_p
    return found


PAIRED = (
    *("difference", "low", "high", "min", "max", "ratio", "ratio_low", "ratio_high"),
    *("t_p", "t_p_holm", "wilcoxon_p"),
)
"""What is known of two candidates, None where it is not."""
