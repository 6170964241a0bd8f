"""Export of the trained experts of a run, as PEFT adapters beside the model that they adapt."""

from pathlib import Path

from sim.errors import InputError
from sim.execution.model import WEIGHTS, whole_model
from sim.execution.result import Result
from sim.execution.run_learner import learner_of_run
from statements import Code


def write_adapters(run: Result, place: Path) -> list[str]:
    """Make the start model of the run once more, and write what has changed since."""
    assert run.folder is not None
    final = whole_model(run.folder, run.manifest, run.checkpoints)
    from learning.models.moe import Residency
    from learning.models.peft import export_adapters

    learner = learner_of_run(run.folder, run.manifest, run.checkpoints)
    start = learner.force(learner.final(learner.start()))
    task = learner.task
    model = task.skeleton(Residency(held=task.all_experts))
    try:
        export_adapters(place, model, task.config.model, task.names, start, final)
    except ValueError as error:
        file = run.folder / "model" / WEIGHTS
        raise InputError.of_file(file, Code.WRONG_FILE, "{why}", why=str(error)) from None
    return []
