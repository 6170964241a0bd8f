"""Export of the trained experts of a run, as PEFT adapters beside the model that they adapt."""

from pathlib import Path

import scenarios
from sim.engine.learning_task import learner_of
from sim.errors import InputError, helped
from sim.execution.result import Result
from sim.execution.status import COMPLETE
from sim.world.world import World
from statements import Code, Other


def write_adapters(run: Result, place: Path) -> list[str]:
    """Make the start model of the run once more, and write what has changed since."""
    assert run.folder is not None
    weights = run.folder / "model"
    status = run.manifest["status"]
    if status != COMPLETE:
        raise InputError.of_file(
            run.folder,
            Code.WRONG_FILE,
            "the run is {status}",
            Other(said=f"finish it first: leomix run SCENARIO --resume -o {run.folder}"),
            status=status,
        )
    if not (weights / "model.safetensors").is_file():
        raise InputError.of_file(
            run.folder,
            Code.NOT_RECORDED,
            "has no weights (learning.train was false)",
            Other(said="train a run to export"),
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
        again = "to export the weights, run it anew elsewhere (the tables do not depend on it)"
        raise helped(error, again) from None
    task = learner.task
    model = task.skeleton(Residency(held=task.all_experts))
    try:
        export_adapters(place, model, task.config.model, task.names, start, final)
    except ValueError as error:
        raise InputError.of_file(file, Code.WRONG_FILE, "{why}", why=str(error)) from None
    return []
