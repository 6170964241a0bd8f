"""Which candidate is best, by how much, and whether that is noise: one answer for all who ask.

Candidates are groups of runs, combinations of a sweep's keys or values of one key. A candidate has
figures by case: a setting of what else varies, and a seed. Two candidates are compared at the cases
that both have. What differs between seeds is noise; settings share seeds, so of each seed the mean
over its settings counts once. The order in which candidates come changes nothing.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from statistics import mean, stdev

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


@dataclass(frozen=True)
class Bounds:
    """What a figure cannot be below and above."""

    least: float = -math.inf
    most: float = math.inf

    @property
    def of_difference(self) -> "Bounds":
        """What the difference of two such figures cannot be below and above."""
        return Bounds(self.least - self.most, self.most - self.least)

    def clipped(self, low: float, high: float) -> tuple[float, float]:
        """Return the ends of an interval that overlaps the bounds, each within them."""
        return max(low, self.least), min(high, self.most)


NO_BOUNDS = Bounds()


def interval(values: Sequence[float], bounds: Bounds = NO_BOUNDS) -> tuple[float, float] | None:
    """Return the ends of Student's interval of the mean within ``bounds``; None of too few values.

    ``values`` are finite, one per seed.
    """
    if len(values) < FEWEST:
        return None
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2))
    half = quantile * stdev(values) / math.sqrt(len(values))
    return bounds.clipped(mean(values) - half, mean(values) + half)


class Verdict(StrEnum):
    """What can be said of the best candidates against the others."""

    ALONE = "alone"
    """There is one candidate only."""
    TIE = "tie"
    """Two or more are best, and equal at every case."""
    LEVEL = "level"
    """Two or more are best: equal in the mean, but not at every case."""
    AHEAD = "ahead"
    """The best is ahead of each other one by more than noise: this alone is a winner."""
    WITHIN_NOISE = "within noise"
    """The 95 % interval of the lead contains 0."""
    TOO_FEW_SEEDS = "two seeds"
    """Two seeds in common allow no test."""
    ONE_SEED = "one seed"
    """One seed in common cannot tell noise."""
    NO_COMMON_SEED = "no seed in common"
    """Too few cases of the best are cases of another one."""
    NEVER = "never"
    """At most one of the candidates has the figure with all of its seeds."""
    NO_ORDER = "no order"
    """Each is behind another one: they are compared two by two, at different cases."""


@dataclass(frozen=True)
class Lead:
    """How far one candidate is ahead of another: positive where it is better.

    ``by_case`` has the cases of both, ``by_seed`` the mean over the settings of each seed, ``mean``
    the mean over these seeds. ``low`` and ``high`` are the ends of its 95 % interval, None below
    ``FEWEST`` seeds. ``seeds`` counts those that either of the two has.
    """

    verdict: Verdict
    by_case: Figures
    by_seed: Mapping[int, float]
    mean: float | None
    low: float | None
    high: float | None
    seeds: int


def lead(first: Figures, second: Figures, *, rising: bool, bounds: Bounds = NO_BOUNDS) -> Lead:
    """Return how far the first candidate is ahead of the second.

    ``rising`` says that more is better; ``bounds`` are those of the figure. A case at which one of
    the two never got there is no case of both.
    """
    by_case = {
        case: _difference(first[case], second[case], rising=rising)
        for case in sorted(first.keys() & second.keys())
        if math.isfinite(first[case]) and math.isfinite(second[case])
    }
    settings: dict[int, list[float]] = {}
    for (_, seed), ahead in by_case.items():
        settings.setdefault(seed, []).append(ahead)
    by_seed = {seed: mean(each) for seed, each in sorted(settings.items())}
    values = list(by_seed.values())
    average = mean(values) if values else None
    if average is not None and abs(average) <= CLOSE["rel_tol"] * max(map(abs, by_case.values())):
        average = 0.0
    ends = interval(values, bounds.of_difference)
    low, high = ends or (None, None)
    seeds = len({seed for _, seed in (*first, *second)})
    verdict = _verdict(by_case, values, average, ends)
    return Lead(verdict, by_case, by_seed, average, low, high, seeds)


def _difference(first: float, second: float, *, rising: bool) -> float:
    if math.isclose(first, second, **CLOSE):
        return 0.0
    return first - second if rising else second - first


def _verdict(
    by_case: Figures,
    by_seed: Sequence[float],
    average: float | None,
    ends: tuple[float, float] | None,
) -> Verdict:
    if average is None:
        return Verdict.NO_COMMON_SEED
    if not any(by_case.values()):
        return Verdict.TIE
    if average == 0.0:
        return Verdict.LEVEL
    if ends is None:
        return Verdict.ONE_SEED if len(by_seed) == 1 else Verdict.TOO_FEW_SEEDS
    low, high = ends
    return Verdict.WITHIN_NOISE if low <= 0.0 <= high else Verdict.AHEAD


@dataclass(frozen=True)
class Ranking:
    """Who is best of some candidates; lists of labels are in the order of :func:`in_order`.

    ``best`` are all that share the first place, and ``first`` is one of them, None where there is
    none. ``leads`` are those of ``first`` over each candidate that it can be compared with, the
    nearest one first. ``incomparable`` have too few cases in common with it; ``without`` never got
    there with some seed: they are not ranked.
    """

    verdict: Verdict
    first: str | None
    best: tuple[str, ...]
    leads: Mapping[str, Lead]
    incomparable: tuple[str, ...]
    without: tuple[str, ...]

    @cached_property
    def behind(self) -> Mapping[str, Lead]:
        """The leads over those that do not share the first place."""
        return {label: one for label, one in self.leads.items() if label not in self.best}

    @cached_property
    def winners(self) -> tuple[str, ...]:
        """Who may be called best: all in the first place, if each other one is told from them."""
        known = self.verdict in (Verdict.AHEAD, Verdict.TIE)
        if not known or not self.behind or self.unresolved or self.incomparable:
            return ()
        shared = [one.by_case.keys() for label, one in self.leads.items() if label in self.best]
        told = [one.by_case.keys() for one in self.behind.values()]
        # Who ties at few cases only need not be ahead of the others at theirs.
        return self.best if all(tie >= other for tie in shared for other in told) else ()

    @cached_property
    def runner_up(self) -> tuple[str, ...]:
        """The nearest behind the best, and all that are equal to it."""
        return self._like(next(iter(self.behind), None))

    @cached_property
    def unresolved(self) -> tuple[str, ...]:
        """Those behind the best whose distance may be noise, the nearest one first."""
        return tuple(
            label for label, one in self.behind.items() if one.verdict is not Verdict.AHEAD
        )

    @cached_property
    def against(self) -> tuple[str, ...]:
        """Whom the verdict is about: the nearest that may be as good, else the runner-up."""
        return self._like(self.unresolved[0]) if self.unresolved else self.runner_up

    def _like(self, label: str | None) -> tuple[str, ...]:
        """Return the label and those behind the best that are equal to it at every case."""
        if label is None:
            return ()
        behind = self.behind
        own = behind[label].by_case
        return tuple(
            other for other in in_order(behind) if _same_figures(behind[other].by_case, own)
        )


def _same_figures(one: Figures, other: Figures) -> bool:
    """Return whether two have the same cases, and at each the same figure."""
    cases = one.keys()
    return cases == other.keys() and all(math.isclose(one[c], other[c], **CLOSE) for c in cases)


def rank(
    candidates: Mapping[str, Figures],
    *,
    rising: bool,
    bounds: Bounds = NO_BOUNDS,
    fewest: float = 1,
) -> Ranking:
    """Return who is best of the candidates, by their labels.

    ``rising`` says that more is better, ``bounds`` are those of the figure. Pairs that have fewer
    than ``fewest`` cases in common are not compared.
    """
    labels = in_order(candidates)
    whole = [
        label
        for label in labels
        if candidates[label] and all(map(math.isfinite, candidates[label].values()))
    ]
    without = tuple(label for label in labels if label not in whole)
    if len(whole) < 2:
        few = Verdict.NEVER if without else Verdict.ALONE
        return Ranking(few, whole[0] if whole else None, tuple(whole), {}, (), without)
    # The best one mostly has all figures and the best mean: few pairs have to be looked at.
    sign = -1.0 if rising else 1.0
    order = sorted(whole, key=lambda label: sign * mean(candidates[label].values()))
    order.sort(key=lambda label: -len(candidates[label]))
    for first in order:
        leads: dict[str, Lead] = {}
        incomparable = []
        for label in order:
            if label == first:
                continue
            one = lead(candidates[first], candidates[label], rising=rising, bounds=bounds)
            if one.mean is None or len(one.by_case) < fewest:
                incomparable.append(label)
            elif one.mean >= 0.0:
                leads[label] = one
            else:
                break
        else:
            return _ranked(first, leads, tuple(in_order(incomparable)), without)
    return Ranking(Verdict.NO_ORDER, None, (), {}, (), without)


def _ranked(
    first: str,
    leads: Mapping[str, Lead],
    incomparable: tuple[str, ...],
    without: tuple[str, ...],
) -> Ranking:
    """Return the ranking in which ``first`` is not behind anyone."""
    nearest = {
        label: leads[label]
        for label in sorted(in_order(leads), key=lambda label: leads[label].mean or 0.0)
    }
    level = [label for label, one in nearest.items() if one.mean == 0.0]
    best = tuple(in_order([first, *level]))
    behind = [one.verdict for label, one in nearest.items() if label not in level]
    noisy = [verdict for verdict in behind if verdict is not Verdict.AHEAD]
    if level:
        same = all(leads[label].verdict is Verdict.TIE for label in level)
        verdict = Verdict.TIE if same else Verdict.LEVEL
    elif noisy:
        verdict = noisy[0]
    else:
        verdict = Verdict.NO_COMMON_SEED if incomparable else Verdict.AHEAD
    return Ranking(verdict, first, best, nearest, incomparable, without)


def in_order(labels: Iterable[str]) -> list[str]:
    """Return labels in an order of their own, whatever the one given: numbers by their size."""

    def parts(label: str) -> list[tuple[int, float, str]]:
        found = re.split(r"(\d+(?:\.\d+)?)", label)
        return [(0, float(part), part) if part[:1].isdigit() else (1, 0.0, part) for part in found]

    return sorted(labels, key=parts)
