"""Export of the trained experts of a run, as PEFT adapters beside the model that they adapt."""

from pathlib import Path

from sim.errors import InputError
from sim.execution.result import Result
from sim.export.weights import learner_of_run, read_weights, weights_file
from statements import Code


def write_adapters(run: Result, place: Path) -> list[str]:
    """Make the start model of the run once more, and write what has changed since."""
    file = weights_file(run)
    from learning.models.moe import Residency
    from learning.models.peft import export_adapters

    learner = learner_of_run(run)
    start = learner.force(learner.final(learner.start()))
    final = read_weights(file)
    task = learner.task
    model = task.skeleton(Residency(held=task.all_experts))
    try:
        export_adapters(place, model, task.config.model, task.names, start, final)
    except ValueError as error:
        raise InputError.of_file(file, Code.WRONG_FILE, "{why}", why=str(error)) from None
    return []
