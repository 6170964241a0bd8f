"""Experiment 1 of EMS-FL with weights that somebody trained: three variants of SmolLM2, merged.

    python docs/studies/experiment_1.py VARIANTS DATA [seeds] [cycles]

VARIANTS has a folder for each domain (mmlu, cmexam, medmcqa), as `leomix specialise` writes it, and
DATA the file of each. First each variant alone on the tests of all domains, then merged under
a gate that is trained on the origin, then tuned: by EMS-FL, by the paper's baseline, by that
with as many steps as EMS-FL takes, and by one model per cluster, which its devices alone train.
Losses are those of the next token, in nats.

Each method has the step size with the lowest mean loss on validation texts at the end, over two
seeds that are not used again; results are of seeds from 1 on, without a validation split.
Intervals are of 95 % by Student's t over seeds, those of differences are paired.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from batch import in_processes
from by_seed import Measure, Step, Table, compared

SCENARIO = "paper-exp1-real"
DOMAINS = {"A-MMLU": "mmlu", "B-CMExam": "cmexam", "C-MedMCQA": "medmcqa"}
EMSFL = "EMS-FL, enhanced"
AT_EQUAL_STEPS = {"learning.rounds.per_contact": 3}
METHODS: Mapping[str, Mapping[str, Any]] = {
    EMSFL: {"learning.method": "emsfl-enhanced"},
    "synchronous, one round a contact": {"learning.method": "synchronous"},
    "synchronous, three rounds": {"learning.method": "synchronous", **AT_EQUAL_STEPS},
    "one model per cluster, three rounds": {
        "learning.method": "fedavg-per-cluster",
        **AT_EQUAL_STEPS,
    },
}
STEP_SIZES = (0.001, 0.002, 0.005, 0.01)
TUNED_ON = (101, 102)
APART = {"learning.data.validation": 0.2}
"""What step sizes are chosen with: a share of the training texts."""


class Run(NamedTuple):
    """Losses by cluster and over all (""), by cycle from 0; own gate mass at both ends; steps.

    ``validation`` is the loss at the end on the validation texts, if there are any.
    """

    losses: list[dict[str, float]]
    validation: float
    own_mass: tuple[float, float] | None
    steps: int


Point = Mapping[str, Any]


def run(point: Point) -> Run:
    """Run the scenario with some settings in this process."""
    import scenarios
    import sim

    found = sim.run(scenarios.load(SCENARIO, dict(point)))
    rows = found.metrics
    rows = rows.assign(cluster=rows.cluster.fillna("").where(rows.scope != "global", ""))
    last = rows.groupby(["cycle", "cluster"]).last().reset_index()
    losses = [dict(zip(own.cluster, own.loss, strict=True)) for _, own in last.groupby("cycle")]
    validation = float(last[last.cluster == ""].validation_loss.iloc[-1])
    mass = found.summary["own_mass"]
    ends = None if mass is None else (float(mass["start"]), float(mass["end"]))
    return Run(losses, validation, ends, int(found.summary["gradient_steps"]))


def run_each(points: Sequence[Point]) -> list[Run]:
    """Run some points in this process: those of one seed have much in common."""
    return list(map(run, points))


def settings(variants: Sequence[Path], data: Path, cycles: int) -> dict[str, Any]:
    """Return what all runs have in common."""
    return {
        "learning.model.checkpoints": [str(path.resolve()) for path in variants],
        "learning.data.paths": {
            cluster: str((data / f"{name}.jsonl").resolve()) for cluster, name in DOMAINS.items()
        },
        "stop.cycles": cycles,
    }


def alone(variant: Path, data: Path) -> dict[str, Any]:
    """Return the settings of a run that tests a variant by itself, as it is, and ends soon."""
    plain = {"learning.method": "fedavg", "learning.pretraining": {"gate_steps": 0}}
    return settings([variant], data, 1) | plain


def by_seed(points: Sequence[Point], seeds: Sequence[int]) -> Iterator[list[Run]]:
    """Yield the runs of each point, one a seed."""
    found = in_processes(run_each, [[{**point, "seed": n} for point in points] for n in seeds])
    yield from (list(runs) for runs in zip(*found, strict=True))


def tuned(fixed: Point) -> dict[str, float]:
    """Return the step size of each method, and print what it was chosen from."""
    tried = [
        (name, step, {**fixed, **own, "learning.step_size": step, **APART})
        for name, own in METHODS.items()
        for step in STEP_SIZES
    ]
    found: dict[str, dict[float, float]] = {name: {} for name in METHODS}
    runs_of = by_seed([point for *_, point in tried], TUNED_ON)
    for (name, step, _), runs in zip(tried, runs_of, strict=True):
        found[name][step] = mean(own.validation for own in runs)
    print(f"\nloss on validation texts, mean of seeds {', '.join(map(str, TUNED_ON))}")
    print(line("step size", [f"{step:g}" for step in STEP_SIZES]))
    for name, losses in found.items():
        print(line(name, [f"{losses[step]:.3f}" for step in STEP_SIZES]))
    return {name: min(losses, key=losses.__getitem__) for name, losses in found.items()}


def line(head: str, cells: Sequence[str], width: int = 17) -> str:
    """Show a row."""
    return f"{head:<38}" + "".join(f"{cell:>{width}}" for cell in cells)


def by_domain(losses: Mapping[str, float]) -> list[str]:
    """Show losses of each domain, and of all."""
    return [f"{losses[cluster]:.3f}" for cluster in (*DOMAINS, "")]


def print_by_domain(singles: Mapping[str, Run], by_method: Mapping[str, Sequence[Run]]) -> None:
    """Print the losses of each domain: of the variants, of the merged model, and after tuning."""
    print(line("loss of the next token, nats (seed 1)", [*DOMAINS.values(), "mean"]))
    for name, single in singles.items():
        print(line(f"variant {name} alone", by_domain(single.losses[0])))
    print(line("merged, gate trained on the origin", by_domain(by_method[EMSFL][0].losses[0])))
    for name, runs in by_method.items():
        print(line(f"then {name}", by_domain(runs[0].losses[-1])))


def print_by_cycle(by_method: Mapping[str, Sequence[Run]], seeds: Sequence[int]) -> None:
    """Print the mean loss over the domains by cycle, and differences of the methods."""
    last = len(by_method[EMSFL][0].losses) - 1
    shown = sorted({1, 2, (last + 1) // 2, last} & set(range(1, last + 1)))
    heads = {n: f"cycle {n}" if n else "start" for n in (0, *shown)}
    table: Table = {
        name: {
            head: {seed: own.losses[n][""] for seed, own in zip(seeds, runs, strict=True)}
            for n, head in heads.items()
        }
        for name, runs in by_method.items()
    }
    measures = [Measure(head, lambda run: run, "{:.3f}") for head in heads.values()]
    print(f"\nmean loss over the domains, seeds 1 to {len(seeds)}: mean [95 % interval]")
    print(line("", [*heads.values(), "steps"], 23))
    for name, runs in by_method.items():
        cells = [measure.cell(list(table[name][measure.head].values())) for measure in measures]
        print(line(name, [*cells, f"{mean(own.steps for own in runs):,.0f}"], 23))
    others = [name for name in by_method if name != EMSFL]
    verdicts, count = compared([Step(table, EMSFL, name, measures[1:]) for name in others])
    print(f"\n{EMSFL}, less each (below 0: its loss is lower)")
    print(line("", list(heads.values())[1:], 40))
    for name, row in zip(others, verdicts, strict=True):
        print(line(name, row, 40))
    print(f"p is corrected for all {count} tests (Holm); the intervals are not")


def main(variants: str, data: str, seeds: str = "5", cycles: str = "6") -> None:
    """Run, and print the tables."""
    folders = [Path(variants) / name for name in DOMAINS.values()]
    fixed, numbers = settings(folders, Path(data), int(cycles)), range(1, int(seeds) + 1)
    chosen = tuned(fixed)
    points = [{**fixed, **own, "learning.step_size": chosen[name]} for name, own in METHODS.items()]
    by_method = dict(zip(METHODS, by_seed(points, numbers), strict=True))
    singles = in_processes(run, [{**alone(folder, Path(data)), "seed": 1} for folder in folders])
    print()
    print_by_domain({f.name: own for f, own in zip(folders, singles, strict=True)}, by_method)
    masses = [own.own_mass for own in by_method[EMSFL] if own.own_mass]
    if masses:
        cell = Measure("", lambda run: run, "{:.3f}").cell
        ends = [cell([mass[end] for mass in masses]) for end in (0, 1)]
        print(f"\nown gate mass at the start {ends[0]}, at the end {ends[1]}")
    print_by_cycle(by_method, numbers)


if __name__ == "__main__":
    main(*sys.argv[1:])
