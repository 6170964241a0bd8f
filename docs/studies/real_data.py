"""Real texts, images and questions: federated methods beside a centralised run of the same model.

    python docs/studies/real_data.py [sst2|cifar10|mmlu] [slots|orbit] [seeds] [rows] [K=VALUE ...]

Rows are a regular expression that their names are to begin with; without it there are all. A key
is one of `learning`, like `step_size` or `options.mu`, and holds for every row that is printed.

Twelve clients in three cities hold the samples of `glue_sst2.jsonl`, `cifar10.npz` or `mmlu.jsonl`,
which has to be in the current folder, evenly at random or by labels from Dirichlet(0.3). They are
served in slots, or by one Iridium satellite. A plain model is trained by methods for any model,
by Adam and, since SCAFFOLD has steps of its own, by SGD; a mixture of three experts by EMS-FL and
its baseline. All start from random weights. Of MMLU the task is to tell from a question which of
six subjects it is of, and a last line says what a small Mixtral learns of the answers. Figures are
the last accuracy on all test samples, mean and 95 % interval over seeds, and the gradient steps
of a client (of the one client that holds all samples, if centralised).
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from alignment import interval
from torch import Tensor, nn

from learning.models import MoELayer

Settings = Mapping[str, Any]
SUBJECTS = 6
"""Of MMLU, those with the most questions in the file."""
CYCLES, CLIENTS = 20, 12
PLACES = (("Munich", 48.14, 11.58), ("Nairobi", -1.29, 36.82), ("Osaka", 34.69, 135.50))
SERVED: dict[str, dict[str, Any]] = {
    "slots": {
        "stop": {"cycles": CYCLES},
        "orbit": {"source": "slots", "slots": {"count": 3, "seconds": 600}},
        "ground": {"clusters": [{"name": name, "devices": 4} for name, *_ in PLACES]},
        "link": {"preset": "paper"},
    },
    "orbit": {
        "start": "2026-08-15T14:00:00Z",
        "stop": {"cycles": CYCLES, "days": 14},
        "orbit": {"source": "tle", "path": "iridium-106.tle"},
        "ground": {
            "clusters": [
                {"name": name, "latitude_deg": lat, "longitude_deg": lon, "devices": 4}
                for name, lat, lon in PLACES
            ]
        },
    },
}
SPLITS = {"IID": {"kind": "iid"}, "Dirichlet 0.3": {"kind": "dirichlet", "alpha": 0.3}}
ADAM = {"optimizer": {"kind": "adam"}, "steps_per_round": 10}
SGD = {"steps_per_round": 20}
"""Twice the steps: it needs more of them."""
PLAIN, MIXTURE = "plain", "mixture"
STALE = {"options": {"staleness": "polynomial"}}
GROUPS: tuple[tuple[str, str, Settings, Mapping[str, Settings]], ...] = (
    (
        "plain, Adam",
        PLAIN,
        ADAM,
        {"centralised": {}, "fedavg": {}, "fedprox": {"options": {"mu": 0.01}}, "fedasync": STALE},
    ),
    ("plain, SGD", PLAIN, SGD, {"centralised": {}, "fedavg": {}, "scaffold": {}}),
    (
        "mixture, Adam",
        MIXTURE,
        ADAM,
        {"centralised": {}, "synchronous": {}, "emsfl": {"options": {"threshold": 0.0}}},
    ),
)
"""What is trained and how, and by which methods with which options."""
FROM_RANDOM = {
    "lora": {"rank": None},
    "trains_backbone": True,
    "gate_step_size_ratio": 1.0,
    "pretraining": {"backbone_steps": 0, "expert_steps": 0, "gate_steps": 0},
}
TEXTS = {"kind": "jsonl", "tokens": 32, "trial_samples": 30}
WORDS = {"hidden": 16, "vocabulary": 4096}
"""Of both models of texts."""


class WordMixture(nn.Module):
    """The mean of a text's word vectors, a residual layer of experts, and a head."""

    def __init__(self, config: Any, spec: Any, here: Any) -> None:
        super().__init__()
        self.words = nn.Embedding(spec.vocabulary, config.hidden)
        self.mixture = MoELayer(config, here)
        self.head = nn.Linear(config.hidden, spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, classes) of token ids (n, T), padded with -1."""
        kept = (x >= 0)[..., None]
        mean = torch.where(kept, self.words(x.clamp_min(0)), 0).sum(-2) / kept.sum(-2).clamp_min(1)
        logits: Tensor = self.head(mean + self.mixture(mean))
        return logits


class StridedCNN(nn.Module):
    """Two strided convolutions and a head: a tenth of the operations of `image-cnn`."""

    def __init__(self, spec: Any) -> None:
        super().__init__()
        channels, height, width = spec.shape
        self.first = nn.Conv2d(channels, 16, 5, stride=2, padding=2)
        self.second = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.head = nn.Linear(32 * (height // 4) * (width // 4), spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, classes) of images (n, channels, height, width)."""
        x = torch.relu(self.second(torch.relu(self.first(x))))
        logits: Tensor = self.head(x.flatten(1))
        return logits


EXPERTS = {"experts": 3, "top_k": 1, "expert_hidden": 32}
OF_TEXTS: dict[str, Settings] = {
    PLAIN: {"kind": "text-mean", **WORDS},
    MIXTURE: {"kind": "real_data:WordMixture", **WORDS, **EXPERTS},
}
OF_IMAGES: dict[str, Settings] = {
    PLAIN: {"kind": "real_data:StridedCNN"},
    MIXTURE: {"kind": "image-moe", "hidden": 32, **EXPERTS},
}
SUBJECT = {"columns": {"text": "question", "label": "subject"}}
TASKS: dict[str, tuple[dict[str, Settings], Settings, float, float]] = {
    "sst2": (OF_TEXTS, {**TEXTS, "path": "glue_sst2.jsonl"}, 0.01, 3.0),
    "cifar10": (
        OF_IMAGES,
        {"kind": "npz", "path": "cifar10.npz", "train_samples": 3000, "test_samples": 1000},
        0.002,
        0.1,
    ),
    "mmlu": (OF_TEXTS, {**TEXTS, **SUBJECT}, 0.01, 3.0),
}
"""Models, data, and the step sizes of Adam and of SGD."""
DECODER = {
    "kind": "mixtral",
    "experts": 3,
    "top_k": 1,
    "hidden": 32,
    "expert_hidden": 32,
    "layers": 1,
    "heads": 2,
    "kv_heads": 2,
    "vocabulary": 2048,
    "tokenizer": "words",
}


def last_accuracy(served: str, learning: Settings, seed: int) -> tuple[float, float]:
    """Run; return the last accuracy, and the gradient steps of a client."""
    import scenarios
    import sim

    settings = {"rounds": {"per_contact": 1, "per_gap_max": 2}, **learning}
    run = {"seed": seed, "compute": {"seconds_per_round": 60}, **SERVED[served]}
    if "path" in run["orbit"]:
        shipped = scenarios.shipped_path("quickstart").parent / run["orbit"]["path"]
        run["orbit"] = {**run["orbit"], "path": str(shipped)}
    summary = sim.run(scenarios.from_dict({**run, "learning": settings})).summary
    trainers = 1 if learning["method"] == "centralised" else CLIENTS
    return summary["accuracy_final"], summary["gradient_steps"] / trainers


def of_subjects(folder: str) -> str:
    """Write MMLU's most frequent subjects into a file of their own, and return its path."""
    lines = Path("mmlu.jsonl").read_text(encoding="utf-8").strip().split("\n")
    subjects = Counter(json.loads(line)["subject"] for line in lines)
    chosen = dict(subjects.most_common(SUBJECTS))
    path = Path(folder, "subjects.jsonl")
    path.write_text("\n".join(line for line in lines if json.loads(line)["subject"] in chosen))
    print(f"subjects: {', '.join(sorted(chosen))}\n")
    return str(path)


def row(found: list[tuple[float, float]]) -> str:
    """Show accuracies over seeds."""
    mean, half = interval([accuracy for accuracy, _ in found])
    return f"{mean:.3f} +- {half:.3f}"


def with_keys(learning: Settings, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with those that ``changes`` names by dotted keys."""
    changed = dict(learning)
    for key, value in changes.items():
        first, _, rest = key.partition(".")
        changed[first] = with_keys(changed.get(first) or {}, {rest: value}) if rest else value
    return changed


def table(
    name: str, served: str, seeds: int, path: str | None, only: str, changes: Mapping[str, Any]
) -> None:
    """Print a row a method, a column each split."""
    models, data, *step_sizes = TASKS[name]
    print(f"{name}, {served}, {CYCLES} rounds, seeds 0 to {seeds - 1}: accuracy, mean +- 95 %")
    if changes:
        print("with " + ", ".join(f"{key} {value:g}" for key, value in changes.items()))
    print()
    print(f"{'':<29}" + "".join(f"{split:>18}" for split in SPLITS) + f"{'steps':>8}")
    for title, model, group, methods in GROUPS:
        for method, more in methods.items():
            if not re.match(only, f"{title} {method}"):
                continue
            print(f"{title:<15}{method:<14}", end="", flush=True)
            for kind in SPLITS.values():
                learning = {
                    "method": method,
                    "model": models[model],
                    "step_size": step_sizes["optimizer" not in group],
                    "data": {**data, "split": {"over": "clients", **kind}},
                    **group,
                    **(FROM_RANDOM if model == MIXTURE else {}),
                    **more,
                }
                if path:
                    learning["data"]["path"] = path
                learning = with_keys(learning, changes)
                runs = [last_accuracy(served, learning, seed) for seed in range(seeds)]
                print(f"{row(runs):>18}", end="", flush=True)
            print(f"{max(steps for _, steps in runs):>8.0f}", flush=True)


def answers(seeds: int, path: str) -> None:
    """Print what a small Mixtral learns of the answers, centralised."""
    learning = {
        **ADAM,
        **FROM_RANDOM,
        "step_size": 0.01,
        "method": "centralised",
        "model": DECODER,
        "data": {"kind": "jsonl", "path": path, "tokens": 64, "split": {"kind": "iid"}},
    }
    runs = [last_accuracy("slots", learning, seed) for seed in range(seeds)]
    print(f"\nthe answers, by a small Mixtral, centralised: {row(runs)}; chance 0.250")


def main(
    name: str = "sst2", served: str = "slots", seeds: str = "3", only: str = "", *pairs: str
) -> None:
    """Run, and print the table."""
    changes = {key: json.loads(value) for key, _, value in (pair.partition("=") for pair in pairs)}
    with TemporaryDirectory() as folder:
        path = of_subjects(folder) if name == "mmlu" else None
        table(name, served, int(seeds), path, only, changes)
        if path and served == "slots" and not only:
            answers(int(seeds), path)


if __name__ == "__main__":
    main(*sys.argv[1:])
