"""What a scenario may still lack to be trained, told without torch: files, or a model for them."""

from __future__ import annotations

from learning.architecture.kinds import TEXT_KINDS, input_spec
from learning.data.table import data_files
from learning.learner import Learner
from sim.errors import InputError

KINDS = {
    "vector": ("vector-moe",),
    "image": ("image-moe",),
    "text": TEXT_KINDS,
    "choices": TEXT_KINDS,
}
"""Shipped kinds of models by the form of data that they take, the usual one first."""


def missing_data(learner: Learner) -> list[str]:
    """Look for what a run would train on; return lines for the user where files are not there.

    Such a scenario may be meant for timing, or for files to come. Raises InputError where the
    files that are there cannot be trained on by the scenario's model.
    """
    if not learner.trains:
        return []
    try:
        data_files(learner.config.data)
    except ValueError as error:
        return [f"{error}: a run needs it, or learning.train=false for timing only"]
    _check_form(learner)
    return []


def _check_form(learner: Learner) -> None:
    kind = learner.config.model.kind
    form = input_spec(learner.config).form
    known = {kind for kinds in KINDS.values() for kind in kinds}
    if kind in known and kind not in KINDS[form]:
        raise InputError(
            f"learning.model.kind: {kind!r} takes no {form} data; {KINDS[form][0]!r} does, or "
            "learning.train=false for timing only"
        )
