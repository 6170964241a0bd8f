"""Rows: what a comparison has found of each group by each figure, as typed values.

The terminal, JSON, pages and notebooks show the same rows, each in its own form.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import mean
from typing import Any

from sim.analysis.lead import Asked, Figures, Lead
from sim.analysis.measure import Measure
from sim.analysis.over_seeds import geometric, on_logarithms, over_seeds
from sim.analysis.pair_tests import PairTests
from sim.analysis.verdict import Ranking, Verdict, in_order, ranking_of, verdict_of


class Standing(StrEnum):
    """What can be said of one group by a figure, against the group that has the best mean."""

    BEST = "best"
    """It is ahead of every other one by more than noise, alone or with others that are equal."""
    FIRST = "first"
    """It has the best mean, and cannot be told from some other one."""
    EQUAL = "equal"
    """It is equal to the first one at every seed, and nobody is best."""
    LEVEL = "level"
    """It is equal to the first one in the mean, but not at every seed."""
    BEHIND = "behind"
    """It is behind the first one by more than noise."""
    WITHIN_NOISE = "within noise"
    """It is behind the first one, and the test of the two finds nothing."""
    TWO_SEEDS = "two seeds"
    """It is behind the first one over two seeds, which allow no test."""
    ONE_SEED = "one seed"
    """It is behind the first one at one seed, which cannot tell noise."""
    UNTESTED = "not tested"
    """It is behind the first one by a figure that the comparison does not test."""
    NO_COMMON_SEED = "no seed in common"
    """It has too few seeds, or points, in common with the first one."""
    NO_ORDER = "no order"
    """Each group is behind another one, at different cases."""
    SOME_NEVER = "some never"
    """Some of its seeds have the figure, and some never got there."""
    NEVER = "never"
    """None of its seeds got there."""
    NOT_TRAINED = "not trained"
    """Nothing was trained that the figure could be measured of."""
    NOT_ASKED = "not asked for"
    """Its scenario does not name the target."""
    NO_CONTACT = "no contact"
    """No satellite is seen there: a result of its own."""
    REFUSED = "refused"
    """Its scenario cannot be run."""
    FAILED = "failed"
    """Its runs began, and did not come to their end."""
    NOT_ENDED = "not at its end"
    """Its runs were stopped before their end."""
    NOT_RUN = "missing"
    """It has not been run, or not to its end."""
    NOT_COMPLETE = "not complete"
    """Some of its points have failed, or have not been run."""
    UNKNOWN = "unknown"
    """The figure is not known of any of its seeds."""
    ALONE = "alone"
    """There is nothing to compare it with."""


OF_PAIR = {
    Verdict.TIE: Standing.EQUAL,
    Verdict.LEVEL: Standing.LEVEL,
    Verdict.AHEAD: Standing.BEHIND,
    Verdict.EXACT: Standing.BEHIND,
    Verdict.WITHIN_NOISE: Standing.WITHIN_NOISE,
    Verdict.TOO_FEW_SEEDS: Standing.TWO_SEEDS,
    Verdict.ONE_SEED: Standing.ONE_SEED,
    Verdict.UNTESTED: Standing.UNTESTED,
    Verdict.NO_COMMON_SEED: Standing.NO_COMMON_SEED,
}
"""The standing of a group by the verdict on it and the first one."""


@dataclass(frozen=True)
class Distance:
    """What a group has more than the reference, over the seeds that both have.

    ``difference`` is of the means, with its 95 % interval ``low`` to ``high`` (from three seeds
    on); ``ratio`` is of geometric means, with its own, where ratios are compared: it decides there.
    ``p`` is the two-sided p value of the paired t test, ``p_holm`` the same corrected for all tests
    of the comparison; None where there is no test. ``wilcoxon_p`` is that of the signed ranks where
    the figure takes few values, so that a verdict needs both.
    """

    reference: str
    seeds: int
    difference: float
    low: float | None
    high: float | None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    wilcoxon_p: float | None = None

    @classmethod
    def of(cls, reference: str, lead: Lead, *, rising: bool) -> "Distance | None":
        """Return the distance of a group that ``reference`` leads; None without a common seed."""
        if lead.mean is None:
            return None
        found: dict[str, float | None] = {}
        if test := lead.test:
            ranks = lead.wilcoxon_p if lead.few_values else None
            found = {"p": test.p, "p_holm": test.p_holm, "wilcoxon_p": ranks}
        if ratio := lead.ratio:
            ends = ratio.low, ratio.high
            found["ratio"] = 1.0 / ratio.mean if rising else ratio.mean
            found["ratio_low"], found["ratio_high"] = _turned(
                ends, lambda x: 1.0 / x, rising=rising
            )
        low, high = _turned((lead.low, lead.high), lambda x: -x, rising=rising)
        difference = 0.0 - lead.mean if rising else lead.mean
        return cls(reference, len(lead.by_seed), difference, low, high, **found)


def _turned(
    ends: tuple[float | None, float | None], turn: Callable[[float], float], *, rising: bool
) -> tuple[float | None, float | None]:
    """Return the ends of an interval of a lead as those of a distance.

    A lead is how much better the reference is, a distance how much more the other one has.
    """
    low, high = ends
    if low is None or high is None or not rising:
        return ends
    return turn(high), turn(low)


@dataclass(frozen=True)
class Row:
    """One group by one figure.

    ``values`` are those of the keys that tell it from other groups. ``by_seed`` has its figure with
    each seed, over settings that share a seed their mean; None where it never got there. ``mean``
    has its 95 % interval ``low`` to ``high`` (from three seeds on), and is None where some seed
    never got there; of what is compared by ratios it is the geometric mean. ``best`` says that it
    may be called best. ``against`` is its distance from the first one, None of that one itself and
    of what cannot be compared with it.
    """

    label: str
    by_seed: Mapping[int, float | None]
    median: float | None
    mean: float | None
    low: float | None
    high: float | None
    verdict: Standing
    against: Distance | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """How many seeds it has."""
        return len(self.by_seed)

    @property
    def reached(self) -> int:
        """With how many seeds it has the figure."""
        return sum(value is not None for value in self.by_seed.values())


@dataclass(frozen=True)
class Answer:
    """The rows of one figure, the best one first; those without the figure come last.

    ``group`` says what a row is of: a group of runs, a combination of a sweep's keys, or a value of
    the key of that name. ``ranking`` holds the leads of the first one, of which the rows are made.
    """

    measure: Measure
    group: str
    rows: tuple[Row, ...]
    ranking: Ranking

    @property
    def verdict(self) -> Verdict:
        """What can be said of the best against the others."""
        return self.ranking.verdict

    @property
    def reference(self) -> str | None:
        """Whom distances are from: the first row; None where there is no order."""
        return self.ranking.first

    def row(self, label: str) -> Row:
        """Return the row of a group."""
        return next(row for row in self.rows if row.label == label)


def answer_of(
    measure: Measure,
    candidates: Mapping[str, Figures],
    tests: PairTests,
    *,
    group: str = "group",
    name: str = "",
    values: Mapping[str, Mapping[str, Any]] = {},
    lacking: Mapping[str, Standing] = {},
    fewest: float = 1,
) -> Answer:
    """Return the rows of candidates by a figure, whatever the order of the candidates.

    ``tests`` are those of the whole comparison, in which the figure has the ``name``, by default
    its column's. ``values`` are those of keys, by label. ``lacking`` says why some do not have
    the figure, if not because they never got there. Two candidates with fewer than ``fewest`` cases
    in common are not compared.
    """
    asked = measure.asked(candidates, fewest)
    ranking = ranking_of(asked, name or measure.column, tests)
    rows = [
        _row(measure, label, asked, ranking, values.get(label, {}), lacking)
        for label in _in_order_of(ranking, candidates, measure)
    ]
    return Answer(measure, group, tuple(rows), ranking)


def _in_order_of(
    ranking: Ranking, candidates: Mapping[str, Figures], measure: Measure
) -> list[str]:
    """Return labels, the best first, those without the figure last, the most seeds of it first."""
    first = [ranking.first] if ranking.first else []
    ranked = [*first, *ranking.leads]
    rest = [label for label in in_order(candidates) if label not in ranked]
    whole = [label for label in rest if label not in ranking.without]
    sign = -1.0 if measure.rising else 1.0
    whole.sort(key=lambda label: sign * mean(candidates[label].values()))
    without = list(ranking.without)
    without.sort(key=lambda label: -sum(map(math.isfinite, candidates[label].values())))
    return [*ranked, *whole, *without]


def _row(
    measure: Measure,
    label: str,
    asked: Asked,
    ranking: Ranking,
    values: Mapping[str, Any],
    lacking: Mapping[str, Standing],
) -> Row:
    by_seed = _by_seed(asked.candidates[label])
    known = over_seeds(list(by_seed.values()) or [math.inf], measure.figure.bounds)
    lead = ranking.leads.get(label)
    against = None
    if lead is not None and ranking.first is not None:
        against = Distance.of(ranking.first, lead, rising=measure.rising)
    found = {seed: value if math.isfinite(value) else None for seed, value in by_seed.items()}
    if asked.by_ratio:
        known = on_logarithms(known | geometric(list(by_seed.values())))
    ends = {key: known[key] for key in ("median", "mean", "low", "high")}
    verdict = _standing(measure, label, by_seed, ranking, lacking)
    return Row(label, found, **ends, verdict=verdict, against=against, values=values)


def _by_seed(figures: Figures) -> dict[int, float]:
    """Return the mean over the settings of each seed; inf where one of them never got there."""
    settings: dict[int, list[float]] = {}
    for (_, seed), value in figures.items():
        settings.setdefault(seed, []).append(value)
    return {seed: mean(each) for seed, each in sorted(settings.items())}


def _standing(
    measure: Measure,
    label: str,
    by_seed: Mapping[int, float],
    ranking: Ranking,
    lacking: Mapping[str, Standing],
) -> Standing:
    if label in ranking.without:
        if any(map(math.isfinite, by_seed.values())):
            return lacking.get(label, Standing.SOME_NEVER)
        return lacking.get(label, Standing.NEVER if measure.target else Standing.UNKNOWN)
    if ranking.verdict is Verdict.NO_ORDER:
        return Standing.NO_ORDER
    if label in ranking.winners:
        return Standing.BEST
    if label == ranking.first:
        return _of_first(ranking)
    if label in ranking.leads:
        return OF_PAIR[verdict_of(ranking.leads[label])]
    return Standing.NO_COMMON_SEED


def _of_first(ranking: Ranking) -> Standing:
    """Return the standing of the first one, which is not best."""
    if ranking.verdict in (Verdict.TIE, Verdict.LEVEL):
        return Standing.EQUAL if ranking.verdict is Verdict.TIE else Standing.LEVEL
    alone = ranking.verdict in (Verdict.ALONE, Verdict.NEVER)
    return Standing.ALONE if alone else Standing.FIRST
