"""Tiny runs that learn each next token of texts in which words follow each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import scenarios
from tests.kit import tiny_checkpoints as tiny
from tests.kit.small import slots


def next_words(place: Path) -> Path:
    """Write two tiny Llamas, 0 and 1, and texts of clusters A and B to a folder, and return it."""
    tiny.llamas(place, 2, initializer_range=0.1)
    tiny.write_tokenizer(place / "0")
    firsts = np.random.default_rng(3).integers(40, size=120)
    texts = [" ".join(f"w{(first + n) % 40}" for n in range(9)) for first in firsts]
    for name, part in (("A", texts[:60]), ("B", texts[60:])):
        rows = [json.dumps({"text": text}) for text in part]
        (place / f"{name}.jsonl").write_text("\n".join(rows))
    return place


def scenario(place: Path, **keys: Any) -> scenarios.Scenario:
    """Return the scenario that merges these Llamas and tunes them on these texts."""
    data = {"kind": "jsonl", "objective": "next_token", "tokens": 9, "trial_samples": 8}
    learning = {
        "method": "synchronous",
        "optimizer": {"kind": "adam"},
        "pretraining": {"gate_steps": 1, "expert_steps": 0, "backbone_steps": 0},
        "model": {"kind": "merged-llama", "checkpoints": [str(place / name) for name in "01"]}
        | {"experts": 4, "hidden": 64, "expert_hidden": 64},
        "data": data | {"paths": {name: str(place / f"{name}.jsonl") for name in "AB"}},
    }
    return slots(stop={"cycles": 4}, learning={**learning, **keys})
