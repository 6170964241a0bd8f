"""The learner of a run that is over, for what is made of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scenarios
from sim.engine.learning_task import learner_of
from sim.execution.model import checkpoint_folders
from sim.world.world import World

if TYPE_CHECKING:
    from learning.learner import Learner


def learner_of_run(folder: Path, manifest: Mapping[str, Any]) -> Learner:
    """Return the learner of the run in a folder; raise InputError as for its scenario.

    Its checkpoints are where they lie now, as for :func:`~sim.execution.model.whole_model`. The
    scenario may name Python code, and the folder may be somebody else's.
    """
    folders = [str(path.resolve()) for path in checkpoint_folders(folder)]
    moved = {"learning.model.checkpoints": folders} if folders else {}
    return learner_of(World(scenarios.from_stored(manifest["scenario"], moved)))
