"""Figures of a sweep's runs by variant and seed: means with their intervals, and paired tests.

The studies that use it run a sweep of variants over seeds, and read all from its run folders.
Times to a target are given as geometric means, and compared by their ratio; all other figures are
given as means, and compared by their difference. Intervals are Student's, of 95 %. Times are
multiples of a cycle or of an hour, so that ranks are tested beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

import leomix
from sim.analysis.lead import Bounds, interval
from sim.analysis.over_seeds import paired
from sim.analysis.pair_tests import SIGNIFICANT, holm
from sim.analysis.targets import first_reached
from sim.analysis.time_average import time_averaged

BySeed = Mapping[int, float]
"""A figure by seed; inf where it was never reached."""
Keys = Mapping[str, Any]

NO_LESS = Bounds(least=0.0)
SHARE = Bounds(0.0, 1.0)

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
    bounds: Bounds = NO_LESS
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


Ends = tuple[float, float] | None
"""The ends of an interval; None of too few values."""


def _arithmetic(values: Sequence[float], bounds: Bounds) -> tuple[float, Ends]:
    return mean(values), interval(values, bounds)


def _geometric(values: Sequence[float]) -> tuple[float, Ends]:
    logs = [math.log(value) for value in values]
    ends = interval(logs)
    return math.exp(mean(logs)), None if ends is None else (math.exp(ends[0]), math.exp(ends[1]))


def reached(target: float, key: str, unit: float = 1.0) -> Callable[[Any], float]:
    """Return what a run had spent when it first reached a target, by a key of evaluations."""

    def of(run: Any) -> float:
        found = first_reached(run.evaluations, target)
        return math.inf if found is None or found[key] is None else found[key] / unit

    return of


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
        found = first_reached(run.evaluations, target)
        if found is None:
            return math.inf
        rows = run.transfers
        own = (rows.direction == direction) & (rows.end_s <= found["hours"] * 3600)
        # Runs of before do not tell of broadcasts: of these it is what each receiver got.
        on_air = rows.on_air_bytes.fillna(rows.delivered_bytes)
        return float(on_air[own].sum()) / 1e9

    return of


def accuracy_after(days: float) -> Callable[[Any], float]:
    """Return the accuracy on the test set of the last evaluation by then."""
    return lambda run: [one.accuracy for one in run.evaluations if one.hours <= 24 * days][-1]


def average_until(days: float) -> Callable[[Any], float]:
    """Return the accuracy averaged over the time until then, which the run must cover."""

    def of(run: Any) -> float:
        found = time_averaged(run.evaluations, 24 * days)
        return math.nan if found is None else found

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
    ends = {} if at_days is None else {"stop.days": at_days}
    swept = leomix.sweep(
        scenario,
        DRAWS,
        out=out,
        overrides={**fixed, **APART, **ends},
        variants=variants,
        replications=TUNING_SEEDS,
        jobs=jobs,
        resume=out.exists(),
        keep_going=True,
    )
    choice = leomix.compare(swept.folder, best_by="validation", at_days=at_days)
    return {name: dict(keys) for name, keys in choice.chosen.items()}


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

    def tests(self) -> list[dict[str, Any]]:
        """Return the paired comparison by each measure."""
        return [
            paired(
                self.table[self.name][measure.head],
                self.table[self.against][measure.head],
                measure.bounds,
                ratios=measure.ratios,
            )
            for measure in self.measures
        ]


def compared(steps: Sequence[Step]) -> tuple[list[list[str]], int]:
    """Return a cell per step and measure, and how many tests they were corrected for (Holm).

    A cell has the ratio or difference with its interval, which is not corrected, and a verdict.
    """
    tests = [step.tests() for step in steps]
    every = [test["t_p"] for own in tests for test in own if test["t_p"] is not None]
    corrected = iter(holm(np.array(every)))
    cells = [
        [
            _effect(measure, test, next(corrected) if test["t_p"] is not None else None)
            for measure, test in zip(step.measures, own, strict=True)
        ]
        for step, own in zip(steps, tests, strict=True)
    ]
    return cells, len(every)


def _effect(measure: Measure, test: Mapping[str, Any], p: float | None) -> str:
    if test["difference"] is None:
        return "not all"
    if test["ratio"] is not None:
        keys, form = ("ratio", "ratio_low", "ratio_high"), "{:.2f}"
    else:
        keys, form = ("difference", "low", "high"), "{:+.3f}"
    if test[keys[1]] is None:  # too few seeds for an interval
        return form.format(test[keys[0]])
    centre, low, high = (form.format(test[key]) for key in keys)
    if p is None:
        same = math.isclose(test["min"], test["max"], abs_tol=1e-12) and test["max"] == 0.0
        return f"{centre} same" if same else f"{centre} [{low}, {high}]"
    every = [p, test["wilcoxon_p"]] if measure.ratios and test["wilcoxon_p"] is not None else [p]
    shown = ", ranks ".join("p < 0.001" if one < 0.001 else f"p {one:.3f}" for one in every)
    return f"{centre} [{low}, {high}] {shown}{'' if max(every) < SIGNIFICANT else ' noise'}"
