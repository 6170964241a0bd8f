"""Experiment 1 of EMS-FL with weights that somebody trained: three variants of SmolLM2, merged.

    python papers/experiment_1.py VARIANTS DATA FOLDER [seeds] [cycles]

VARIANTS has a folder for each domain (mmlu, cmexam, medmcqa), as examples/real_models/specialise.py
writes it, and DATA the file of each. Each variant is tested alone on all domains, then merged under
a gate that is trained on the origin, then tuned: by EMS-FL, by the paper's baseline, by that with
as many steps as EMS-FL takes, and by one model per cluster, which its devices alone train. Losses
are those of the next token, in nats. How methods are compared stands in real_weights.py; FOLDER
keeps the runs, and gets two pictures, in the form of the paper's Fig. 5 and 7.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batch import ONE_DRAW
from real_weights import Experiment

SCENARIO = "paper-exp1-real"
DOMAINS = {"A-MMLU": "mmlu", "B-CMExam": "cmexam", "C-MedMCQA": "medmcqa"}
AT_EQUAL_STEPS = {"learning.rounds.per_contact": 3}
METHODS: Mapping[str, Mapping[str, Any]] = {
    "EMS-FL, enhanced": {"learning.method": "emsfl-enhanced", **ONE_DRAW},
    "synchronous, one round a contact": {"learning.method": "synchronous"},
    "synchronous, three rounds": {"learning.method": "synchronous", **AT_EQUAL_STEPS},
    "one model a cluster, three rounds": {
        "learning.method": "fedavg-per-cluster",
        **AT_EQUAL_STEPS,
    },
}
STEP_SIZES = (0.002, 0.005)
TUNED_ON = (101,)


def settings(variants: Sequence[Path], data: Path, cycles: int) -> dict[str, Any]:
    """Return what all runs have in common."""
    return {
        "learning.model.checkpoints": [str(path.resolve()) for path in variants],
        "learning.data.paths": {
            cluster: str((data / f"{name}.jsonl").resolve()) for cluster, name in DOMAINS.items()
        },
        "stop.cycles": cycles,
    }


def main(variants: str, data: str, folder: str, seeds: str = "5", cycles: str = "6") -> None:
    """Run, print the tables, and draw the pictures."""
    folders = [Path(variants) / name for name in DOMAINS.values()]
    fixed = settings(folders, Path(data), int(cycles))
    task = Experiment(SCENARIO, DOMAINS, METHODS, "loss", STEP_SIZES, TUNED_ON, fixed, Path(folder))
    alone = {"learning.method": "fedavg", "learning.pretraining.gate_steps": 0, "stop.cycles": 1}
    singles = {
        f"variant {own.name} alone": {**alone, "learning.model.checkpoints": [str(own.resolve())]}
        for own in folders
    }
    task.compare(range(1, int(seeds) + 1), singles)


if __name__ == "__main__":
    main(*sys.argv[1:])
