"""Local rounds of EMS-FL: (26), (27), (38) to (41), the gate masked as in (43)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from learning.models.stacked import Tensors
from learning.training.descent import descent_of
from learning.training.device_state import Versions, assembled_state
from learning.training.guards import Guard
from learning.training.local_loss import Draws, Term
from learning.training.recipe import LocalRounds, TrainedPart
from learning.training.state import State, flatten, map_tensors, moved_in_state
from learning.training.task import Task


def train(
    task: Task,
    own: Tensors,
    *others: Tensors,
    servers: int,
    versions: Versions,
    local: LocalRounds,
    part: TrainedPart,
    local_loss: Mapping[str, Any] | None = None,
) -> dict[str, Tensor]:
    """Train a state by reference as :func:`train_rounds`; after ``servers`` models, the memories.

    It checks that no tensor has changed but those of the ``part``.
    """
    what = f"training in {local.cluster!r}"
    tensors = (own, *others)
    guard = Guard(task, tensors, moved_in_state, what, part.experts, gate=part.gate)
    models, memories = others[:servers], others[servers:]
    term = None if local_loss is None else Term(memories=memories, **local_loss)
    after = _trained(task, own, models, versions, local, part, term)
    guard.check(after)
    return after


def _trained(
    task: Task,
    own: Tensors,
    models: Sequence[Tensors],
    versions: Versions,
    local: LocalRounds,
    part: TrainedPart,
    term: Term | None,
) -> dict[str, Tensor]:
    """Train a state whose bases are those of ``models`` that its ``versions`` name.

    Where devices are trained one after another, no base is copied: those that hold the same
    versions are trained from the server's tensors.
    """
    state = State.of(own)
    if task.traits.batched or term is not None:
        whole = assembled_state(task, state, models, versions)
        return {**own, **flatten(train_rounds(task, whole, local, part, term))}
    columns = list(zip(*versions, strict=True))
    for column in dict.fromkeys(columns):
        pairs = zip(local.rounds, columns, strict=True)
        rounds = [count if other == column else 0 for count, other in pairs]
        if not any(rounds):
            continue
        alike = versions  # without factors every device has a copy of its own
        if task.config.model.lora.rank is not None:
            alike = [*([version] * len(columns) for version in column[:-1]), versions[-1]]
        whole = assembled_state(task, state, models, alike, folds=False)
        after = _dealt(task, whole, replace(local, rounds=rounds), part)
        state = State.of({**flatten(state), **flatten(after)})
    return flatten(state)


def _dealt(task: Task, state: State, local: LocalRounds, part: TrainedPart) -> State:
    """Train clients in turn on the task's device and its ``others``, each alone, to equal bits."""
    who = [device for device, count in enumerate(local.rounds) if count]
    if not task.others or len(who) < 2 or task.is_own:  # a module of one's own may draw numbers
        return train_rounds(task, state, local, part)
    tasks = [task, *task.replicas][: len(who)]
    turns = [who[number :: len(tasks)] for number in range(len(tasks))]

    def trained(replica: Task, devices: Sequence[int]) -> State:
        there = replica.device  # where a base that clients share stays one tensor
        moved = map_tensors(
            lambda t: t[:1].to(there).expand_as(t) if t.stride(0) == 0 else t.to(there), state
        )
        rounds = [count if k in devices else 0 for k, count in enumerate(local.rounds)]
        return train_rounds(replica, moved, replace(local, rounds=rounds), part)

    with ThreadPoolExecutor(len(tasks)) as threads:
        found, *others = threads.map(trained, tasks, turns)
    everybody = flatten(found)
    for devices, rows in zip(turns[1:], others, strict=True):
        for name, tensor in flatten(rows).items():
            everybody[name][devices] = tensor[devices].to(task.device)
    return found


def train_rounds(
    task: Task,
    state: State,
    local: LocalRounds,
    part: TrainedPart,
    term: Term | None = None,
) -> State:
    """Return what the devices have trained after their ``local`` rounds.

    ``state`` is :func:`~learning.training.device_state.assembled_state`, and what is returned
    replaces tensors of it.

    Experts move by equations (26) and (38) and, with the gate, what is shared by (27) and
    (40), both at the same point; all that is not of the ``part`` is frozen. A ``term`` is added to
    the loss. Apart from rounding, a device's result depends only on its own state, data and rounds;
    rounds trained in several calls equal those trained in one, bit for bit.

    Raises :class:`ValueError` for counts that do not fit the cluster, for experts that are not
    held, and for an unmasked gate on devices that do not hold every expert.
    """
    descent = descent_of(task, state, local, part, term)
    # The state of torch's generators is kept where the model draws from them.
    on_gpu = [task.device] if task.device.type == "cuda" else []
    draws = task.traits.draws or (term is not None and term.draws)
    try:
        with torch.random.fork_rng(on_gpu, enabled=draws):
            return descent.run(task.recipe, local.rounds, local.first_round)
    except Draws:
        assert term is not None  # it has asked for random numbers
        return train_rounds(task, state, local, part, replace(term, draws=True))
