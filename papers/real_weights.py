"""Experiments with weights that somebody trained: step sizes, seeds, tables and pictures.

Each method has the step size that does best on validation samples at the end, in the mean over
seeds that are not used again; results are of seeds from 1 on, without a validation split. Runs are
kept as JSON in a folder, and not run again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from batch import in_processes
from by_seed import HOME, NO_LESS, SHARE, Measure, Step, Table, at_home, compared, interval
from paper_runs import PROCESSES

import leomix

COSTS = ("steps", "uplink_gb")
Point = Mapping[str, Any]
Figures = Mapping[str, float]
"""A figure by cluster, and over all of them ("")."""
APART = {"learning.data.validation": 0.2}
"""What step sizes are chosen with: a share of the training samples."""


class Run(NamedTuple):
    """Figures of the tests by cycle, from 0; own gate mass at both ends; steps of all devices.

    ``validation`` is the figure at the end on the validation samples, if there are any,
    ``uplink_gb`` what all devices have sent, ``at_home`` 1 if each split left all experts at home.
    """

    tests: Sequence[Figures]
    validation: float
    own_mass: Sequence[float] | None
    steps: int
    uplink_gb: float
    at_home: float


@dataclass(frozen=True)
class Experiment:
    """A scenario and how it is run: ``methods`` by name, EMS-FL first, ``domains`` by cluster.

    What is measured is the ``loss`` or the ``accuracy``; ``fixed`` are the keys that all runs have,
    ``shorter`` what is else where step sizes are chosen.
    """

    scenario: str
    domains: Mapping[str, str]
    methods: Mapping[str, Point]
    measured: str
    step_sizes: Sequence[float]
    tuned_on: Sequence[int]
    fixed: Point
    folder: Path
    shorter: Point = field(default_factory=dict)

    @property
    def falls(self) -> bool:
        """Whether less is better."""
        return self.measured == "loss"

    def run(self, point: Point) -> Run:
        """Run the scenario with some settings in this process, or return what was kept of it."""
        name = sha256(json.dumps([self.scenario, point], sort_keys=True).encode()).hexdigest()
        kept = self.folder / f"{name[:16]}.json"
        if kept.exists():
            return Run(**json.loads(kept.read_text()))
        found = self._run(point)
        kept.write_text(json.dumps(found._asdict()))
        return found

    def _run(self, point: Point) -> Run:
        found = leomix.run(leomix.load(self.scenario, dict(point)))
        rows = found.metrics
        rows = rows.assign(cluster=rows.cluster.fillna("").where(rows.scope != "global", ""))
        last = rows.groupby(["cycle", "cluster"]).last().reset_index()
        tests = [
            {cluster: float(x) for cluster, x in zip(own.cluster, own[self.measured], strict=True)}
            for _, own in last.groupby("cycle")
        ]
        validation = float(last[last.cluster == ""][f"validation_{self.measured}"].iloc[-1])
        mass = found.summary["own_mass"]
        ends = None if mass is None else (float(mass["start"]), float(mass["end"]))
        of_all = found.summary
        sent_gb = of_all["uplink_bytes"] / 1e9
        steps = int(of_all["gradient_steps"])
        return Run(tests, validation, ends, steps, sent_gb, at_home(found))

    def run_each(self, points: Sequence[Point]) -> list[Run]:
        """Run some points in this process: those of one seed have much in common."""
        return list(map(self.run, points))

    def by_seed(self, points: Sequence[Point], seeds: Sequence[int]) -> list[list[Run]]:
        """Return the runs of each point, one a seed: a process has those of one seed, or some."""
        parts = max(1, PROCESSES // len(seeds))
        jobs = [(seed, points[part::parts]) for seed in seeds for part in range(parts)]
        each = [[{**self.fixed, **point, "seed": seed} for point in own] for seed, own in jobs]
        found = in_processes(self.run_each, each)
        rows: list[list[Run]] = [[] for _ in points]
        for number, runs in enumerate(found):
            for at, own in zip(range(number % parts, len(points), parts), runs, strict=True):
                rows[at].append(own)
        return rows

    def tuned(self) -> dict[str, float]:
        """Return the step size of each method, and print what it was chosen from."""
        tried = [(name, step) for name in self.methods for step in self.step_sizes]
        points = [
            {**self.methods[name], "learning.step_size": step, **APART, **self.shorter}
            for name, step in tried
        ]
        found: dict[str, dict[float, float]] = {name: {} for name in self.methods}
        for (name, step), runs in zip(tried, self.by_seed(points, self.tuned_on), strict=True):
            found[name][step] = mean(own.validation for own in runs)
        seeds = ", ".join(map(str, self.tuned_on))
        print(f"{self.measured} on validation samples after the last cycle, seeds {seeds}")
        print(line("step size", [f"{step:g}" for step in self.step_sizes], 10))
        for name, own in found.items():
            print(line(name, [f"{own[step]:.3f}" for step in self.step_sizes], 10))
        best = min if self.falls else max
        return {name: best(own, key=own.__getitem__) for name, own in found.items()}

    def compare(self, seeds: Sequence[int], singles: Mapping[str, Point]) -> dict[str, Point]:
        """Choose step sizes, run all methods, print and draw what came out; return their keys.

        ``singles`` are models that are tested by themselves, as they are, by name.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        chosen = self.tuned()
        keys: dict[str, Point] = {
            name: {**own, "learning.step_size": chosen[name]} for name, own in self.methods.items()
        }
        by_method = self.run_all(keys, seeds)
        alone = [{**self.fixed, **own, "seed": seeds[0]} for own in singles.values()]
        untuned = dict(zip(singles, in_processes(self.run, alone), strict=True))
        first = {name: runs[0] for name, runs in by_method.items()}
        self.print_by_domain(untuned, first, seeds[0])
        self.print_by_cycle(by_method, seeds)
        draw_by_cycle(self, by_method, self.folder / "by-cycle.svg")
        draw_by_domain(self, untuned, first, self.folder / "by-domain.svg")
        return keys

    def run_all(self, keys: Mapping[str, Point], seeds: Sequence[int]) -> dict[str, list[Run]]:
        """Return the runs of each method, one a seed."""
        return dict(zip(keys, self.by_seed(list(keys.values()), seeds), strict=True))

    def print_by_domain(
        self, singles: Mapping[str, Run], by_method: Mapping[str, Run], seed: int
    ) -> None:
        """Print the figures of each domain: of single models, at the start, and after tuning."""
        rows = {name: run.tests[0] for name, run in singles.items()}
        rows |= {"start": next(iter(by_method.values())).tests[0]}
        rows |= {f"then {name}": run.tests[-1] for name, run in by_method.items()}
        print(f"\n{self.measured} of the tests, seed {seed}")
        print(line("", [*self.domains.values(), "mean"], 12))
        for name, own in rows.items():
            print(line(name, [f"{own[cluster]:.3f}" for cluster in (*self.domains, "")], 12))

    def print_by_cycle(self, by_method: Mapping[str, Sequence[Run]], seeds: Sequence[int]) -> None:
        """Print the figure over all domains by cycle, and differences of the methods."""
        first, *others = by_method
        masses = [run.own_mass for run in by_method[first] if run.own_mass]
        if masses:
            cell = Measure("", lambda run: run, "{:.3f}").cell
            ends = [cell([mass[end] for mass in masses]) for end in (0, 1)]
            home = HOME.cell([run.at_home for run in by_method[first]])
            print(f"\nown gate mass at the start {ends[0]}, at the end {ends[1]};", end=" ")
            print(f"{HOME.head} with {home} seeds")
        last = len(by_method[first][0].tests) - 1
        shown = sorted({1, 2, (last + 1) // 2, last} & set(range(1, last + 1)))
        heads = {n: f"cycle {n}" if n else "start" for n in (0, *shown)}
        table: Table = {
            name: {
                head: {seed: own.tests[n][""] for seed, own in zip(seeds, runs, strict=True)}
                for n, head in heads.items()
            }
            for name, runs in by_method.items()
        }
        bounds = NO_LESS if self.falls else SHARE
        measures = [Measure(head, lambda run: run, "{:.3f}", bounds) for head in heads.values()]
        print(f"\n{self.measured} over all domains, {len(seeds)} seeds: mean [95 % interval]")
        print(line("", [*heads.values(), "steps", "uplink, GB"], 22))
        for name, runs in by_method.items():
            cells = [own.cell(list(table[name][own.head].values())) for own in measures]
            steps, sent_gb = (mean(getattr(own, key) for own in runs) for key in COSTS)
            print(line(name, [*cells, f"{steps:,.0f}", f"{sent_gb:.3f}"], 22))
        tests, count = compared([Step(table, first, name, measures[1:]) for name in others])
        better = "below" if self.falls else "above"
        print(f"\n{first}, less each ({better} 0: it is better)")
        print(line("", list(heads.values())[1:], 38))
        for name, row in zip(others, tests, strict=True):
            print(line(name, row, 38))
        print(f"p is corrected for all {count} tests (Holm); the intervals are not")


def line(head: str, cells: Sequence[str], width: int) -> str:
    """Show a row of a table."""
    return f"{head:<38}" + "".join(f"{cell:>{width}}" for cell in cells)


def draw_by_cycle(task: Experiment, by_method: Mapping[str, Sequence[Run]], path: Path) -> None:
    """Draw by cycle how far the figure over all domains is from its start: mean and 95 %.

    Seeds draw other samples, and so begin apart by more than a method changes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for (name, runs), (colour, mark) in zip(by_method.items(), STYLES, strict=False):
        cycles = range(len(runs[0].tests))
        values = [[run.tests[n][""] - run.tests[0][""] for run in runs] for n in cycles]
        means = [mean(own) for own in values]
        axes.plot(cycles, means, color=colour, marker=mark, label=name)
        ends = [interval(own) or (at, at) for own, at in zip(values, means, strict=True)]
        low, high = zip(*ends, strict=True)
        axes.fill_between(cycles, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.set(xlabel="orbital cycle", ylabel=f"{task.measured} over all domains, less start")
    axes.legend(fontsize=8)
    figure.savefig(path)


def draw_by_domain(
    task: Experiment, singles: Mapping[str, Run], by_method: Mapping[str, Run], path: Path
) -> None:
    """Draw the figure of each domain: of the best single model, at the start, and tuned.

    All are of one seed, which draws the tests.
    """
    from matplotlib.figure import Figure

    best = min if task.falls else max
    places = {**task.domains, "": "all"}
    rows: dict[str, list[float]] = {}
    if singles:
        rows["best single model"] = [
            best(run.tests[0][cluster] for run in singles.values()) for cluster in places
        ]
    start = next(iter(by_method.values())).tests[0]
    rows["start"] = [start[cluster] for cluster in places]
    for name, run in by_method.items():
        rows[name] = [run.tests[-1][cluster] for cluster in places]
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    styles = (("#999999", "P"), ("#56b4e9", "X"))[-(len(rows) - len(by_method)) :] + STYLES
    for at, ((name, values), (colour, mark)) in enumerate(zip(rows.items(), styles, strict=False)):
        left = [n + 0.1 * (at - (len(rows) - 1) / 2) for n in range(len(places))]
        axes.plot(left, values, mark, color=colour, label=name)
    axes.set(ylabel=task.measured)
    axes.set_xticks(range(len(places)), list(places.values()))
    figure.legend(fontsize=7, ncols=3, loc="outside upper center")
    figure.savefig(path)


STYLES = (("#d55e00", "o"), ("#0072b2", "s"), ("#009e73", "^"), ("#cc79a7", "D"))
"""Colour and mark of each method."""
