"""Figures of a sweep's runs by variant and seed: means with their intervals, and paired tests.

The studies that use it run a sweep of variants over seeds, and read all from its run folders.
Times to a target are given as geometric means, and compared by their ratio; all other figures are
given as means, and compared by their difference. Intervals are Student's, of 95 %.
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
        """Show the mean of one value per seed with its interval, or how many seeds have a value."""
        known = [value for value in values if math.isfinite(value)]
        if len(known) < len(values):
            return f"{len(known)} of {len(values)}"
        centre, ends = _geometric(values) if self.ratios else _arithmetic(values, self.bounds)
        shown = self.form.format(centre)
        if ends is None or min(values) == max(values):
            return shown
        low, high = map(self.form.format, ends)
        return f"{shown} [{low}, {high}]"


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
    shown = "p < 0.001" if p < 0.001 else f"p {p:.3f}"
    return f"{centre} [{low}, {high}] {shown}{'' if p < SIGNIFICANT else ' noise'}"
