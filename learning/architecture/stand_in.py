"""Learn small, send large: a small model is trained in place of the one whose sizes count."""

from __future__ import annotations

from dataclasses import replace

from learning.architecture.costs import architecture
from learning.architecture.kinds import KINDS, input_spec, kind_of, kinds_for, resolved_task
from learning.config import LearningConfig, ModelConfig


def sized_by(config: LearningConfig, named: ModelConfig | None) -> LearningConfig:
    """Return the task with the architecture ``named`` in place of its model; the task if None.

    Experts map one to one by index, gate to gate, and backbone to backbone. What is not part of a
    model (LoRA, upload format, precision, data, batches) holds for both. Raises ValueError, in one
    line, for an architecture that the model of ``config`` cannot stand in for.
    """
    if named is None:
        return config
    own, kind = kind_of(config.model.kind), kind_of(named.kind)
    if kind.networked != own.networked:
        alike = (repr(name) for name, other in KINDS.items() if other.is_like(own))
        raise ValueError(
            f"learning.sized_as.kind: {config.model.kind!r} cannot stand in for {named.kind!r}, "
            "since experts are one per device in one of the two only; use one of "
            f"{', '.join(alike)}"
        )
    # Decoders of text are sized without texts, as in a timing-only run.
    form = None if kind.is_text or not kind.forms else input_spec(config).form
    if form is not None and form not in kind.forms:
        others = (repr(n) for n in kinds_for(form) if KINDS[n].is_like(kind))
        raise ValueError(
            f"learning.sized_as.kind: {named.kind!r} takes {' or '.join(kind.forms)} data, but "
            f"these are {form}; use {' or '.join(others)}"
        )
    try:
        sized = resolved_task(replace(config, model=named))
        architecture(sized)
    except ValueError as error:
        why = str(error).removeprefix("learning.model.kind: ")
        if ":" in named.kind:
            why = f"{named.kind!r} has no sizes ({why}); name a shipped kind, like 'llama-3-8b-x3'"
        key = "learning.sized_as" if named.kind in KINDS else "learning.sized_as.kind"
        raise ValueError(f"{key}: {why}") from None
    if bool(sized.model.experts) != bool(config.model.experts):
        which = {True: "experts", False: "no experts"}
        raise ValueError(
            f"learning.sized_as.kind: {config.model.kind!r} has {which[config.model.experts > 0]} "
            f"and cannot stand in for {named.kind!r}, which has {which[sized.model.experts > 0]}"
        )
    for key, has in (("experts", "has {} experts"), ("top_k", "sends a token to {} experts")):
        ours, other = getattr(config.model, key), getattr(sized.model, key)
        if ours != other:
            raise ValueError(
                f"learning.sized_as: {named.kind!r} {has.format(other)}, learning.model {ours}; "
                f"make the numbers equal, like learning.model.{key}: {other}"
            )
    return sized
