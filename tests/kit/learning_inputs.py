"""Inputs of learning that tests read as a run does."""

from __future__ import annotations

from typing import Any

from learning.data import loading
from learning.learner import TASKS
from learning.models.interface import checkpoint_places
from learning.models.tensor_files import read_places
from learning.text.rows import TextTable, read_rows
from learning.text.texts import json_rows


def read_jsonl(path: str, columns: dict[str, str]) -> TextTable:
    """Return the table of a file of JSON lines."""
    return read_rows(path, json_rows(path, columns), columns)


def load_samples_anew() -> None:
    """Forget the data and tasks that this process has loaded, as a new process would."""
    loading._loaded.cache_clear()
    loading._spec.cache_clear()
    TASKS.clear()


def checkpoint_weights(config: Any, model: Any) -> dict[str, Any]:
    """Return the tensors of checkpoints as a run reads them, in the format of the files."""
    return read_places(checkpoint_places(config, model))
