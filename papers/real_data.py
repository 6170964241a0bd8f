"""Real texts and images: methods with tuned settings, and a centralised run.

    python papers/real_data.py [sst2|cifar10] [seeds] [folder]

Twelve clients in three cities hold the samples of `glue_sst2.jsonl` or `cifar10.npz`, which has to
be in the current folder, evenly at random or by labels from Dirichlet(0.3). Cities are served in
turn, in slots. A plain model is trained by methods for any model, by Adam and, since SCAFFOLD has
steps of its own, by SGD. All start from random weights.

Settings of each method are chosen on validation samples, for each split, with seeds of their own
(`leomix.compare`, `best_by`); then the methods are run with seeds 0, 1, ... All keep their run
folders in the folder, and continue what is there. Figures are the last accuracy on all test
samples, its difference to that of the reference with the same seeds, each with its 95 % interval
over seeds, and the gradient steps of a client (of the server, if centralised).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
from by_seed import SHARE, SIGNIFICANT, Measure, holm, interval, paired

import leomix

Keys = Mapping[str, Any]
"""Values by dotted key of a scenario."""
CYCLES, CLIENTS, BATCH = 20, 12, 16
VALIDATION = 0.2
CITIES = ("Munich", "Nairobi", "Osaka")
TUNING_SEED, TUNING_SEEDS = 100, 2
"""The first seed that settings are chosen with, and how many: no seed of the table."""
SPLITS = {"IID": {"kind": "iid"}, "Dirichlet 0.3": {"kind": "dirichlet", "alpha": 0.3}}

STEP, MU = "learning.step_size", "learning.options.mu"
WORDS = {"hidden": 16, "vocabulary": 2048}
"""Of both models of texts."""
EXPERTS = {"experts": 3, "top_k": 1, "expert_hidden": 32}


@dataclass(frozen=True)
class Task:
    """Data, the step sizes that are tried of each group that is run, and models."""

    data: Keys
    steps: Mapping[str, Sequence[float]]
    plain: Keys
    mixture: Keys | None = None


TASKS = {
    "sst2": Task(
        {"kind": "jsonl", "tokens": 32, "trial_samples": 30},
        {
            "plain, Adam": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
            "plain, SGD": (0.3, 1.0, 3.0, 10.0, 30.0),
            "plain, alone": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
            "mixture, Adam": (0.001, 0.003, 0.01, 0.03, 0.1),
        },
        {"kind": "text-mean", **WORDS},
        {"kind": "real_models:WordMixture", **WORDS, **EXPERTS},
    ),
    "cifar10": Task(
        {"kind": "npz", "train_samples": 3750, "test_samples": 1000},
        {
            "plain, Adam": (0.001, 0.003, 0.01, 0.03),
            "plain, SGD": (0.01, 0.03, 0.1, 0.3, 1.0),
        },
        {"kind": "real_models:StridedCNN"},
    ),
}


@dataclass(frozen=True)
class Group:
    """Methods that train the same model in the same way, and the one that others are held against.

    ``methods`` has the keys of each. The step size is tuned, but of ``others``: these have the step
    size of the reference, and values of their own key to be tuned.
    """

    title: str
    keys: Keys
    methods: Mapping[str, Keys]
    reference: str
    others: Mapping[str, Keys]


ADAM = {"learning.optimizer.kind": "adam"}
FROM_RANDOM = {
    "learning.lora.rank": None,
    "learning.trains_backbone": True,
    "learning.gate_step_size_ratio": 1.0,
    "learning.pretraining": {"backbone_steps": 0, "expert_steps": 0, "gate_steps": 0},
}
AS_MANY = {"learning.method": "centralised", "learning.options.batch": "clients"}
"""As many samples in a step as twelve clients have in one."""
GROUPS = (
    Group(
        "plain, Adam",
        ADAM,
        {
            f"centralised, {BATCH}": {"learning.method": "centralised"},
            f"centralised, {BATCH * CLIENTS}": AS_MANY,
            "fedavg": {"learning.method": "fedavg"},
            "fedavg, keeps": {"learning.method": "fedavg", "learning.optimizer.state": "keep"},
            "fedprox": {"learning.method": "fedprox"},
            "fedasync": {"learning.method": "fedasync", "learning.options.staleness": "polynomial"},
        },
        "fedavg",
        {"fedprox": {MU: [1e-5, 1e-3, 1e-1]}},
    ),
    Group(
        "plain, SGD",
        {},
        {
            f"centralised, {BATCH * CLIENTS}": AS_MANY,
            "fedavg": {"learning.method": "fedavg"},
            "scaffold": {"learning.method": "scaffold"},
        },
        "fedavg",
        {},
    ),
    Group("plain, alone", ADAM, {"local": {"learning.method": "local"}}, "local", {}),
    Group(
        "mixture, Adam",
        {**ADAM, **FROM_RANDOM},
        {
            f"centralised, {BATCH * CLIENTS}": AS_MANY,
            "synchronous": {"learning.method": "synchronous"},
            "emsfl": {
                "learning.method": "emsfl",
                "learning.options.threshold": 0.0,
                "learning.options.resplit_cycles": 0,
            },
        },
        "synchronous",
        {},
    ),
)


class Row(NamedTuple):
    """A row of the table: title of the group, split and name of the method."""

    title: str
    split: str
    method: str


class Measured(NamedTuple):
    """The last test accuracy of a row by seed, and the gradient steps of a client."""

    accuracies: Mapping[int, float]
    steps: float


ACCURACY = Measure("accuracy", lambda run: run, "{:.3f}", SHARE)


def write_scenario(name: str, folder: Path) -> Path:
    """Write what all runs have in common, and return the path."""
    task = TASKS[name]
    samples = Path("glue_sst2.jsonl") if name == "sst2" else of_small_images(folder)
    common = {
        "stop": {"cycles": CYCLES},
        "orbit": {"source": "slots", "slots": {"count": 3, "seconds": 600}},
        "ground": {"clusters": [{"name": city, "devices": CLIENTS // 3} for city in CITIES]},
        "link": {"preset": "paper"},
        "compute": {"seconds_per_round": 60},
        "learning": {
            "rounds": {"per_contact": 1, "per_gap_max": 1},
            "steps_per_round": 10,
            "batch_size": BATCH,
            "data": {**task.data, "path": str(samples.resolve()), "validation": VALIDATION},
        },
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(common, indent=1))
    return path


def of_small_images(folder: Path) -> Path:
    """Write CIFAR-10 with means of 2 x 2 pixels into a file, and return its path."""
    images = dict(np.load("cifar10.npz"))
    for name in ("x_train", "x_test"):
        whole = images[name]
        quarters = whole.reshape(len(whole), 16, 2, 16, 2, 3)
        images[name] = quarters.mean(axis=(2, 4)).round().astype(np.uint8)
    path = folder / "images.npz"
    np.savez(path, **images)
    return path


def tuned(scenario: Path, task: Task, group: Group, split: str, folder: Path) -> dict[str, Keys]:
    """Choose the step size of each method of a group, then the other keys of some."""
    model = task.mixture if group.title.startswith("mixture") else task.plain
    own = {
        name: {"learning.model": model, **group.keys, **more}
        for name, more in group.methods.items()
    }

    def among(grid: Keys, variants: Mapping[str, Keys]) -> Mapping[str, Keys]:
        place = "-".join([group.title, split, *grid]).replace(",", "").replace(" ", "-")
        swept = leomix.sweep(
            scenario,
            grid,
            folder / "tuned" / place,
            overrides={"seed": TUNING_SEED, "learning.data.split": SPLITS[split]},
            variants=variants,
            replications=TUNING_SEEDS,
            resume=True,
            keep_going=True,
            cache=False,
        )
        chosen: Mapping[str, Keys] = leomix.compare(swept.folder, best_by="validation").chosen
        return chosen

    by_step = {name: keys for name, keys in own.items() if name not in group.others}
    chosen = dict(among({STEP: task.steps[group.title]}, by_step))
    step = chosen[group.reference][STEP]
    for name, grid in group.others.items():
        chosen |= among(grid, {name: {**own[name], STEP: step}})
    return {name: chosen[name] for name in group.methods}


def swept(
    scenario: Path, chosen: Mapping[Row, Keys], seeds: int, folder: Path
) -> dict[Row, Measured]:
    """Run every row with its keys and as many seeds."""
    names = {", ".join(row): row for row in chosen}
    sweep = leomix.sweep(
        scenario,
        {},
        folder / "sweep",
        overrides={"seed": 0},
        variants={
            name: {**chosen[row], "learning.data.split": SPLITS[row.split]}
            for name, row in names.items()
        },
        replications=seeds,
        resume=True,
        cache=False,
    )
    found = {row: Measured({}, 0.0) for row in chosen}
    for point in sweep.rows.to_pylist():
        row = names[point["variant"]]
        steps = leomix.load(sweep.folder / point["folder"]).summary["gradient_steps"]
        trainers = 1 if chosen[row]["learning.method"] == "centralised" else CLIENTS
        accuracies = {**found[row].accuracies, point["seed"]: point["accuracy_final"]}
        found[row] = Measured(accuracies, max(found[row].steps, steps / trainers))
    return found


def compared(group: Group, found: Mapping[Row, Measured]) -> dict[Row, str]:
    """Return what each row of a group has less its reference, with the interval, as text.

    What is more than noise is corrected for all pairs of the group, in both splits.
    """
    order = [group.reference, *(name for name in group.methods if name != group.reference)]
    tests = {
        (split, first, other): paired(
            found[Row(group.title, split, other)].accuracies,
            found[Row(group.title, split, first)].accuracies,
            ACCURACY,
        )
        for split in SPLITS
        for first, other in combinations(order, 2)
    }
    known = {pair: test.p for pair, test in tests.items() if test.p is not None}
    corrected = dict(zip(known, holm([*known.values()]), strict=True))
    texts = {}
    for (split, first, other), test in tests.items():
        if first == group.reference and test.ends is not None:
            mark = "*" if corrected.get((split, first, other), 1.0) < SIGNIFICANT else ""
            low, high = test.ends
            texts[Row(group.title, split, other)] = (
                f"{test.centre:+.3f} ({low:+.3f}..{high:+.3f}){mark}"
            )
    return texts


def print_table(
    groups: Sequence[Group], chosen: Mapping[Row, Keys], found: Mapping[Row, Measured]
) -> None:
    """Print a block a split, a row a method."""
    apart = {row: text for group in groups for row, text in compared(group, found).items()}
    for split in SPLITS:
        print(
            f"\n{split:<33}{'step':>6}{'mu':>7}{'steps':>7}{'accuracy':>23}"
            "   less fedavg (mixture: synchronous)"
        )
        for row in (row for row in chosen if row.split == split):
            step, mu = (chosen[row].get(key) for key in (STEP, MU))
            values = [*found[row].accuracies.values()]
            low, high = interval(values, SHARE) or (min(values), max(values))
            accuracy = f"{mean(values):.3f} ({low:.3f}..{high:.3f})"
            print(
                f"{row.title:<15}{row.method:<18}{step:>6g}{'' if mu is None else f'{mu:g}':>7}"
                f"{found[row].steps:>7.0f}{accuracy:>23}   {apart.get(row, '')}".rstrip()
            )


def main(name: str = "sst2", seeds: str = "5", out: str = "") -> None:
    """Choose, run, and print the table."""
    # Processes of a sweep import the models from here.
    here = str(Path(__file__).resolve().parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    task = TASKS[name]
    groups = [group for group in GROUPS if group.title in task.steps]
    folder = Path(out or f"runs/papers/{name}")
    folder.mkdir(parents=True, exist_ok=True)
    scenario = write_scenario(name, folder)
    chosen = {
        Row(group.title, split, method): keys
        for group in groups
        for split in SPLITS
        for method, keys in tuned(scenario, task, group, split, folder).items()
    }
    found = swept(scenario, chosen, int(seeds), folder)
    print(f"{name}, {CYCLES} rounds, seeds 0 to {int(seeds) - 1}: accuracy, 95 % interval")
    print_table(groups, chosen, found)
    print("\n*: p < 0.05, corrected by Holm's method for all pairs of a group and both splits")


if __name__ == "__main__":
    main(*sys.argv[1:])
