"""The trained weights of a run, for exports of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import scenarios
from sim.engine.learning_task import learner_of
from sim.errors import InputError, helped
from sim.execution.result import Result
from sim.execution.status import COMPLETE
from sim.world.world import World
from statements import Code, Other

if TYPE_CHECKING:
    from pathlib import Path

    from learning.learner import Learner
    from learning.values.store import Tensors


def weights_file(run: Result) -> Path:
    """Return the file of a run's weights; raise InputError where it has not ended, or none."""
    assert run.folder is not None
    file = run.folder / "model" / "model.safetensors"
    status = run.manifest["status"]
    if status != COMPLETE:
        raise InputError.of_file(
            run.folder,
            Code.WRONG_FILE,
            "the run is {status}",
            Other(said=f"finish it first: leomix run SCENARIO --resume -o {run.folder}"),
            status=status,
        )
    if not file.is_file():
        raise InputError.of_file(
            run.folder,
            Code.NOT_RECORDED,
            "has no weights (learning.train was false)",
            Other(said="train a run to export"),
        )
    return file


def learner_of_run(run: Result) -> Learner:
    """Return the learner of a run; raise InputError as for its scenario.

    It may name Python code, and the folder may be somebody else's.
    """
    return learner_of(World(scenarios.from_stored(run.manifest["scenario"], {})))


def read_weights(file: Path) -> Tensors:
    """Return the tensors at the end of a run by stored name; InputError for a broken file."""
    from learning.values.store import load_value

    try:
        return load_value(file)
    except ValueError as error:
        again = "to export the weights, run it anew elsewhere (the tables do not depend on it)"
        raise helped(error, again) from None
