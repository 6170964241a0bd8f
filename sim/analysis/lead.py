"""How far one candidate is ahead of another, over the seeds that both have.

Candidates are groups of runs, combinations of a sweep's keys or values of one key. A candidate has
figures by case: a setting of what else varies, and a seed. Two candidates are compared at the cases
that both have. What differs between seeds is noise; settings share seeds, so of each seed the mean
over its settings counts once.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import mean, stdev
from typing import NamedTuple

import numpy as np

Case = tuple[str, int]
"""A setting of what else varies, empty where nothing does, and a seed."""
Figures = Mapping[Case, float]
"""A figure by case; one that was never reached is inf."""

LEVEL = 0.95
"""Confidence of the intervals."""
FEWEST = 3
"""Seeds from which on there is an interval with its t test."""
FEWEST_RANKED = 6
"""Seeds from which on there is a test of ranks: with five pairs the smallest two-sided p of
Wilcoxon's test is 0.0625."""
CLOSE = {"rel_tol": 1e-9, "abs_tol": 1e-12}
"""Figures that are closer are the same: means of equal figures differ in their last digits."""

RANKED_DIGITS = 12
"""Digits behind the point of what is ranked, as ``CLOSE`` has them."""


@dataclass(frozen=True)
class Bounds:
    """What a figure cannot be below and above."""

    least: float = -math.inf
    most: float = math.inf

    @property
    def of_difference(self) -> "Bounds":
        """What the difference of two such figures cannot be below and above."""
        return Bounds(self.least - self.most, self.most - self.least)

    def unless_broken(self, least: float, most: float) -> "Bounds":
        """Return the bounds, none where values from ``least`` to ``most`` break them.

        Those of a loss are for entropies and squares; one's own may be negative.
        """
        return self if self.least <= least and most <= self.most else Bounds()

    def clipped(self, low: float, high: float) -> tuple[float, float]:
        """Return the ends of an interval that overlaps the bounds, each within them."""
        return max(low, self.least), min(high, self.most)


NO_BOUNDS = Bounds()


def interval(values: Sequence[float], bounds: Bounds = NO_BOUNDS) -> tuple[float, float] | None:
    """Return the ends of Student's interval of the mean within ``bounds``; None of too few values.

    ``values`` are finite, one per seed. The mean lies within the bounds too, so that an interval
    which ends there holds it as often as before.
    """
    if len(values) < FEWEST:
        return None
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2))
    half = quantile * stdev(values) / math.sqrt(len(values))
    bounds = bounds.unless_broken(min(values), max(values))
    return bounds.clipped(mean(values) - half, mean(values) + half)


@dataclass(frozen=True, eq=False)
class Asked:
    """A figure by which candidates are compared, and what they have of it, by their labels.

    ``rising`` says that more is better, ``bounds`` are those of the figure. With ``ratios`` two of
    them are compared by the ratio of their figures, as long as none of these is 0. Two that have
    fewer than ``fewest`` cases in common are not compared. A figure that is ``learnt`` always has
    chance in it: data and start weights are drawn from the seed. Where nothing is ``drawn`` at
    random every seed gives the same figures, and one is enough.
    """

    candidates: Mapping[str, Figures]
    rising: bool
    bounds: Bounds = NO_BOUNDS
    ratios: bool = False
    fewest: float = 1
    learnt: bool = True
    drawn: bool = True

    @cached_property
    def by_ratio(self) -> bool:
        """Whether ratios are what is compared: nothing is a multiple of 0."""
        every = (figure for own in self.candidates.values() for figure in own.values())
        return self.ratios and all(figure > 0.0 for figure in every)


class PairedTest(NamedTuple):
    """p values of a paired t test of two candidates: its own, and corrected for all others."""

    p: float
    p_holm: float


class Ratio(NamedTuple):
    """How many times another has what one has: above 1 where the one is better.

    By seed, and the geometric mean over seeds with its 95 % interval, None below ``FEWEST`` seeds.
    """

    by_seed: Mapping[int, float]
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Lead:
    """How far one candidate is ahead of another: positive where it is better.

    ``by_case`` has the cases of both, ``by_seed`` the mean over the settings of each seed, ``mean``
    the mean over these seeds. ``low`` and ``high`` are the ends of its 95 % interval, None below
    ``FEWEST`` seeds. ``seeds`` counts those that either of the two has. ``ratio`` is None where
    differences are compared, and ``test`` where there are too few seeds, or the lead is the same
    with each of them. ``effect`` is what decides who is ahead: the mean lead, or the logarithm of
    the mean ratio. ``few_values`` says that the figures of both lie on a grid, as times do that are
    multiples of a cycle: at most half as many different values as figures. ``exact`` says that
    seeds change nothing: nothing is drawn at random, or of two or more seeds each gives both of
    them the same figures, and so does any that one has alone.
    """

    by_case: Figures
    by_seed: Mapping[int, float]
    mean: float | None
    low: float | None
    high: float | None
    seeds: int
    effect: float | None
    ratio: Ratio | None = None
    test: PairedTest | None = None
    few_values: bool = False
    exact: bool = False

    @property
    def same(self) -> bool:
        """Whether the lead is the same with each seed."""
        return alike((self.ratio.by_seed if self.ratio else self.by_seed).values())

    @cached_property
    def wilcoxon_p(self) -> float | None:
        """Two-sided p of Wilcoxon's test of the seeds' signed ranks; None where nothing differs."""
        by_ratio = map(math.log, self.ratio.by_seed.values()) if self.ratio else None
        return signed_rank_p(by_ratio or self.by_seed.values())


def signed_rank_p(apart: Iterable[float]) -> float | None:
    """Return the two-sided p value of Wilcoxon's signed-rank test; None where nothing differs.

    Differences of 0 are left out, and those that differ in their last digits have the same rank.
    The distribution of the sum of ranks is exact with equal ranks too, sign by sign: on a grid most
    are equal, and scipy, which tries all signs there, takes seconds for 13 seeds.
    """
    rounded = np.array([round(one, RANKED_DIGITS) for one in apart])
    differ = rounded[rounded != 0.0]
    if not len(differ):
        return None
    _, place, count = np.unique(np.abs(differ), return_inverse=True, return_counts=True)
    twice = (2 * np.cumsum(count) - count + 1)[place]  # the mean rank of equal ones, doubled
    chance = np.ones(1)
    for rank in twice.tolist():
        chance = np.convolve(chance, [0.5, *[0.0] * (rank - 1), 0.5])
    positive = int(twice[differ > 0.0].sum())
    tail = min(chance[: positive + 1].sum(), chance[positive:].sum())
    return min(1.0, 2.0 * float(tail))


def alike(values: Iterable[float]) -> bool:
    """Return whether values are the same but for their last digits; no value is like any."""
    every = list(values)
    return not every or math.isclose(min(every), max(every), **CLOSE)


def lead(asked: Asked, first: str, second: str, test: PairedTest | None = None) -> Lead:
    """Return how far the first candidate is ahead of the second, with the test of the two.

    A case at which one of the two never got there is no case of both.
    """
    one, other = asked.candidates[first], asked.candidates[second]
    cases = [
        case
        for case in sorted(one.keys() & other.keys())
        if math.isfinite(one[case]) and math.isfinite(other[case])
    ]
    by_case = {case: _ahead(one[case], other[case], rising=asked.rising) for case in cases}
    by_seed = _by_seed(by_case)
    average = _average(by_case, by_seed)
    low, high = interval(list(by_seed.values()), asked.bounds.of_difference) or (None, None)
    seeds = len({seed for _, seed in (*one, *other)})
    effect, ratio = average, None
    if asked.by_ratio and cases:
        logs = {
            case: _ahead(one[case], other[case], math.log, rising=asked.rising) for case in cases
        }
        effect = _average(logs, _by_seed(logs)) or 0.0
        ratio = _ratio(_by_seed(logs), effect)
    figures = [own[case] for own in (one, other) for case in cases]
    few_values = 2 * _different(figures) <= len(figures)
    exact = not asked.learnt and (
        (bool(by_seed) and not asked.drawn) or (len(by_seed) > 1 and _without_chance(one, other))
    )
    return Lead(by_case, by_seed, average, low, high, seeds, effect, ratio, test, few_values, exact)


def _different(figures: Sequence[float]) -> int:
    """Count the different ones of some figures."""
    ordered = sorted(figures)
    apart = (not math.isclose(*pair, **CLOSE) for pair in pairwise(ordered))
    return sum(apart) + bool(ordered)


def _without_chance(*each: Figures) -> bool:
    """Return whether every one has the same figure with each of its seeds, at each setting."""
    for own in each:
        settings: dict[str, list[float]] = {}
        for (setting, _), figure in own.items():
            if math.isfinite(figure):
                settings.setdefault(setting, []).append(figure)
        if not all(map(alike, settings.values())):
            return False
    return True


def _ratio(logs: Mapping[int, float], effect: float) -> Ratio:
    ends = interval(list(logs.values()))
    low, high = map(math.exp, ends) if ends else (None, None)
    by_seed = {seed: math.exp(apart) for seed, apart in logs.items()}
    return Ratio(by_seed, math.exp(effect), low, high)


def _ahead(
    first: float, second: float, scale: Callable[[float], float] = float, *, rising: bool
) -> float:
    if math.isclose(first, second, **CLOSE):
        return 0.0
    apart = scale(first) - scale(second)
    return apart if rising else -apart


def _by_seed(by_case: Figures) -> dict[int, float]:
    """Return the mean over the settings of each seed."""
    settings: dict[int, list[float]] = {}
    for (_, seed), ahead in by_case.items():
        settings.setdefault(seed, []).append(ahead)
    return {seed: mean(each) for seed, each in sorted(settings.items())}


def _average(by_case: Figures, by_seed: Mapping[int, float]) -> float | None:
    """Return the mean over seeds; 0 where it is one of last digits only."""
    if not by_seed:
        return None
    average = mean(by_seed.values())
    noise = CLOSE["rel_tol"] * max(map(abs, by_case.values()))
    return 0.0 if abs(average) <= noise else average
