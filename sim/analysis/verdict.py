"""Which candidate is best, by how much, and whether that is noise: one answer for all who ask.

One is ahead of another by more than noise where the paired t test of the two finds a difference,
corrected for all tests of the comparison. Differences of figures that take few values are far from
normal, and a t test takes their steps for certainty: Wilcoxon's test of ranks has to find it, too.
The order in which candidates come changes nothing.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from statistics import mean

from sim.analysis.lead import (
    CLOSE,
    FEWEST,
    Asked,
    Figures,
    Lead,
    lead,
)
from sim.analysis.pair_tests import SIGNIFICANT, PairTests


class Verdict(StrEnum):
    """What can be said of the best candidates against the others."""

    ALONE = "alone"
    """There is one candidate only."""
    TIE = "tie"
    """Two or more are best, and equal at every case."""
    LEVEL = "level"
    """Two or more are best: equal in the mean, but not at every case."""
    AHEAD = "ahead"
    """The best is ahead of each other one by more than noise."""
    EXACT = "exact"
    """The best is ahead, and seeds change nothing: nothing of it is noise."""
    UNTESTED = "not tested"
    """The comparison does not test this figure, so that chance is not known."""
    WITHIN_NOISE = "within noise"
    """The test of the lead finds nothing, corrected for all tests of the comparison, or that of
    ranks where the figure takes few values."""
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


def verdict_of(one: Lead) -> Verdict:
    """Return what can be said of a lead by itself."""
    if one.effect is None:
        return Verdict.NO_COMMON_SEED
    if not any(one.by_case.values()):
        return Verdict.TIE
    if one.effect == 0.0:
        return Verdict.LEVEL
    if one.exact:
        return Verdict.EXACT
    if len(one.by_seed) < FEWEST:
        return Verdict.ONE_SEED if len(one.by_seed) == 1 else Verdict.TOO_FEW_SEEDS
    if one.test is None:  # a lead that is the same with each seed has no noise to be tested
        return Verdict.AHEAD if one.same else Verdict.UNTESTED
    told = one.test.p_holm < SIGNIFICANT and not held_by_ranks(one)
    return Verdict.AHEAD if told else Verdict.WITHIN_NOISE


def held_by_ranks(one: Lead) -> bool:
    """Tell whether ranks keep a lead from a verdict that the t test would give it."""
    if one.test is None or one.test.p_holm >= SIGNIFICANT or not one.few_values:
        return False
    return one.wilcoxon_p is None or one.wilcoxon_p >= SIGNIFICANT


TOLD_APART = (Verdict.AHEAD, Verdict.EXACT)
"""Verdicts on two of which one is better."""


@dataclass(frozen=True)
class Ranking:
    """Who is best of some candidates; lists of labels are in the order of :func:`in_order`.

    ``best`` are all that share the first place, and ``first`` is one of them, None where there is
    none. ``leads`` are those of ``first`` over each candidate that it can be compared with, the
    nearest one first. ``incomparable`` have too few cases in common with it; ``without`` never got
    there with some seed: they are not ranked. ``tests`` counts those of the comparison, for which
    the p value of each lead is corrected. Where the first is told from none, ``apart`` are the two
    of the others that a test tells apart and that are farthest apart, the better one first.
    """

    verdict: Verdict
    first: str | None
    best: tuple[str, ...]
    leads: Mapping[str, Lead]
    incomparable: tuple[str, ...]
    without: tuple[str, ...]
    tests: int
    apart: tuple[str, str] | None = None

    @cached_property
    def behind(self) -> Mapping[str, Lead]:
        """The leads over those that do not share the first place."""
        return {label: one for label, one in self.leads.items() if label not in self.best}

    @cached_property
    def winners(self) -> tuple[str, ...]:
        """Who may be called best: all in the first place, if each other one is told from them."""
        known = self.verdict in (*TOLD_APART, Verdict.TIE)
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
            label for label, one in self.behind.items() if verdict_of(one) not in TOLD_APART
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


def ranking_of(asked: Asked, figure: str, tests: PairTests) -> Ranking:
    """Return who is best by one of the figures of which there are tests."""
    candidates = asked.candidates
    labels = in_order(candidates)
    whole = [
        label
        for label in labels
        if candidates[label] and all(map(math.isfinite, candidates[label].values()))
    ]
    without = tuple(label for label in labels if label not in whole)
    if len(whole) < 2:
        few = Verdict.NEVER if without else Verdict.ALONE
        first = whole[0] if whole else None
        return Ranking(few, first, tuple(whole), {}, (), without, tests.count)
    # The best one mostly has all figures and the best mean: few pairs have to be looked at.
    order = sorted(whole, key=lambda label: _mean_of(asked, label), reverse=asked.rising)
    order.sort(key=lambda label: -len(candidates[label]))
    for first in order:
        leads: dict[str, Lead] = {}
        incomparable = []
        for label in order:
            if label == first:
                continue
            one = lead(asked, first, label, tests.of(figure, first, label))
            if one.effect is None or len(one.by_case) < asked.fewest:
                incomparable.append(label)
            elif one.effect >= 0.0:
                leads[label] = one
            else:
                break
        else:
            found = _ranked(first, leads, tuple(in_order(incomparable)), without, tests.count)
            if any(verdict_of(one) in TOLD_APART for one in leads.values()):
                return found
            return replace(found, apart=_farthest_apart(asked, figure, tests, whole))
    return Ranking(Verdict.NO_ORDER, None, (), {}, (), without, tests.count)


def _farthest_apart(
    asked: Asked, figure: str, tests: PairTests, labels: Sequence[str]
) -> tuple[str, str] | None:
    """Return the two that a test tells apart and that are farthest apart, the better one first."""
    found: tuple[str, str] | None = None
    largest = 0.0
    for pair in tests.told_apart(figure, labels):
        one = lead(asked, *pair, tests.of(figure, *pair))
        effect = one.effect or 0.0
        if abs(effect) > largest and not held_by_ranks(one):
            found, largest = pair if effect > 0.0 else pair[::-1], abs(effect)
    return found


def _mean_of(asked: Asked, label: str) -> float:
    """The mean of a candidate's figures, of their logarithms where ratios are compared."""
    figures = asked.candidates[label].values()
    return mean(map(math.log, figures) if asked.by_ratio else figures)


def _ranked(
    first: str,
    leads: Mapping[str, Lead],
    incomparable: tuple[str, ...],
    without: tuple[str, ...],
    tests: int,
) -> Ranking:
    """Return the ranking in which ``first`` is not behind anyone."""
    nearest = {
        label: leads[label]
        for label in sorted(in_order(leads), key=lambda label: leads[label].effect or 0.0)
    }
    level = [label for label, one in nearest.items() if one.effect == 0.0]
    best = tuple(in_order([first, *level]))
    behind = [verdict_of(one) for label, one in nearest.items() if label not in level]
    noisy = [verdict for verdict in behind if verdict not in TOLD_APART]
    if level:
        same = all(verdict_of(leads[label]) is Verdict.TIE for label in level)
        verdict = Verdict.TIE if same else Verdict.LEVEL
    elif noisy:
        verdict = noisy[0]
    elif incomparable:
        verdict = Verdict.NO_COMMON_SEED
    else:
        verdict = Verdict.EXACT if set(behind) == {Verdict.EXACT} else Verdict.AHEAD
    return Ranking(verdict, first, best, nearest, incomparable, without, tests)


def in_order(labels: Iterable[str]) -> list[str]:
    """Return labels in an order of their own, whatever the one given: numbers by their size."""

    def parts(label: str) -> list[tuple[int, float, str]]:
        found = re.split(r"(\d+(?:\.\d+)?)", label)
        return [(0, float(part), part) if part[:1].isdigit() else (1, 0.0, part) for part in found]

    return sorted(labels, key=parts)
