"""Export of the trained experts of a run, as PEFT adapters beside the model that they adapt."""

from pathlib import Path

import scenarios
from sim.engine.learning_task import learner_of
from sim.errors import InputError
from sim.execution.model import WEIGHTS, checkpoint_folders, whole_model
from sim.execution.result import Result
from sim.world.world import World
from statements import Code


def write_adapters(run: Result, place: Path) -> list[str]:
    """Make the start model of the run once more, and write what has changed since."""
    assert run.folder is not None
    final = whole_model(run.folder, run.manifest, run.checkpoints)
    from learning.models.moe import Residency
    from learning.models.peft import export_adapters

    # It may name Python code, and the folder may be somebody else's.
    folders = [str(path.resolve()) for path in checkpoint_folders(run.folder, run.checkpoints)]
    moved = {"learning.model.checkpoints": folders} if folders else {}
    learner = learner_of(World(scenarios.from_stored(run.manifest["scenario"], moved)))
    start = learner.force(learner.final(learner.start()))
    task = learner.task
    model = task.skeleton(Residency(held=task.all_experts))
    try:
        export_adapters(place, model, task.config.model, task.names, start, final)
    except ValueError as error:
        file = run.folder / "model" / WEIGHTS
        raise InputError.of_file(file, Code.WRONG_FILE, "{why}", why=str(error)) from None
    return []
