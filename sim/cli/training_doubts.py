"""What a scenario may still lack to be trained, found without torch: files, or a model for them."""

from collections.abc import Iterable
from dataclasses import replace

import scenarios
from learning.architecture.kinds import input_spec, kind_of, kinds_for
from learning.first_steps import doubts, first_steps
from learning.learner import Learner
from sim.engine.learning_task import lacking_file
from sim.engine.setup import Build
from sim.errors import InputError, as_input
from sim.world.world import World
from statements import Code, Set, Severity, Statement


def missing_data(world: World, learner: Learner) -> list[Statement]:
    """Look for what a run would train on; return a doubt where files are not there.

    Such a scenario may be meant for timing, or for files to come. Raises InputError where the
    files that are there cannot be trained on by the scenario's model.
    """
    if not learner.trains:
        return []
    if lacks := lacking_file(world, learner.config.data):
        timing_only = Set("learning.train", value=False)
        return [replace(lacks, severity=Severity.DOUBT, remedies=(*lacks.remedies, timing_only))]
    kind = learner.config.model.kind
    form = input_spec(learner.config).form
    forms = kind_of(kind).forms
    if forms and form not in forms:
        raise InputError(
            Statement.of(
                Code.WRONG_VALUE,
                "learning.model.kind",
                f"{kind!r} takes no {form} data; {kinds_for(form)[0]!r} does, or "
                "learning.train=false for timing only",
            )
        )
    return []


def as_shipped(world: World, overridden: Iterable[str]) -> bool:
    """Whether a scenario is shipped, with no key of ``learning`` among the ``overridden`` ones.

    What it trains is known to learn; to try it would import torch.
    """
    changed = any(key.partition(".")[0] == "learning" for key in overridden)
    source = world.scenario.source_path
    return source is not None and scenarios.is_shipped(source) and not changed


def learning_doubts(built: Build) -> list[Statement]:
    """Try three steps on a hundred samples; return doubts where little comes of them.

    So do doubts of a module of one's own, which is tried for them. Raises InputError for data or a
    model that cannot be trained.
    """
    with as_input(origin=built.scenario):
        found = first_steps(built.learner.config)
    own = built.try_hooks()
    return own if found is None else [*doubts(found), *own]
