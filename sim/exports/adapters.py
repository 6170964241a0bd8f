"""The trained experts of a run, as PEFT adapters beside the model that they adapt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import scenarios
from sim.errors import InputError
from sim.task import learner_of

if TYPE_CHECKING:
    from sim.exports.source import Run


def write_adapters(run: Run, place: Path) -> list[str]:
    """Make the start model of the run once more, and write what has changed since."""
    weights, status = run.folder / "model", run.manifest["status"]
    if status != "complete":
        raise InputError(
            f"{run.folder}: the run is {status}; finish it first: "
            f"leomix run SCENARIO --resume -o {run.folder}"
        )
    if not (weights / "model.safetensors").is_file():
        raise InputError(
            f"{run.folder}: has no weights (learning.train was false); train a run to export"
        )
    from learning.models.moe import Residency
    from learning.models.peft import export_adapters
    from learning.values.store import FolderStore

    # It may name Python code, and the folder may be somebody else's.
    learner = learner_of(scenarios.from_stored(run.manifest["scenario"], {}))
    start = learner.final_tensors(learner.start())
    task, final = learner.task, FolderStore(weights).load("model")
    model = task.skeleton(Residency(held=task.all_experts))
    export_adapters(place, model, task.config.model, task.names, start, final)
    return []
