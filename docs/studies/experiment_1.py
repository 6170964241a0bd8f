"""Experiment 1 of EMS-FL with weights that somebody trained: three variants of SmolLM2, merged.

    python docs/studies/experiment_1.py VARIANTS DATA [seeds] [cycles]

VARIANTS has a folder for each domain (mmlu, cmexam, medmcqa), as `leomix specialise` writes it, and
DATA the file of each. First each variant alone on the tests of all domains, then merged under
a gate that is trained on the origin, then tuned: by EMS-FL, by the paper's baseline, and by that
with as many steps as EMS-FL takes. Losses are those of the next token, in nats; intervals are of
95 % by Student's t over seeds, those of differences are paired.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from batch import in_processes
from paired import interval, less, line, shown_cycles

SCENARIO = "paper-exp1-real"
DOMAINS = {"A-MMLU": "mmlu", "B-CMExam": "cmexam", "C-MedMCQA": "medmcqa"}
EMSFL = "EMS-FL, enhanced"
BASELINE = "synchronous, one round a contact"
METHODS: Mapping[str, Mapping[str, Any]] = {
    EMSFL: {"learning.method": "emsfl-enhanced"},
    BASELINE: {"learning.method": "synchronous"},
    "synchronous, three rounds a contact": {
        "learning.method": "synchronous",
        "learning.rounds.per_contact": 3,
    },
}


class Run(NamedTuple):
    """Losses by cluster and over all (""), by cycle from 0; own gate mass at both ends; steps."""

    losses: list[dict[str, float]]
    own_mass: tuple[float, float] | None
    steps: int


def run(point: Mapping[str, Any]) -> Run:
    """Run the scenario with some settings in this process."""
    import scenarios
    import sim

    found = sim.run(scenarios.load(SCENARIO, dict(point)))
    rows = found.metrics
    rows = rows.assign(cluster=rows.cluster.fillna("").where(rows.scope != "global", ""))
    last = rows.groupby(["cycle", "cluster"]).last().reset_index()
    by_cycle = last.groupby("cycle")
    losses = [dict(zip(own.cluster, own.loss, strict=True)) for _, own in by_cycle]
    mass = found.summary["own_mass"]
    ends = None if mass is None else (float(mass["start"]), float(mass["end"]))
    return Run(losses, ends, int(found.summary["gradient_steps"]))


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


def by_domain(losses: Mapping[str, float]) -> list[str]:
    """Show losses of each domain, and of all."""
    return [f"{losses[cluster]:.3f}" for cluster in (*DOMAINS, "")]


def main(variants: str, data: str, seeds: str = "5", cycles: str = "6") -> None:
    """Run, and print the tables."""
    folders = [Path(variants) / name for name in DOMAINS.values()]
    fixed, count, last = settings(folders, Path(data), int(cycles)), int(seeds), int(cycles)
    points = [alone(folder, Path(data)) for folder in folders]
    points += [{**fixed, **own, "seed": n} for own in METHODS.values() for n in range(count)]
    found = in_processes(run, points)
    single, tuned = found[: len(folders)], found[len(folders) :]
    by_method = {name: tuned[at * count : (at + 1) * count] for at, name in enumerate(METHODS)}
    merged = by_method[EMSFL]
    print(line("loss of the next token, nats (seed 0)", [*DOMAINS.values(), "mean"]))
    for folder, own in zip(folders, single, strict=True):
        print(line(f"variant {folder.name} alone", by_domain(own.losses[0])))
    print(line("merged, gate trained on the origin", by_domain(merged[0].losses[0])))
    for name, runs in by_method.items():
        print(line(f"then {name}", by_domain(runs[0].losses[-1])))
    if merged[0].own_mass is not None:
        masses = [interval([own.own_mass[end] for own in merged if own.own_mass]) for end in (0, 1)]
        print(f"\nown gate mass at the start {masses[0]}, at the end {masses[1]}")
    shown = shown_cycles(last)
    print(f"\nmean loss over the domains, {count} seeds")
    print(line("", ["start", *(f"cycle {n}" for n in shown), "steps"]))
    for name, runs in by_method.items():
        cells = [interval([own.losses[n][""] for own in runs]) for n in (0, *shown)]
        print(line(name, [*cells, f"{mean(own.steps for own in runs):,.0f}"]))
    for name, runs in by_method.items():
        if name != EMSFL:
            ours, others = (
                [[losses[""] for losses in own.losses] for own in some] for some in (merged, runs)
            )
            cells = less(ours, others, shown)
            print(line(f"EMS-FL less {name.partition(', ')[2]}", ["", *cells]))


if __name__ == "__main__":
    main(*sys.argv[1:])
