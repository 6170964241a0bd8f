"""Experiment 1 of EMS-FL with weights that somebody trained: three variants of SmolLM2, merged.

    python papers/experiment_1.py DATA FOLDER VARIANTS [VARIANTS ...]

Each VARIANTS has a folder for each domain (mmlu, cmexam, medmcqa), as
examples/real_models/specialise.py writes it (further ones with another seed), and DATA the file of
each. Each variant is tested alone on all
domains, then merged under a gate that is trained on the origin, then tuned: by EMS-FL, by the
paper's baseline, by that with as many steps as EMS-FL takes without idle slots, and by one model
per cluster, which its devices alone train. Then EMS-FL is run with idle slots, beside its baselines
without them (these train in contacts only: the idle slots make a cycle longer, and change nothing
else of them), EMS-FL and its baselines with variants that were drawn anew, and EMS-FL with plain
descent in place of Adam. Losses are those of the next token, in nats. How methods are compared
stands in real_weights.py; FOLDER keeps the runs, and gets two pictures, in the form of the paper's
Fig. 5 and 7.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from real_weights import Experiment, Point

SCENARIO = "paper-exp1-real"
CHECKPOINTS = "learning.model.checkpoints"
DOMAINS = {"A-MMLU": "mmlu", "B-CMExam": "cmexam", "C-MedMCQA": "medmcqa"}
AT_EQUAL_STEPS = {"learning.rounds.per_contact": 3}
PER_CLUSTER = "one model a cluster, three rounds"
FIRST = "EMS-FL, enhanced"
METHODS: Mapping[str, Mapping[str, Any]] = {
    FIRST: {"learning.method": "emsfl-enhanced"},
    "synchronous, one round a contact": {"learning.method": "synchronous"},
    "synchronous, three rounds": {"learning.method": "synchronous", **AT_EQUAL_STEPS},
    PER_CLUSTER: {"learning.method": "fedavg-per-cluster", **AT_EQUAL_STEPS},
}
STEP_SIZES = (0.0005, 0.001, 0.002, 0.005, 0.01)
TUNED_ON = (101, 102, 103)
CYCLES, SHORTER = 12, {"stop.cycles": 6}
GATE_STEPS = 60
"""Rounds of pre-training of the gate, as many as the paper's."""
SEEDS, FEWER = range(1, 6), range(1, 4)
IDLE = (6, 24)
PLAIN = {"learning.optimizer": {"kind": "sgd"}}
PLAIN_STEPS = (0.1, 0.3, 1.0, 3.0)


def merged(variants: Path) -> Point:
    """Return the key that names the variants of a folder."""
    return {CHECKPOINTS: [str((variants / name).resolve()) for name in DOMAINS.values()]}


def asked(data: Path) -> Point:
    """Return the key that names the questions of each domain."""
    files = {cluster: data / f"{name}.jsonl" for cluster, name in DOMAINS.items()}
    return {"learning.data.paths": {name: str(path.resolve()) for name, path in files.items()}}


def main(data: str, folder: str, variants: str, *others: str) -> None:
    """Run, print the tables, and draw the pictures."""
    fixed = {
        **merged(Path(variants)),
        **asked(Path(data)),
        "learning.pretraining.gate_steps": GATE_STEPS,
        "stop.cycles": CYCLES,
    }
    task = Experiment(
        SCENARIO, DOMAINS, METHODS, "loss", STEP_SIZES, TUNED_ON, fixed, Path(folder), SHORTER
    )
    alone = {"learning.method": "fedavg", "learning.pretraining.gate_steps": 0, "stop.cycles": 1}
    singles = {
        f"variant {name} alone": {
            **alone,
            CHECKPOINTS: [str((Path(variants) / name).resolve())],
        }
        for name in DOMAINS.values()
    }
    chosen = task.compare(SEEDS, singles)
    led = {name: keys for name, keys in chosen.items() if name != PER_CLUSTER}
    for idle in IDLE:
        print(f"\n== {idle} idle slots a cycle, the same step sizes")
        print_with(task, {}, {**led, FIRST: {**led[FIRST], "orbit.slots.idle": idle}})
    for number, place in enumerate(others, 2):
        print(f"\n== no idle slots, draw {number} of the variants, the same step sizes")
        print_with(task, merged(Path(place)), led)
    print("\n== no idle slots, EMS-FL by plain descent in place of Adam")
    methods = {FIRST: {**METHODS[FIRST], **PLAIN}}
    plain = replace(task, methods=methods, step_sizes=PLAIN_STEPS, tuned_on=TUNED_ON[:1])
    steps = plain.tuned()
    descent = {f"{FIRST}, plain": {**methods[FIRST], "learning.step_size": steps[FIRST]}}
    print_with(plain, {}, {**led, **descent})


def print_with(task: Experiment, keys: Point, methods: Mapping[str, Point]) -> None:
    """Run some methods with further keys, and print their losses by cycle."""
    task = replace(task, fixed={**task.fixed, **keys})
    task.print_by_cycle(task.run_all(methods, FEWER), FEWER)


if __name__ == "__main__":
    main(*sys.argv[1:])
