"""The number format that weights are kept and trained in."""

from __future__ import annotations

from pathlib import Path

from learning.config import LearningConfig
from learning.shapes import NAMED, read_config

BYTES = {"float64": 8, "float32": 4, "bfloat16": 2}


def precision_of(config: LearningConfig) -> str:
    """Return the number format of a task.

    ``auto`` is sixteen bits for the named architectures, as they are published; what a checkpoint
    says that it holds (sixteen bits of either kind become bfloat16); and float32 otherwise.
    """
    if config.precision != "auto":
        return config.precision
    if config.model.kind in NAMED:
        return "bfloat16"
    if not config.model.checkpoints:
        return "float32"
    said = read_config(Path(config.model.checkpoints[0]))
    stored = said.get("dtype") or said.get("torch_dtype") or "float32"
    return "bfloat16" if stored in ("bfloat16", "float16") else "float32"
