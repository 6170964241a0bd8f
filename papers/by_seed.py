"""Figures of a sweep's runs by variant and seed: means with their intervals, and paired tests.

The scripts that use it run a sweep of variants over seeds, and read all from its run folders.
Times to a target are given as geometric means, and compared by their ratio; all other figures are
given as means, and compared by their difference. Intervals are Student's, of 95 %. Times are
multiples of a cycle or of an hour, so that ranks are tested beside them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

import leomix
from sim.sweep import Choice

BySeed = Mapping[int, float]
"""A figure by seed; inf where it was never reached."""
Keys = Mapping[str, Any]

Ends = tuple[float, float]
"""Of an interval; or what a figure cannot be below and above."""
NO_BOUNDS: Ends = (-math.inf, math.inf)
NO_LESS: Ends = (0.0, math.inf)
SHARE: Ends = (0.0, 1.0)
SIGNIFICANT = 0.05
"""Corrected p value below which a difference is more than noise."""
CLOSE = {"rel_tol": 1e-9, "abs_tol": 1e-12}
"""Figures that are closer are the same: means of equal figures differ in their last digits."""

THRESHOLD, PERIOD = "learning.options.threshold", "learning.options.resplit_cycles"
DRAWS: Mapping[str, Sequence[float]] = {THRESHOLD: (0.5, 0.3, 0.2, 0.1), PERIOD: (0, 1, 4)}
"""How EMS-FL may draw its experts: what is chosen for it after step size and rounds.

Of draws that do the same the first is chosen, which leaves least to chance.
"""
OWN_EACH: Keys = {THRESHOLD: 0.5, PERIOD: 0}
"""Each cluster has the expert of its own data, where the gate gives that more than half."""
TUNED_ON, TUNING_SEEDS = 101, 5
"""The first of the seeds that settings are chosen with, and how many; results are of 1 and on."""
APART: Keys = {"seed": TUNED_ON, "learning.data.validation": 0.2}


@dataclass(frozen=True)
class Measure:
    """A figure of a run: its head in tables, how it is got and written, and what bounds it.

    With ``ratios`` two of them are compared by their ratio.
    """

    head: str
    of: Callable[[Any], float]
    form: str
    bounds: Ends = NO_LESS
    ratios: bool = False

    def cell(self, values: Sequence[float]) -> str:
        """Show the mean of a value per seed with its interval, or of how many seeds it is known."""
        known = [value for value in values if math.isfinite(value)]
        if all(map(math.isnan, values)):
            return "-"
        if len(known) < len(values):
            return f"{len(known)} of {len(values)}"
        centre, ends = _geometric(values) if self.ratios else _arithmetic(values, self.bounds)
        shown = self.form.format(centre)
        if ends is None or min(values) == max(values):
            return shown
        low, high = map(self.form.format, ends)
        return f"{shown} [{low}, {high}]"


class Seeds(Measure):
    """How many seeds something is true of: 1 where it is, nan where nobody can tell."""

    def cell(self, values: Sequence[float]) -> str:
        """Show the count."""
        return "-" if any(map(math.isnan, values)) else f"{sum(values):.0f} of {len(values)}"


def interval(values: Sequence[float], bounds: Ends = NO_BOUNDS) -> Ends | None:
    """Return the ends of Student's interval of 95 %, within bounds; None of fewer than three."""
    if len(values) < 3:
        return None
    half = stats.t.ppf(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return max(mean(values) - half, bounds[0]), min(mean(values) + half, bounds[1])


def _arithmetic(values: Sequence[float], bounds: Ends) -> tuple[float, Ends | None]:
    return mean(values), interval(values, bounds)


def _geometric(values: Sequence[float]) -> tuple[float, Ends | None]:
    logs = [math.log(value) for value in values]
    ends = interval(logs)
    return math.exp(mean(logs)), None if ends is None else (math.exp(ends[0]), math.exp(ends[1]))


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
            if one.accuracy >= target:
                return float(one.cycles if one.cycles > before else one.cycles + 1)
            before = one.cycles
        return math.inf

    return of


def sent(target: float, direction: str) -> Callable[[Any], float]:
    """Return the GB on the air in a direction, of transfers that had ended at a target.

    A broadcast counts once.
    """

    def of(run: Any) -> float:
        found = _first(run, target)
        if found is None:
            return math.inf
        rows = run.transfers
        own = (rows.direction == direction) & (rows.end_s <= found.hours * 3600)
        # Runs of before do not tell of broadcasts: of these it is what each receiver got.
        on_air = rows.on_air_bytes.fillna(rows.delivered_bytes)
        return float(on_air[own].sum()) / 1e9

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


HOME = Seeds("always at home", at_home, "")


def summary(key: str, unit: float = 1.0) -> Callable[[Any], float]:
    """Return a figure of the summary of a run."""
    return lambda run: run.summary[key] / unit


Table = Mapping[str, Mapping[str, BySeed]]
"""Figures by variant, by the head of their measure, and by seed."""


def swept(
    scenario: str,
    variants: Mapping[str, Keys],
    *,
    out: Path,
    fixed: Keys,
    seeds: int,
    jobs: int,
) -> Iterator[tuple[str, int, Any]]:
    """Run each variant with several seeds, from that of the scenario on; yield name, seed and run.

    Runs that are in the folder ``out`` are not run again.
    """
    done = leomix.sweep(
        scenario,
        {},
        out=out,
        overrides=fixed,
        variants=variants,
        replications=seeds,
        jobs=jobs,
        resume=out.exists(),
    )
    for row in done.rows.to_pylist():
        yield row["variant"], row["seed"], leomix.load(done.folder / row["folder"])


def with_draws(
    scenario: str,
    variants: Mapping[str, Keys],
    *,
    out: Path,
    fixed: Keys,
    at_days: float | None,
    jobs: int,
) -> dict[str, dict[str, Any]]:
    """Return each variant with the draw that does best on validation samples, by the mean."""
    choice = tuned(scenario, DRAWS, variants, out=out, fixed=fixed, at_days=at_days, jobs=jobs)
    return {name: dict(keys) for name, keys in choice.chosen.items()}


def tuned(
    scenario: str,
    keys: Mapping[str, Sequence[Any]],
    variants: Mapping[str, Keys],
    *,
    out: Path,
    fixed: Keys,
    at_days: float | None,
    jobs: int,
) -> Choice:
    """Return which values of ``keys`` do best on validation samples for each variant, by the mean.

    The runs are of seeds that are not used again, and end at ``at_days``. What there is to say of
    the choice, such as ties, is printed on the standard error.
    """
    ends = {} if at_days is None else {"stop.days": at_days}
    swept = leomix.sweep(
        scenario,
        keys,
        out=out,
        overrides={**fixed, **APART, **ends},
        variants=variants,
        replications=TUNING_SEEDS,
        jobs=jobs,
        resume=out.exists(),
        keep_going=True,
    )
    choice = leomix.compare(swept.folder, best_by="validation", at_days=at_days)
    for notice in choice.notices():
        print(f"note: {notice}", file=sys.stderr)
    return choice


def draw_of(keys: Keys) -> str:
    """Show threshold and period."""
    return f"{keys[THRESHOLD]:g}, {keys[PERIOD] or 'once'}"


def measured(
    scenario: str,
    variants: Mapping[str, Keys],
    measures: Iterable[Measure],
    *,
    out: Path,
    fixed: Keys,
    seeds: int,
    jobs: int,
) -> Table:
    """Run each variant with several seeds, as :func:`swept` does, and measure the runs."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    heads = [(measure.head, measure.of) for measure in measures]
    runs = swept(scenario, variants, out=out, fixed=fixed, seeds=seeds, jobs=jobs)
    for variant, seed, run in runs:
        own = found.setdefault(variant, {head: {} for head, _ in heads})
        for head, of in heads:
            own[head][seed] = of(run)
    return found


def print_means(table: Table, measures: Sequence[Measure], first: int, other: int) -> None:
    """Print a row a variant; ``first`` and ``other`` are widths of columns in characters."""
    print(" " * first + "".join(f"{measure.head:>{other}}" for measure in measures))
    for name, own in table.items():
        cells = (measure.cell(list(own[measure.head].values())) for measure in measures)
        print(f"{name:<{first}}" + "".join(f"{cell:>{other}}" for cell in cells))


@dataclass(frozen=True)
class Step:
    """Two variants of a table that are compared, by some of its measures."""

    table: Table
    name: str
    against: str
    measures: Sequence[Measure]

    def tests(self) -> list[Paired]:
        """Return the paired comparison by each measure."""
        return [
            paired(
                self.table[self.name][measure.head],
                self.table[self.against][measure.head],
                measure,
            )
            for measure in self.measures
        ]


class Paired(NamedTuple):
    """Two rows, compared on the seeds of both.

    ``centre`` and ``ends`` are the mean of the ratio or the difference, nan where one was never
    there, and its interval; ``p`` is that of the t test, and ``p_ranks`` that of Wilcoxon's test.
    """

    centre: float
    ends: Ends | None
    p: float | None
    p_ranks: float | None
    as_ratio: bool


def paired(first: BySeed, second: BySeed, measure: Measure) -> Paired:
    """Compare figures of two by seed: by their ratio, as long as none is 0, or their difference."""
    seeds = sorted(first.keys() & second.keys())
    pairs = [(first[seed], second[seed]) for seed in seeds]
    if len(pairs) < 2 or not np.isfinite(pairs).all():
        return Paired(math.nan, None, None, None, as_ratio=False)
    as_ratio = measure.ratios and min(map(min, pairs)) > 0.0
    scale = math.log if as_ratio else float
    apart = [0.0 if math.isclose(a, b, **CLOSE) else scale(a) - scale(b) for a, b in pairs]
    low, high = measure.bounds
    ends = interval(apart, NO_BOUNDS if as_ratio else (low - high, high - low))
    same = math.isclose(min(apart), max(apart), **CLOSE)
    p = None if ends is None or same else float(stats.ttest_1samp(apart, 0.0).pvalue)
    centre = mean(apart)
    if as_ratio:
        centre, ends = math.exp(centre), ends and (math.exp(ends[0]), math.exp(ends[1]))
    return Paired(centre, ends, p, _p_of_ranks(apart), as_ratio)


def _p_of_ranks(apart: Sequence[float]) -> float | None:
    """Return the two-sided p value of Wilcoxon's signed ranks, exact by trying all signs.

    None of fewer than six seeds, which cannot have a p below 0.05, and where nothing differs.
    """
    differ = np.array([round(one, 12) for one in apart if round(one, 12)])
    if len(apart) < 6 or not len(differ):
        return None
    ranks = stats.rankdata(np.abs(differ))
    signs = np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks)) & 1
    sums, found = signs @ ranks, ranks[differ > 0].sum()
    return min(1.0, 2.0 * float(min((sums <= found).mean(), (sums >= found).mean())))


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
    if math.isnan(test.centre):
        return "not all"
    form = "{:.2f}" if test.as_ratio else "{:+.3f}"
    centre = form.format(test.centre)
    if test.ends is None:  # too few seeds for an interval
        return centre
    low, high = map(form.format, test.ends)
    if p is None:
        same = test.centre == (1.0 if test.as_ratio else 0.0)
        return f"{centre} same" if same else f"{centre} [{low}, {high}]"
    every = [p, test.p_ranks] if measure.ratios and test.p_ranks is not None else [p]
    shown = ", ranks ".join("p < 0.001" if one < 0.001 else f"p {one:.3f}" for one in every)
    return f"{centre} [{low}, {high}] {shown}{'' if max(every) < SIGNIFICANT else ' noise'}"
