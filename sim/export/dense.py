"""Export of the trained experts of a merged model, each as a dense model of its own."""

from pathlib import Path

from sim.errors import InputError
from sim.execution.model import WEIGHTS, check_trained, learner_of_run, whole_model
from sim.execution.result import Result
from sim.export.adapters import check_experts
from statements import Code


def write_dense(run: Result, place: Path) -> list[str]:
    """Write a Hugging Face folder per expert: its feed-forward networks in the run's backbone."""
    from learning.architecture.kinds import kind_of, text_shape

    assert run.folder is not None
    check_trained(run.folder, run.manifest)
    model = learner_of_run(run.manifest).config.model
    check_experts("--to dense", model, run.folder)
    family = kind_of(model.kind).merged
    if family is None or not model.checkpoints:
        raise InputError.of_option(
            "--to dense",
            Code.UNSUPPORTED,
            "a run of kind {kind} is not made of dense checkpoints",
            "export a run of kind merged-llama or merged-bert, or use --to peft",
            kind=model.kind,
        )
    from learning.text.checkpoints import CLASSIFIER, save_dense

    final = whole_model(run.folder, run.manifest)
    file = run.folder / "model" / WEIGHTS
    source = Path(model.checkpoints[0])
    dense_layers = text_shape(model).dense_layers
    for expert in range(model.experts):
        try:
            save_dense(place / f"expert-{expert}", source, family, expert, final, dense_layers)
        except ValueError as error:
            raise InputError.of_file(file, Code.WRONG_FILE, "{why}", why=str(error)) from None
    if CLASSIFIER in final:
        return [
            f"the run's head for its classes ({CLASSIFIER}) is left out: these are language models"
        ]
    return []
