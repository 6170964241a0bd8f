"""The learner of a run whose weights are exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import scenarios
from sim.engine.learning_task import learner_of
from sim.execution.model import checkpoint_folders
from sim.execution.result import Result
from sim.world.world import World

if TYPE_CHECKING:
    from learning.learner import Learner


def learner_of_run(run: Result) -> Learner:
    """Return the learner of a run; raise InputError as for its scenario.

    Its checkpoints are where they lie now. The scenario may name Python code, and the folder may be
    somebody else's.
    """
    assert run.folder is not None
    folders = [str(path.resolve()) for path in checkpoint_folders(run.folder, run.checkpoints)]
    moved = {"learning.model.checkpoints": folders} if folders else {}
    return learner_of(World(scenarios.from_stored(run.manifest["scenario"], moved)))
