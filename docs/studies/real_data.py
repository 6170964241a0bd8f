"""Real texts, images and questions: methods with tuned settings, and a centralised run.

    python docs/studies/real_data.py [sst2|cifar10|cifar10-60|mmlu] [seeds] [folder] [step ...]

Twelve clients in three cities hold the samples of `glue_sst2.jsonl`, `cifar10.npz` or `mmlu.jsonl`,
which has to be in the current folder, evenly at random or by labels from Dirichlet(0.3). Cities are
served in turn, in slots. A plain model is trained by methods for any model, by Adam and, since
SCAFFOLD has steps of its own, by SGD. All start from random weights. Of MMLU the task is to tell
from a question which of six subjects it is of. `cifar10-60` is CIFAR-10 by SGD with 60 rounds in
place of 20.

Settings of each method are chosen on validation samples, for each split, with seeds of their own
(`leomix.compare`, `best_by`); then the methods are run with seeds 0, 1, ... All keep their run
folders in the folder, and continue what is there. Figures are the last accuracy on all test
samples, its difference to that of the reference with the same seeds, each with its 95 % interval
over seeds, and the gradient steps of a client (of the server, if centralised). Step sizes after the
folder are tried in place of those of the data set.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from sim.analysis.figures import bounds_of
from sim.analysis.lead import Asked
from sim.analysis.over_seeds import over_seeds, pair_of
from sim.analysis.pair_tests import SIGNIFICANT, pair_tests
from sim.sweep.best import Choice

Keys = Mapping[str, Any]
"""Values by dotted key of a scenario."""
SUBJECTS = 6
"""Of MMLU, those with the most questions in the file."""
CYCLES, CLIENTS, BATCH = 20, 12, 16
VALIDATION = 0.2
CITIES = ("Munich", "Nairobi", "Osaka")
TUNING_SEED, TUNING_SEEDS = 100, 2
"""The first seed that settings are chosen with, and how many: no seed of the table."""
SPLITS = {"IID": {"kind": "iid"}, "Dirichlet 0.3": {"kind": "dirichlet", "alpha": 0.3}}

STEP, MU = "learning.step_size", "learning.options.mu"
TEXTS = {"kind": "jsonl", "tokens": 32, "trial_samples": 30}
WORDS = {"hidden": 16, "vocabulary": 2048}
"""Of both models of texts."""
EXPERTS = {"experts": 3, "top_k": 1, "expert_hidden": 32}


@dataclass(frozen=True)
class Task:
    """Data, the step sizes that are tried of each group that is run, models, and rounds."""

    data: Keys
    steps: Mapping[str, Sequence[float]]
    plain: Keys
    mixture: Keys | None = None
    cycles: int = CYCLES


OF_WORDS = {"kind": "text-mean", **WORDS}
TASKS = {
    "sst2": Task(
        TEXTS,
        {
            "plain, Adam": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
            "plain, SGD": (0.3, 1.0, 3.0, 10.0, 30.0),
            "plain, alone": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
            "mixture, Adam": (0.001, 0.003, 0.01, 0.03, 0.1),
        },
        OF_WORDS,
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
    "mmlu": Task(
        {**TEXTS, "columns": {"text": "question", "label": "subject"}},
        {
            "plain, Adam": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
            "plain, SGD": (1.0, 3.0, 10.0, 30.0),
        },
        OF_WORDS,
    ),
}
TASKS["cifar10-60"] = replace(
    TASKS["cifar10"], steps={"plain, SGD": (0.01, 0.03, 0.1, 0.3)}, cycles=60
)


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


BOUNDS = bounds_of("accuracy_final")


def write_scenario(name: str, folder: Path) -> Path:
    """Write what all runs have in common, and return the path."""
    task = TASKS[name]
    samples = PREPARED[name](folder).resolve()
    common = {
        "stop": {"cycles": task.cycles},
        "orbit": {"source": "slots", "slots": {"count": 3, "seconds": 600}},
        "ground": {"clusters": [{"name": city, "devices": CLIENTS // 3} for city in CITIES]},
        "link": {"preset": "paper"},
        "compute": {"seconds_per_round": 60},
        "learning": {
            "rounds": {"per_contact": 1, "per_gap_max": 1},
            "steps_per_round": 10,
            "batch_size": BATCH,
            "data": {**task.data, "path": str(samples), "validation": VALIDATION},
        },
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(common, indent=1))
    return path


def of_subjects(folder: Path) -> Path:
    """Write MMLU's most frequent subjects into a file of their own, and return its path."""
    lines = Path("mmlu.jsonl").read_text(encoding="utf-8").strip().split("\n")
    subjects = Counter(json.loads(line)["subject"] for line in lines)
    chosen = dict(subjects.most_common(SUBJECTS))
    path = folder / "subjects.jsonl"
    path.write_text("\n".join(line for line in lines if json.loads(line)["subject"] in chosen))
    print(f"subjects: {', '.join(sorted(chosen))}\n")
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


PREPARED = {
    "sst2": lambda _: Path("glue_sst2.jsonl"),
    "cifar10": of_small_images,
    "cifar10-60": of_small_images,
    "mmlu": of_subjects,
}
"""What returns the file of each task; it is given a folder to write it into."""


def tuned(scenario: Path, task: Task, group: Group, split: str, folder: Path) -> list[Choice]:
    """Choose the step size of each method of a group, then the other keys of some."""
    import leomix

    model = task.mixture if group.title.startswith("mixture") else task.plain
    own = {
        name: {"learning.model": model, **group.keys, **more}
        for name, more in group.methods.items()
    }

    def among(grid: Keys, variants: Mapping[str, Keys]) -> Choice:
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
        return leomix.compare(swept.folder, best_by="validation")

    by_step = {name: keys for name, keys in own.items() if name not in group.others}
    tunings = [among({STEP: task.steps[group.title]}, by_step)]
    step = tunings[0].chosen[group.reference][STEP]
    for name, grid in group.others.items():
        tunings.append(among(grid, {name: {**own[name], STEP: step}}))
    return tunings


def swept(
    scenario: Path, chosen: Mapping[Row, Keys], seeds: int, folder: Path
) -> dict[Row, Measured]:
    """Run every row with its keys and as many seeds."""
    import leomix

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
    """Return what each row of a group has less its reference, with the interval, as text."""
    asked = {
        split: Asked(
            {
                name: {
                    ("", seed): accuracy
                    for seed, accuracy in found[Row(group.title, split, name)].accuracies.items()
                }
                for name in group.methods
            },
            rising=True,
            bounds=BOUNDS,
        )
        for split in SPLITS
    }
    tests = pair_tests(asked)
    texts = {}
    for split in SPLITS:
        for name in group.methods:
            if name != group.reference:
                test = tests.of(split, name, group.reference)
                pair = pair_of(asked[split], name, group.reference, test)
                mark = "*" if test and test.p_holm < SIGNIFICANT else ""
                text = f"{pair['difference']:+.3f} ({pair['low']:+.3f}..{pair['high']:+.3f}){mark}"
                texts[Row(group.title, split, name)] = text
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
            over = over_seeds(list(found[row].accuracies.values()), BOUNDS)
            accuracy = f"{over['mean']:.3f} ({over['low']:.3f}..{over['high']:.3f})"
            print(
                f"{row.title:<15}{row.method:<18}{step:>6g}{'' if mu is None else f'{mu:g}':>7}"
                f"{found[row].steps:>7.0f}{accuracy:>23}   {apart.get(row, '')}".rstrip()
            )


def chosen_of(group: Group, tunings: Sequence[Choice]) -> dict[str, Keys]:
    """Return the keys of each method of a group, in the group's order."""
    chosen = {name: keys for tuning in tunings for name, keys in tuning.chosen.items()}
    return {name: chosen[name] for name in group.methods}


def print_tried(tunings: Mapping[tuple[str, str], Sequence[Choice]]) -> None:
    """Print the mean validation accuracy of each setting, by group and split, and all notices."""
    last = TUNING_SEED + TUNING_SEEDS - 1
    print(f"\nvalidation accuracy, mean of seeds {TUNING_SEED} to {last}")
    for (title, split), own in tunings.items():
        for tried in (tuning.tried for tuning in own):
            contenders = dict.fromkeys(one.name for one in tried)
            of_first = [one for one in tried if one.name == next(iter(contenders))]
            [(key, _)] = of_first[0].settings.items()
            values = (f"{one.settings[key]:>8g}" for one in of_first)
            head = f"{title}, {split}, {key.rpartition('.')[-1]}"
            print(f"\n{head:<44}" + "".join(values))
            for name in contenders:
                means = (f"{fmean(one.known):>8.3f}" for one in tried if one.name == name)
                print(f"{name:<44}" + "".join(means))
    print()
    for (title, split), own in tunings.items():
        for notice in (notice for tuning in own for notice in tuning.notices()):
            print(f"{title}, {split}, {notice}")


def main(name: str = "sst2", seeds: str = "5", out: str = "", *steps: str) -> None:
    """Choose, run, and print the table."""
    # Processes of a sweep import the models from here.
    here = str(Path(__file__).resolve().parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    task = TASKS[name]
    if steps:
        task = replace(task, steps=dict.fromkeys(task.steps, tuple(map(float, steps))))
    groups = [group for group in GROUPS if group.title in task.steps]
    with TemporaryDirectory() as temporary:
        folder = Path(out or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        scenario = write_scenario(name, folder)
        tunings = {
            (group.title, split): tuned(scenario, task, group, split, folder)
            for group in groups
            for split in SPLITS
        }
        chosen = {
            Row(group.title, split, method): keys
            for group in groups
            for split in SPLITS
            for method, keys in chosen_of(group, tunings[group.title, split]).items()
        }
        found = swept(scenario, chosen, int(seeds), folder)
    print(f"{name}, {task.cycles} rounds, seeds 0 to {int(seeds) - 1}: accuracy, 95 % interval")
    print_table(groups, chosen, found)
    print("\n*: p < 0.05, corrected by Holm's method for all pairs of a group and both splits")
    print_tried(tunings)


if __name__ == "__main__":
    main(*sys.argv[1:])
