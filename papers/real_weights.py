"""Experiments with weights that somebody trained: step sizes, seeds, tables and pictures.

Each method has the step size that does best on validation samples at the end, in the mean over
seeds that are not used again; results are of seeds from 1 on, without a validation split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING, Any

from by_seed import HOME, NO_LESS, SHARE, Measure, Step, compared, mean_of, measured, tuned
from paper_runs import FOLDER, Keys, Run, by_variant, line, runs

if TYPE_CHECKING:
    import pandas as pd

STEP = "learning.step_size"
FIRST_COLUMN = 38
STYLES = (("#d55e00", "o"), ("#0072b2", "s"), ("#009e73", "^"), ("#cc79a7", "D"))
"""Colour and mark of each method."""


@dataclass(frozen=True)
class Experiment:
    """A scenario and how it is run: ``methods`` by name, EMS-FL first, ``domains`` by cluster.

    What is measured is the ``loss`` or the ``accuracy``; ``fixed`` are the keys that all runs have,
    ``shorter`` those that differ where step sizes are chosen, with ``tuning_seeds`` seeds.
    """

    name: str
    scenario: str
    domains: Mapping[str, str]
    methods: Mapping[str, Keys]
    measured: str
    step_sizes: Sequence[float]
    tuning_seeds: int
    fixed: Keys
    shorter: Keys = field(default_factory=dict)

    @property
    def falls(self) -> bool:
        """Whether less is better."""
        return self.measured == "loss"

    def by_cycle(self, result: Any) -> pd.DataFrame:
        """Return the figures of the tests of a run: a row a cycle, from 0, a column a cluster.

        The column "" is that over all clusters.
        """
        rows = result.metrics
        cluster = rows.cluster.fillna("").where(rows.scope != "global", "")
        each = rows.assign(cluster=cluster).groupby(["cycle", "cluster"])[self.measured]
        return each.last().unstack().reset_index(drop=True)

    def chosen(self) -> dict[str, dict[str, Any]]:
        """Return the keys of each method with its step size, and print what these did."""
        own = {**self.fixed, **self.shorter}
        vary = {STEP: self.step_sizes}
        choice = tuned(self.scenario, self.methods, vary, fixed=own, seeds=self.tuning_seeds)
        seeds = ", ".join(map(str, choice.tried[0].figures))
        print(f"{self.measured} on validation samples after the last cycle, seeds {seeds}")
        print(line("step size", FIRST_COLUMN, [f"{step:g}" for step in self.step_sizes], 10))
        for name in self.methods:
            means = [mean(one.known) for one in choice.tried if one.name == name]
            print(line(name, FIRST_COLUMN, [f"{own:.3f}" for own in means], 10))
        return choice.chosen

    def compare(self, seeds: int, singles: Mapping[str, Keys]) -> dict[str, dict[str, Any]]:
        """Choose step sizes, run all methods, print and draw the results; return their keys.

        ``singles`` are models that are tested by themselves, as they are, by name.
        """
        keys = self.chosen()
        made = runs(self.scenario, keys, fixed=self.fixed, seeds=seeds)
        alone = runs(self.scenario, singles, fixed={"seed": 1}) if singles else []
        untuned = {run.variant: self.by_cycle(run.result) for run in alone}
        by_method = {run.variant: self.by_cycle(run.result) for run in made if run.seed == 1}
        start = next(iter(by_method.values())).loc[0]
        rows = {name: cycles.loc[0] for name, cycles in untuned.items()} | {"start": start}
        rows |= {f"then {name}": cycles.iloc[-1] for name, cycles in by_method.items()}
        print(f"\n{self.measured} of the tests, seed 1")
        print(line("", FIRST_COLUMN, [*self.domains.values(), "mean"], 12))
        for name, own in rows.items():
            cells = [f"{own[cluster]:.3f}" for cluster in (*self.domains, "")]
            print(line(name, FIRST_COLUMN, cells, 12))
        self.print_by_cycle(made, seeds)
        self.draw_by_cycle(made)
        best = min if self.falls else max
        drawn = {"start": start} | {name: cycles.iloc[-1] for name, cycles in by_method.items()}
        if singles:
            of_single = {c: best(rows[name][c] for name in singles) for c in (*self.domains, "")}
            drawn = {"best single model": of_single} | drawn
        self.draw_by_domain(drawn)
        return keys

    def print_by_cycle(self, made: Sequence[Run], seeds: int) -> None:
        """Print the figure over all domains by cycle, and differences of the methods."""
        by_method = by_variant(made)
        first, *others = by_method
        masses = [run.summary["own_mass"] for run in by_method[first]]
        if all(masses):
            cell = Measure("", float, "{:.3f}").cell
            start, end = (cell([mass[key] for mass in masses]) for key in ("start", "end"))
            home = HOME.cell([*map(HOME.of, by_method[first])])
            print(f"\nown gate mass at the start {start}, at the end {end};", end=" ")
            print(f"{HOME.head} with {home} seeds")
        last = len(self.by_cycle(made[0].result)) - 1
        shown = sorted({1, 2, (last + 1) // 2, last} & {*range(1, last + 1)})
        bounds = NO_LESS if self.falls else SHARE
        measures = [
            Measure(f"cycle {n}" if n else "start", self._at(n), "{:.3f}", bounds)
            for n in (0, *shown)
        ]
        table = measured(made, measures)
        heads = [measure.head for measure in measures]
        print(f"\n{self.measured} over all domains, {seeds} seeds: mean [95 % interval]")
        print(line("", FIRST_COLUMN, [*heads, "steps", "uplink, GB"], 22))
        for name, results in by_method.items():
            cells = [own.cell([*table[name][own.head].values()]) for own in measures]
            steps = mean(run.summary["gradient_steps"] for run in results)
            sent_gb = mean(run.summary["uplink_bytes"] for run in results) / 1e9
            print(line(name, FIRST_COLUMN, [*cells, f"{steps:,.0f}", f"{sent_gb:.3f}"], 22))
        tests, count = compared([Step(table, first, name, measures[1:]) for name in others])
        print(f"\n{first}, less each ({'below' if self.falls else 'above'} 0: it is better)")
        print(line("", FIRST_COLUMN, heads[1:], 38))
        for name, row in zip(others, tests, strict=True):
            print(line(name, FIRST_COLUMN, row, 38))
        print(f"p is corrected for all {count} tests (Holm); the intervals are not")

    def _at(self, cycle: int) -> Any:
        return lambda result: float(self.by_cycle(result)[""][cycle])

    def draw_by_cycle(self, made: Sequence[Run]) -> None:
        """Draw by cycle how far the figure over all domains is from its start: mean and 95 %.

        Seeds draw other samples, and so begin apart by more than a method changes.
        """
        figure, axes = _picture()
        for (name, results), (colour, mark) in zip(by_variant(made).items(), STYLES, strict=False):
            pooled = [self.by_cycle(result)[""] for result in results]
            each = zip(*(own - own[0] for own in pooled), strict=True)
            means = [(mean_of(values) * 3)[:3] for values in each]
            middle, low, high = zip(*means, strict=True)
            axes.plot(range(len(means)), middle, color=colour, marker=mark, label=name)
            axes.fill_between(range(len(means)), low, high, color=colour, alpha=0.12, linewidth=0)
        axes.set(xlabel="orbital cycle", ylabel=f"{self.measured} over all domains, less start")
        axes.legend(fontsize=8)
        figure.savefig(FOLDER / f"{self.name}-by-cycle.svg")

    def draw_by_domain(self, rows: Mapping[str, Mapping[str, float]]) -> None:
        """Draw the figure of each domain: of the best single model, at the start, and tuned.

        All are of one seed, which draws the tests.
        """
        figure, axes = _picture()
        clusters = {**self.domains, "": "all"}
        styles = ((("#999999", "P"), ("#56b4e9", "X"), *STYLES))[-len(rows) :]
        for at, ((name, own), (colour, mark)) in enumerate(zip(rows.items(), styles, strict=True)):
            left = [n + 0.1 * (at - (len(rows) - 1) / 2) for n in range(len(clusters))]
            axes.plot(left, [own[cluster] for cluster in clusters], mark, color=colour, label=name)
        axes.set(ylabel=self.measured)
        axes.set_xticks(range(len(clusters)), list(clusters.values()))
        figure.legend(fontsize=7, ncols=3, loc="outside upper center")
        figure.savefig(FOLDER / f"{self.name}-by-domain.svg")


def _picture() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    return figure, figure.subplots()
