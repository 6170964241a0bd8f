"""Experiment 2 of EMS-FL with real weights: MiniLM, upcycled into eight experts, on four tasks.

    python papers/experiment_2.py prepare DATA TASKS
    python papers/experiment_2.py MINILM TASKS

The first line makes a file for each task out of those in DATA: glue_sst2.jsonl and glue_qnli.jsonl
(text_a, text_b, label 0 or 1, split), mmlu.jsonl (question, subject, split) and medmcqa.jsonl
(question, split). The second one runs EMS-FL, the paper's baseline, that with as many steps as
EMS-FL takes, and MiniLM itself, tuned in each cluster by FedAvg alone. real_weights.py says how
methods are compared, and draws two pictures in the form of the paper's Fig. 8 and 9.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from paper_runs import Keys
from real_weights import Experiment

SCENARIO = "paper-exp2-real"
TASKS = {"A-SST2": "sst2", "B-QNLI": "qnli", "C-Subject": "subject", "D-Origin": "origin"}
METHODS: Mapping[str, Keys] = {
    "EMS-FL, enhanced": {
        "learning.method": "emsfl-enhanced",
        # As the table was made that stands: drawn once.
        "learning.options.threshold": 0.1,
        "learning.options.resplit_cycles": 0,
    },
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
STEP_SIZES = (0.0005, 0.002)
TUNING_SEEDS, SEEDS, CYCLES = 1, 5, 6


# The tasks: rows of text, text_pair, label and split. Labels are words of each task alone.

Rows = list[dict[str, Any]]
Split = Iterator[tuple[dict[str, Any], str]]
"""Rows, and the split that each belongs to."""

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

    def glue(name: str, labels: Sequence[str]) -> Split:
        for row in rows(f"glue_{name}"):
            pair = {"text_pair": row["text_b"]} if row["text_b"] else {}
            yield {"text": row["text_a"], **pair, "label": labels[row["label"]]}, row["split"]

    def asked(some: Rows, label: str | None = None) -> Split:
        for row in some:
            found = label or GROUP_OF.get(row["subject"], "other")
            yield {"text": row["question"], "label": found}, row["split"]

    mmlu = rows("mmlu")
    tasks: dict[str, Iterable[tuple[dict[str, Any], str]]] = {
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


def main(model: str, tasks: str) -> None:
    """Run, print the tables, and draw the pictures."""
    paths = {c: str(Path(tasks, f"{name}.jsonl").resolve()) for c, name in TASKS.items()}
    fixed = {
        "learning.model.checkpoints": [str(Path(model).resolve())],
        "learning.data.paths": paths,
        "stop.cycles": CYCLES,
    }
    task = Experiment(
        "experiment-2", SCENARIO, TASKS, METHODS, "accuracy", STEP_SIZES, TUNING_SEEDS, fixed
    )
    task.compare(SEEDS, {})


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(*map(Path, sys.argv[2:]))
    else:
        main(*sys.argv[1:])
