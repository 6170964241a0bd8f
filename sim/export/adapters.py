"""Export of the trained experts of a run, as PEFT adapters beside the model that they adapt."""

from pathlib import Path

from learning.settings import ModelConfig
from sim.errors import InputError
from sim.execution.model import WEIGHTS, learner_of_run, whole_model
from sim.execution.result import Result
from statements import Code


def write_adapters(run: Result, place: Path) -> list[str]:
    """Make the start model of the run once more, and write what has changed since."""
    assert run.folder is not None
    final = whole_model(run.folder, run.manifest)
    learner = learner_of_run(run.manifest)
    check_experts("--to peft", learner.config.model, run.folder)
    from learning.models.moe import Residency
    from learning.models.peft import export_adapters

    start = learner.force(learner.final(learner.start()))
    task = learner.task
    model = task.skeleton(Residency(held=task.all_experts))
    try:
        export_adapters(place, model, task.config.model, task.names, start, final)
    except ValueError as error:
        file = run.folder / "model" / WEIGHTS
        raise InputError.of_file(file, Code.WRONG_FILE, "{why}", why=str(error)) from None
    return []


def check_experts(option: str, model: ModelConfig, folder: Path) -> None:
    """Raise InputError for a model that has no experts to be written."""
    if not model.experts:
        raise InputError.of_option(
            option,
            Code.UNSUPPORTED,
            "a run of kind {kind} has no experts",
            f"take all of its weights from {folder / 'model' / WEIGHTS}",
            kind=model.kind,
        )
