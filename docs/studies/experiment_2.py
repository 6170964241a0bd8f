"""Experiment 2 of EMS-FL with real weights: MiniLM, upcycled into eight experts, on four tasks.

    python docs/studies/experiment_2.py prepare DATA TASKS
    python docs/studies/experiment_2.py MINILM TASKS [seeds] [cycles]

The first line makes a file for each task out of those in DATA: glue_sst2.jsonl and glue_qnli.jsonl
(text_a, text_b, label 0 or 1, split), mmlu.jsonl (question, subject, split) and medmcqa.jsonl
(question, split). The second one runs EMS-FL, the paper's baseline, that with as many steps as
EMS-FL takes, and MiniLM itself, tuned in each cluster by FedAvg alone. Intervals are of 95 % by
Student's t over seeds, those of differences are paired.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from batch import in_processes
from paired import interval, less, line, shown_cycles

SCENARIO = "paper-exp2-real"
TASKS = {"A-SST2": "sst2", "B-QNLI": "qnli", "C-Subject": "subject", "D-Origin": "origin"}
EMSFL = "EMS-FL, enhanced"
METHODS: Mapping[str, Mapping[str, Any]] = {
    EMSFL: {"learning.method": "emsfl-enhanced"},
    "synchronous, one round a contact": {"learning.method": "synchronous"},
    "synchronous, four rounds a contact": {
        "learning.method": "synchronous",
        "learning.rounds.per_contact": 4,
    },
    "FedAvg in each cluster, one MiniLM": {
        "learning.method": "fedavg-per-cluster",
        "learning.rounds.per_contact": 4,
        "learning.model.experts_per_checkpoint": 1,
        "learning.model.top_k": 1,
        "learning.pretraining": {"gate_steps": 0},
    },
}


# The tasks: rows of text, text_pair, label and split. Labels are words of each task alone.


Rows = list[dict[str, Any]]

GROUPS = {
    "STEM": """abstract_algebra astronomy college_biology college_chemistry
        college_computer_science college_mathematics college_physics computer_security
        conceptual_physics electrical_engineering elementary_mathematics high_school_biology
        high_school_chemistry high_school_computer_science high_school_mathematics
        high_school_physics high_school_statistics machine_learning""",
    "humanities": """formal_logic high_school_european_history high_school_us_history
        high_school_world_history international_law jurisprudence logical_fallacies moral_disputes
        moral_scenarios philosophy prehistory professional_law world_religions""",
    "social sciences": """econometrics high_school_geography
        high_school_government_and_politics high_school_macroeconomics high_school_microeconomics
        high_school_psychology human_sexuality professional_psychology public_relations
        security_studies sociology us_foreign_policy""",
}
"""Subjects of MMLU by group (Hendrycks et al., ICLR 2021); all others are "other"."""
GROUP_OF = {subject: group for group, names in GROUPS.items() for subject in names.split()}


def prepare(data: Path, folder: Path) -> None:
    """Write the file of each task. No question of MMLU is in two of them."""

    def rows(name: str) -> Rows:
        with (data / f"{name}.jsonl").open(encoding="utf-8") as file:
            read = [json.loads(row) for row in file]
        return [row for row in read if row.get("question", "a text").strip()]

    def glue(name: str, labels: Sequence[str]) -> Iterable[Any]:
        for row in rows(f"glue_{name}"):
            pair = {"text_pair": row["text_b"]} if row["text_b"] else {}
            yield {"text": row["text_a"], **pair, "label": labels[row["label"]]}, row["split"]

    def asked(some: Rows, label: str | None = None) -> Iterable[Any]:
        for row in some:
            found = label or GROUP_OF.get(row["subject"], "other")
            yield {"text": row["question"], "label": found}, row["split"]

    mmlu = rows("mmlu")
    tasks: dict[str, Iterable[Any]] = {
        "sst2": glue("sst2", ("negative", "positive")),
        "qnli": glue("qnli", ("entailment", "no entailment")),
        "subject": asked(mmlu[::2]),
        "origin": [*asked(mmlu[1::2], "MMLU"), *asked(rows("medmcqa")[::2], "MedMCQA")],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in tasks.items():
        made = [row | {"split": split} for row, split in found]
        random.Random(0).shuffle(made)
        text = "".join(json.dumps(row) + "\n" for row in made)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
        print(f"{folder / name}.jsonl: {len(made)} rows, {len({r['label'] for r in made})} labels")


# The runs.


class Run(NamedTuple):
    """Accuracies by cluster and over all (""), by cycle from 0; own gate mass; steps; bytes up."""

    accuracies: list[dict[str, float]]
    own_mass: tuple[float, float] | None
    steps: int
    uplink_gb: float


def run(point: Mapping[str, Any]) -> Run:
    """Run the scenario with some settings in this process."""
    import scenarios
    import sim

    found = sim.run(scenarios.load(SCENARIO, dict(point)))
    rows = found.metrics
    rows = rows.assign(cluster=rows.cluster.fillna("").where(rows.scope != "global", ""))
    last = rows.groupby(["cycle", "cluster"]).last().reset_index()
    by_cycle = last.groupby("cycle")
    accuracies = [dict(zip(own.cluster, own.accuracy, strict=True)) for _, own in by_cycle]
    mass = found.summary["own_mass"]
    ends = None if mass is None else (float(mass["start"]), float(mass["end"]))
    summary = found.summary
    return Run(accuracies, ends, int(summary["gradient_steps"]), summary["uplink_bytes"] / 1e9)


def runs(points: Sequence[Mapping[str, Any]]) -> list[Run]:
    """Run points of one seed: what blocks without experts make of its texts is computed once."""
    return list(map(run, points))


def settings(model: Path, tasks: Path, cycles: int) -> dict[str, Any]:
    """Return what all runs have in common."""
    return {
        "learning.model.checkpoints": [str(model.resolve())],
        "learning.data.paths": {
            cluster: str((tasks / f"{name}.jsonl").resolve()) for cluster, name in TASKS.items()
        },
        "stop.cycles": cycles,
    }


def main(model: str, tasks: str, seeds: str = "3", cycles: str = "6") -> None:
    """Run, and print the tables."""
    fixed, count, last = settings(Path(model), Path(tasks), int(cycles)), int(seeds), int(cycles)
    points = [[{**fixed, **own, "seed": n} for own in METHODS.values()] for n in range(count)]
    by_method = dict(zip(METHODS, zip(*in_processes(runs, points), strict=True), strict=True))
    print(line(f"accuracy after {last} cycles, {count} seeds", [*TASKS.values(), "mean"]))
    for name, found in by_method.items():
        ends = [own.accuracies[-1] for own in found]
        print(line(name, [interval([end[of] for end in ends]) for of in (*TASKS, "")]))
    masses = [own.own_mass for own in by_method[EMSFL] if own.own_mass]
    if masses:
        start, end = (interval(side) for side in zip(*masses, strict=True))
        print(f"\nown gate mass at the start {start}, at the end {end}")
    shown = shown_cycles(last)
    print(f"\nmean accuracy over the tasks, {count} seeds")
    print(line("", ["start", *(f"cycle {n}" for n in shown), "steps", "uplink, GB"]))
    means = {
        name: [[by_task[""] for by_task in own.accuracies] for own in found]
        for name, found in by_method.items()
    }
    for name, found in by_method.items():
        cells = [interval([own[n] for own in means[name]]) for n in (0, *shown)]
        sent = f"{mean(own.uplink_gb for own in found):.2f}"
        print(line(name, [*cells, f"{mean(own.steps for own in found):,.0f}", sent]))
    for name in METHODS:
        if name != EMSFL:
            cells = less(means[EMSFL], means[name], shown)
            print(line(f"EMS-FL less {name.partition(', ')[2]}", ["", *cells]))


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(*map(Path, sys.argv[2:]))
    else:
        main(*sys.argv[1:])
