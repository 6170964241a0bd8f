"""Export of the trained experts of a run, as PEFT adapters beside the model that they adapt."""

from pathlib import Path

import scenarios
from sim.engine.learning_task import learner_of
from sim.errors import InputError
from sim.execution.result import Result
from sim.execution.status import COMPLETE
from sim.world.world import World


def write_adapters(run: Result, place: Path) -> list[str]:
    """Make the start model of the run once more, and write what has changed since."""
    assert run.folder is not None
    weights = run.folder / "model"
    status = run.manifest["status"]
    if status != COMPLETE:
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
    from learning.values.store import load_value

    # It may name Python code, and the folder may be somebody else's.
    learner = learner_of(World(scenarios.from_stored(run.manifest["scenario"], {})))
    start = learner.force(learner.final(learner.start()))
    file = weights / "model.safetensors"
    try:
        final = load_value(file)
    except ValueError as error:
        cure = "the run's tables do not depend on it; to export the weights, run it anew elsewhere"
        raise InputError(f"{error}; {cure}") from None
    task = learner.task
    model = task.skeleton(Residency(held=task.all_experts))
    try:
        export_adapters(place, model, task.config.model, task.names, start, final)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None
    return []
