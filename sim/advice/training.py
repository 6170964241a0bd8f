"""What a scenario may still lack to be trained: files, a model for them, or weights for that."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from learning.architecture.kinds import input_spec, kind_of, kinds_for
from learning.learner import Learner
from sim.engine.learning_task import lacking_file
from sim.engine.setup import Build
from sim.errors import InputError, as_input
from sim.world.world import World
from statements import Code, Set, Severity, Statement


def missing_data(world: World, learner: Learner) -> list[Statement]:
    """Look for what a run would train, and train on; return a doubt where files are not there.

    Such a scenario may be meant for timing, or for files to come. Raises InputError where the
    files that are there cannot be trained on by the scenario's model, or hold another one.
    """
    if not learner.trains:
        return []
    timing_only = Set("learning.train", value=False, what="simulate the timing alone")
    if lacks := lacking_file(world, learner.config.data):
        return [replace(lacks, severity=Severity.DOUBT, remedies=(*lacks.remedies, timing_only))]
    kind = learner.config.model.kind
    form = input_spec(learner.config).form
    forms = kind_of(kind).forms
    if forms and form not in forms:
        raise InputError.of(
            Code.WRONG_VALUE,
            "learning.model.kind",
            f"{kind!r} takes no {form} data; {kinds_for(form)[0]!r} does, or "
            "learning.train=false for timing only",
        )
    model = learner.config.model
    missing = [place for place in model.checkpoints if not Path(place).exists()]
    if missing:  # of a kind whose shape is known without
        return [
            Statement.doubt(
                Code.NO_FILE,
                "learning.model.checkpoints",
                "{place}: no such folder",
                "name a local folder of these weights",
                timing_only,
                place=missing[0],
            )
        ]
    if model.checkpoints and kind_of(model.kind).is_text:
        with as_input(origin=world):
            _check_tensors(learner)
    return []


def _check_tensors(learner: Learner) -> None:
    """Raise ValueError, as a run would, for checkpoints that lack tensors, or hold others.

    Their headers are read alone: whether numbers are finite shows when a run reads them.
    """
    from learning.models.build import make_shapes  # which imports torch
    from learning.models.interface import checkpoint_places

    config = learner.config
    checkpoint_places(config.model, make_shapes(config.model, input_spec(config)))


def as_shipped(world: World, overridden: Iterable[str]) -> bool:
    """Whether a scenario is shipped, with no key of ``learning`` among the ``overridden`` ones.

    What it trains is known to learn; to try it would import torch.
    """
    changed = any(key.partition(".")[0] == "learning" for key in overridden)
    return world.is_shipped and not changed


MOST_PARAMETERS = 20_000_000
"""Larger models are not made for a look: their weights take long to be drawn or read."""


def learning_doubts(built: Build) -> list[Statement]:
    """Read the data and make the model, of which a module of one's own is tried; return doubts.

    Raises InputError for data or a model that cannot be trained.
    """
    if built.learner.architecture.parameters <= MOST_PARAMETERS:
        with as_input(origin=built.world):
            built.learner.build()
    return built.try_hooks()
