"""Doubts on a run before it begins: links that are never used, devices that hold too little."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from learning.architecture.kinds import kind_of
from learning.methods.base import METHODS, Method
from sim.engine.setup import Build
from sim.formatting import data_size


def doubts_of(built: Build) -> tuple[str, ...]:
    """Return lines for the user on what may be wrong with contacts, links and devices' memory."""
    return (*built.plan.doubts, *_isl_doubts(built), *_memory_doubts(built))


def _isl_doubts(built: Build) -> Iterator[str]:
    """Say which links between satellites the method never sends over."""
    isl, method = built.scenario.link.isl, built.method
    if isl is None or built.plan.isls is None:
        return
    kinds = "within_plane", "between_planes"
    on = not method.isl_option or getattr(built.options, method.isl_option)
    used = method.uses_isl if on else ()
    idle = [key for key in kinds if getattr(isl, key) != "none" and key not in used]
    if not idle:
        return
    known = {name: METHODS.find(name) for name in METHODS.shipped}
    uses = [
        f"{name} (with learning.options.{one.isl_option})" if one.isl_option else name
        for name, one in sorted(known.items())
        if set(idle) <= set(one.uses_isl)
    ]
    yield (
        f"link.isl.{' and '.join(idle)}: method {built.scenario.learning.method!r} sends nothing "
        f"over these links, which change nothing here; methods that use them are {', '.join(uses)}."
        " Updates of the others do not go over links between satellites yet"
    )


def _memory_doubts(built: Build) -> Iterator[str]:
    """Say how many devices do not hold what the method trains at least.

    Networked experts are handed out by other sizes, and the method says who gets none.
    """
    learner = built.learner
    if built.method.trains_at_server or kind_of(learner.sized_by.model.kind).expert_per_device:
        return
    experts = list(range(learner.architecture.experts))
    held = experts[:1] if built.method.needs_experts else experts
    keeps = built.method.memory_copies is not Method.memory_copies
    copies = built.new_method().memory_copies if keeps else 0
    cost = learner.round_cost(held, held, gate=not built.method.needs_experts, copies=copies)
    limits = [
        np.broadcast_to(np.inf if c.memory_bytes is None else c.memory_bytes, cluster.devices)
        for c, cluster in zip(built.compute, built.plan.clusters, strict=True)
    ]
    every = np.concatenate(limits)
    if not (lacks := every < cost.memory_bytes).any():
        return
    most, kind = float(every[lacks].max()), learner.sized_by.model.kind
    who = "no device can" if lacks.all() else f"{lacks.sum()} of {len(lacks)} devices cannot"
    yield (
        f"{who} train: a round of {kind!r} takes {data_size(float(cost.memory_bytes))} of "
        f"memory, and compute.memory_gib gives {data_size(most)} at most: raise it, or take a "
        "smaller learning.model"
    )
