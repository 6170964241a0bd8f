"""Figures of runs by variant and seed: means with their intervals, and paired tests.

Times to a target are given as geometric means, and compared by their ratio; all other figures are
given as means, and compared by their difference. Intervals are Student's, of 95 %. Times are
multiples of a cycle or of an hour, so that ranks are tested, too.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np
from paper_runs import Keys, Run, line, sweep
from scipy import stats

import leomix
from sim.sweep import Choice

BySeed = Mapping[int, float]
"""A figure by seed; inf where it was never reached."""
Table = Mapping[str, Mapping[str, BySeed]]
"""Figures by variant, by the head of their measure, and by seed."""

Bounds = tuple[float, float]
NO_BOUNDS: Bounds = (-math.inf, math.inf)
NO_LESS: Bounds = (0.0, math.inf)
SHARE: Bounds = (0.0, 1.0)
SIGNIFICANT = 0.05
"""Corrected p value below which a difference is more than noise."""
CLOSE = {"rel_tol": 1e-9, "abs_tol": 1e-12}
"""Figures that are closer are the same: means of equal figures differ in their last digits."""
FEWEST_RANKS = 6
"""Fewer seeds cannot have a p of ranks below 0.05."""

THRESHOLD, PERIOD = "learning.options.threshold", "learning.options.resplit_cycles"
DRAWS: Mapping[str, Sequence[float]] = {THRESHOLD: (0.5, 0.3, 0.2, 0.1), PERIOD: (0, 1, 4)}
"""How EMS-FL may draw its experts: what is chosen for it after step size and rounds.

Of draws that do the same the first is chosen, which leaves least to chance.
"""
OWN_EACH: Keys = {THRESHOLD: 0.5, PERIOD: 0}
"""Each cluster has the expert of its own data, where the gate gives that more than half."""
TUNED_ON, TUNING_SEEDS = 101, 5
"""The first of the seeds that settings are chosen with, and how many; results are of 1 and on."""
OWN_DATA = "learning.data.own_domain_fraction"


@dataclass(frozen=True)
class Measure:
    """A figure of a run: its head in tables, how it is computed and written, and its bounds.

    With ``ratios`` two of them are compared by their ratio.
    """

    head: str
    of: Callable[[Any], float]
    form: str
    bounds: Bounds = NO_LESS
    ratios: bool = False

    def cell(self, values: Sequence[float]) -> str:
        """Show the mean of a value per seed with its interval, or of how many seeds it is known."""
        known = [value for value in values if math.isfinite(value)]
        if all(map(math.isnan, values)):
            return "-"
        if len(known) < len(values):
            return f"{len(known)} of {len(values)}"
        centre, *ends = mean_of(values, self.bounds, ratios=self.ratios)
        if not ends or min(values) == max(values):
            return self.form.format(centre)
        low, high = map(self.form.format, ends)
        return f"{self.form.format(centre)} [{low}, {high}]"


class Seeds(Measure):
    """How many seeds something is true of: 1 where it is, nan where nobody can tell."""

    def cell(self, values: Sequence[float]) -> str:
        """Show the count."""
        return "-" if any(map(math.isnan, values)) else f"{sum(values):.0f} of {len(values)}"


def mean_of(
    values: Sequence[float], bounds: Bounds = NO_BOUNDS, *, ratios: bool = False
) -> list[float]:
    """Return the mean and the ends of Student's interval of 95 %; of ratios the geometric mean.

    The ends are within bounds, but for ratios. Fewer than three values have a mean alone.
    """
    scaled = [math.log(value) for value in values] if ratios else values
    found = [mean(scaled)]
    if len(values) >= 3:
        half = stats.t.ppf(0.975, len(values) - 1) * stdev(scaled) / math.sqrt(len(values))
        low, high = NO_BOUNDS if ratios else bounds
        found += [max(found[0] - half, low), min(found[0] + half, high)]
    return [*map(math.exp, found)] if ratios else found


# Figures of a run


def reached(target: float, key: str, unit: float = 1.0) -> Callable[[Any], float]:
    """Return what a run had spent when it first reached a target, by a key of evaluations."""

    def of(run: Any) -> float:
        found = _first(run, target)
        spent = None if found is None else getattr(found, key)
        return math.inf if spent is None else spent / unit

    return of


def _first(run: Any, target: float) -> Any:
    return next((one for one in run.evaluations if one.is_at(target)), None)


def cycles_to(target: float) -> Callable[[Any], float]:
    """Return the cycle at whose end, or in which, a run first reached a target."""

    def of(run: Any) -> float:
        before = 0
        for one in run.evaluations:
            if one.is_at(target):
                return float(one.cycles if one.cycles > before else one.cycles + 1)
            before = one.cycles
        return math.inf

    return of


def sent(target: float, *directions: str, unit: float = 1e9) -> Callable[[Any], float]:
    """Return the GB on the air of transfers that had ended at a target; of all by default.

    A broadcast counts once.
    """

    def of(run: Any) -> float:
        found = _first(run, target)
        if found is None:
            return math.inf
        rows = run.transfers
        own = rows.end_s <= found.hours * 3600
        if directions:
            own &= rows.direction.isin(directions)
        return float(rows.on_air_bytes[own].sum()) / unit

    return of


def accuracy_after(days: float) -> Callable[[Any], float]:
    """Return the accuracy on the test set of the last evaluation by then."""
    return lambda run: [one.accuracy for one in run.evaluations if one.hours <= 24 * days][-1]


def average_until(days: float) -> Callable[[Any], float]:
    """Return the accuracy averaged over the time until then, which the run must cover.

    The accuracy of an evaluation, of which the first is at 0, is held until the next one.
    """

    def of(run: Any) -> float:
        seen = [one for one in run.evaluations if one.hours < 24 * days]
        lasted = (b - a for a, b in pairwise([*(one.hours for one in seen), 24 * days]))
        held = zip(seen, lasted, strict=True)
        return math.fsum(one.accuracy * hours for one, hours in held) / (24 * days)

    return of


def at_home(run: Any) -> float:
    """Return 1 where each split of a run gave every expert to the cluster that uses it most."""
    rows = run.assignments
    if not len(rows):
        return math.nan
    split = [rows.time_s, rows.expert]
    most = rows.relevance >= rows.groupby(["time_s", "expert"]).relevance.transform("max") - 1e-9
    return float((most & rows.assigned).groupby(split).any().all())


def own_mass(run: Any) -> float:
    """Return the own gate mass at the end, nan without experts."""
    mass = run.summary["own_mass"]
    return math.nan if mass is None else float(mass["end"])


def summary(key: str, unit: float = 1.0) -> Callable[[Any], float]:
    """Return a figure of the summary of a run."""
    return lambda run: run.summary[key] / unit


HOME = Seeds("always at home", at_home, "")
FINAL = Measure("last accuracy", summary("accuracy_final"), "{:.3f}", SHARE)


def measured(runs: Iterable[Run], measures: Iterable[Measure]) -> Table:
    """Return the figures of runs."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for run in runs:
        own = found.setdefault(run.variant, {})
        for measure in measures:
            own.setdefault(measure.head, {})[run.seed] = measure.of(run.result)
    return found


def print_means(
    table: Table,
    measures: Sequence[Measure],
    first: int,
    width: int,
    cell: Callable[[Measure, Sequence[float]], str] = lambda measure, own: measure.cell(own),
    *,
    head: str = "",
) -> None:
    """Print a row for each variant; ``first`` and ``width`` are those of columns in characters."""
    print(line(head, first, [measure.head for measure in measures], width))
    for name, own in table.items():
        cells = (cell(measure, [*own[measure.head].values()]) for measure in measures)
        print(line(name, first, cells, width))


# Settings that are chosen


def tuned(
    scenario: str,
    variants: Mapping[str, Keys],
    vary: Mapping[str, Sequence[Any]],
    *,
    fixed: Keys,
    at_days: float | None = None,
    seeds: int = TUNING_SEEDS,
) -> Choice:
    """Return which values of ``vary`` do best on validation samples for each variant, by the mean.

    The runs are of seeds that are not used again, and end at ``at_days``. What there is to say of
    the choice, such as ties, is printed on the standard error.
    """
    ends = {} if at_days is None else {"stop.days": at_days}
    apart = {"seed": TUNED_ON, "learning.data.validation": 0.2}
    own = {**fixed, **apart, **ends}
    swept = sweep(scenario, variants, vary, fixed=own, seeds=seeds, keep_going=True)
    choice = leomix.compare(swept.folder, best_by="validation", at_days=at_days)
    for notice in choice.notices():
        print(f"note: {notice}", file=sys.stderr)
    return choice


def draw_of(keys: Keys) -> str:
    """Show threshold and period."""
    return f"{keys[THRESHOLD]:g}, {keys[PERIOD] or 'once'}"


# Tests


@dataclass(frozen=True)
class Step:
    """Two variants of a table that are compared, by some of its measures."""

    table: Table
    name: str
    against: str
    measures: Sequence[Measure]

    def tests(self) -> list[Paired]:
        """Return the paired comparison by each measure."""
        first, second = self.table[self.name], self.table[self.against]
        return [paired(first[one.head], second[one.head], one) for one in self.measures]


class Paired(NamedTuple):
    """Two rows, compared on the seeds of both.

    ``mean`` is that of the ratio or the difference, and the ends of its interval, empty where one
    was never reached; ``p`` is that of the t test, and ``p_ranks`` that of Wilcoxon's test.
    """

    mean: Sequence[float]
    p: float | None = None
    p_ranks: float | None = None
    as_ratio: bool = False


def paired(first: BySeed, second: BySeed, measure: Measure) -> Paired:
    """Compare figures of two by seed: by their ratio, as long as none is 0, or their difference."""
    pairs = [(first[seed], second[seed]) for seed in sorted(first.keys() & second.keys())]
    if len(pairs) < 2 or not np.isfinite(pairs).all():
        return Paired(())
    as_ratio = measure.ratios and min(map(min, pairs)) > 0.0
    scale = math.log if as_ratio else float
    apart = [0.0 if math.isclose(a, b, **CLOSE) else scale(a) - scale(b) for a, b in pairs]
    low, high = measure.bounds
    found = mean_of(apart, NO_BOUNDS if as_ratio else (low - high, high - low))
    same = math.isclose(min(apart), max(apart), **CLOSE)
    p = None if len(apart) < 3 or same else float(stats.ttest_1samp(apart, 0.0).pvalue)
    rounded = np.round(apart, 12)
    exact = stats.PermutationMethod(n_resamples=math.inf)
    tested = len(apart) >= FEWEST_RANKS and rounded.any()
    p_ranks = float(stats.wilcoxon(rounded[rounded != 0], method=exact).pvalue) if tested else None
    return Paired([*map(math.exp, found)] if as_ratio else found, p, p_ranks, as_ratio)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values, each corrected for all of them by Holm's step-down procedure."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    steps = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return list(map(float, adjusted))


def compared(steps: Sequence[Step]) -> tuple[list[list[str]], int]:
    """Return a cell per step and measure, and how many tests they were corrected for (Holm).

    A cell has the ratio or difference with its interval, which is not corrected, and a verdict.
    """
    tests = [step.tests() for step in steps]
    every = [test.p for own in tests for test in own if test.p is not None]
    corrected = iter(holm(every))
    cells = [
        [
            _effect(measure, test, None if test.p is None else next(corrected))
            for measure, test in zip(step.measures, own, strict=True)
        ]
        for step, own in zip(steps, tests, strict=True)
    ]
    return cells, len(every)


def _effect(measure: Measure, test: Paired, p: float | None) -> str:
    if not test.mean:
        return "not all"
    form = "{:.2f}" if test.as_ratio else "{:+.3f}"
    centre, *ends = map(form.format, test.mean)
    if not ends:  # too few seeds for an interval
        return centre
    if p is None and test.mean[0] == (1.0 if test.as_ratio else 0.0):
        return f"{centre} same"
    shown = f"{centre} [{', '.join(ends)}]"
    if p is None:
        return shown
    every = [p, test.p_ranks] if measure.ratios and test.p_ranks is not None else [p]
    values = ", ranks ".join("p < 0.001" if one < 0.001 else f"p {one:.3f}" for one in every)
    return f"{shown} {values}{'' if max(every) < SIGNIFICANT else ' noise'}"


class Part(NamedTuple):
    """A table with a title: tables of means of these measures with widths of their columns, and
    pairs of its rows that are compared."""

    title: str
    table: Table
    shown: Sequence[tuple[Sequence[Measure], int, int]]
    steps: Sequence[Step]


def print_parts(
    parts: Sequence[Part], head: str, first: int, name_of: Callable[[Step], str]
) -> None:
    """Print tables, with p values that are corrected together: means, and a row for each pair.

    ``head`` is that of the pairs, and ``first`` the width of their names.
    """
    cells, count = compared([step for part in parts for step in part.steps])
    left = iter(cells)
    print(
        f"p is corrected for all {count} tests below (Holm); intervals and ranks (Wilcoxon) are not"
    )
    for part in parts:
        print(f"\n{part.title}")
        for measures, own, width in part.shown:
            print()
            print_means(part.table, measures, own, width)
        print("\n" + line(head, first, [one.head for one in part.steps[0].measures], 47))
        for step in part.steps:
            print(line(name_of(step), first, next(left), 47))
