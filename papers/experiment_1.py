"""Experiment 1 of EMS-FL with weights that somebody trained: three variants of SmolLM2, merged.

    python papers/experiment_1.py DATA VARIANTS [VARIANTS ...]

Each VARIANTS has a folder for each domain (mmlu, cmexam, medmcqa), as
examples/real_models/specialise.py writes it (further ones with another seed), and DATA the file of
each. Each variant is tested alone on all domains, then merged under a gate that is trained on the
origin, then tuned: by EMS-FL, by the paper's baseline, by that with as many steps as EMS-FL takes
without idle slots, and by one model per cluster, which its devices alone train. Then EMS-FL is run
with six idle slots, and its baselines without them: they train in contacts only, and idle slots
change nothing but the length of their cycles. Last come variants that were drawn anew. Losses are
those of the next token, in nats. real_weights.py says how methods are compared, and draws two
pictures in the form of the paper's Fig. 5 and 7.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from paper_runs import Keys, runs
from real_weights import Experiment

SCENARIO = "paper-exp1-real"
CHECKPOINTS = "learning.model.checkpoints"
DOMAINS = {"A-MMLU": "mmlu", "B-CMExam": "cmexam", "C-MedMCQA": "medmcqa"}
AT_EQUAL_STEPS = {"learning.rounds.per_contact": 3}
PER_CLUSTER = "one model a cluster, three rounds"
FIRST = "EMS-FL, enhanced"
METHODS: Mapping[str, Keys] = {
    FIRST: {"learning.method": "emsfl-enhanced"},
    "synchronous, one round a contact": {"learning.method": "synchronous"},
    "synchronous, three rounds": {"learning.method": "synchronous", **AT_EQUAL_STEPS},
    PER_CLUSTER: {"learning.method": "fedavg-per-cluster", **AT_EQUAL_STEPS},
}
STEP_SIZES = (0.0005, 0.001, 0.002, 0.005, 0.01)
TUNING_SEEDS = 3
CYCLES, SHORTER = 12, {"stop.cycles": 6}
GATE_STEPS = 60
"""Rounds of pre-training of the gate, as many as the paper's."""
SEEDS, FEWER = 5, 3
IDLE = 6


def checkpoints(variants: Path, *names: str) -> Keys:
    """Return the key that names variants of a folder."""
    return {CHECKPOINTS: [str((variants / name).resolve()) for name in names]}


def main(data: str, variants: str, *others: str) -> None:
    """Run, print the tables, and draw the pictures."""
    domains = DOMAINS.values()
    files = {cluster: Path(data, f"{name}.jsonl").resolve() for cluster, name in DOMAINS.items()}
    fixed = {
        **checkpoints(Path(variants), *domains),
        "learning.data.paths": {cluster: str(path) for cluster, path in files.items()},
        "learning.pretraining.gate_steps": GATE_STEPS,
        "stop.cycles": CYCLES,
    }
    task = Experiment(
        "experiment-1", SCENARIO, DOMAINS, METHODS, "loss", STEP_SIZES, TUNING_SEEDS, fixed, SHORTER
    )
    alone = {"learning.method": "fedavg", "learning.pretraining.gate_steps": 0, "stop.cycles": 1}
    singles = {
        f"variant {name} alone": {**fixed, **alone, **checkpoints(Path(variants), name)}
        for name in domains
    }
    chosen = task.compare(SEEDS, singles)
    led = {name: keys for name, keys in chosen.items() if name != PER_CLUSTER}
    print(f"\n== {IDLE} idle slots a cycle, the same step sizes")
    print_with(task, {}, {**led, FIRST: {**led[FIRST], "orbit.slots.idle": IDLE}})
    for number, place in enumerate(others, 2):
        print(f"\n== no idle slots, draw {number} of the variants, the same step sizes")
        print_with(task, checkpoints(Path(place), *domains), led)


def print_with(task: Experiment, keys: Keys, methods: Mapping[str, Keys]) -> None:
    """Run some methods with further keys, and print their losses by cycle."""
    made = runs(task.scenario, methods, fixed={**task.fixed, **keys}, seeds=FEWER)
    task.print_by_cycle(made, FEWER)


if __name__ == "__main__":
    main(*sys.argv[1:])
