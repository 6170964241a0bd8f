"""States of devices by reference: the server's versions that they hold, and what is their own.

A state's own tensors are those that devices have trained: factors, copies of what is trained
without factors, and what the optimiser remembers. What they have downloaded stays the server's.
Changes that a device has offered since count as part of its base: they are kept as the factors
``pending.{number}.expert.{e}.{l}.{matrix}.{a,b}``, 0 where a device has none.

``versions`` (E + 1, K) says which of the server's models each device has of each expert, and in
the last row of what is shared; -1 for none. ``held`` are the experts that the state is of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from learning.models.interface import expert_of, is_of
from learning.models.moe import product
from learning.training import device_state, local
from learning.training.device_state import BASE, FACTOR, PENDING, State, rows_of, whole
from learning.training.task import Task

Tensors = Mapping[str, Tensor]
Versions = Sequence[Sequence[int]]


def assembled(
    task: Task, own: Tensors, *servers: Tensors, held: Collection[int], versions: Versions
) -> State:
    """Return the state as :mod:`learning.training.device_state` describes it, bases included."""
    return _with_bases(task, own, servers, held, versions)


def load(
    task: Task,
    server: Tensors,
    *before: Tensors,
    held: Collection[int],
    versions: Versions,
    experts: Collection[int],
    who: Sequence[bool],
    **arguments: Any,
) -> State:
    """Download as :func:`learning.training.device_state.load`."""
    own, *servers = before or ({},)
    state = _with_bases(task, own, servers, held, versions, whole_only=True)
    after = device_state.load(
        task, server, state, experts=experts, who=who, whole_only=True, **arguments
    )
    for name in own:
        if name.startswith(PENDING) and name.endswith(".b") and is_of(_matrix(name), experts):
            pair = name.removesuffix(".b") + ".a", name
            left = [rows_of(who, torch.zeros_like(own[n]), own[n], stacked=True) for n in pair]
            if left[1].any():
                after |= zip(pair, left, strict=True)
    return _own_after(after, own, who)


def load_gate(
    task: Task,
    server: Tensors,
    own: Tensors,
    *servers: Tensors,
    held: Collection[int],
    versions: Versions,
    who: Sequence[bool],
) -> State:
    """Download what is shared as :func:`learning.training.device_state.load_gate`."""
    state = _with_bases(task, own, servers, held, versions, whole_only=True)
    return _own_after(device_state.load_gate(task, server, state, who=who), own, who)


def train(
    task: Task,
    own: Tensors,
    *others: Tensors,
    servers: int,
    held: Collection[int],
    versions: Versions,
    rounds: Sequence[int],
    **arguments: Any,
) -> State:
    """Train as :func:`learning.training.local.train`; after ``servers`` models, the memories.

    Where devices are trained one after another, no base is copied: those that hold the same
    versions are trained from the server's tensors.
    """
    models, memories = others[:servers], others[servers:]
    if task.traits.batched or arguments.get("local_loss"):
        state = _with_bases(task, own, models, held, versions)
        after = local.train(task, state, *memories, rounds=rounds, **arguments)
        return _own_part(after, state, own)
    trained = dict(own)
    columns = list(zip(*versions, strict=True))
    for column in dict.fromkeys(columns):
        mine = [n * (other == column) for n, other in zip(rounds, columns, strict=True)]
        if any(mine):
            state = _with_bases(task, trained, models, held, versions, column=column)
            after = local.train(task, state, rounds=mine, **arguments)
            trained = _own_part(after, state, trained)
    return trained


def commit(
    task: Task,
    own: Tensors,
    *servers: Tensors,
    held: Collection[int],
    versions: Versions,
    experts: Collection[int],
    who: Sequence[bool],
    **arguments: Any,
) -> State:
    """Begin anew as :func:`learning.training.device_state.commit`."""
    state = _with_bases(task, own, servers, held, versions, whole_only=True)
    after = device_state.commit(task, state, experts=experts, who=who, **arguments)
    slot = f"{PENDING}{_free_slot(own, who)}."
    for name, tensor in own.items():
        if name.startswith(FACTOR) and is_of(_matrix(name), experts):
            pending = slot + _matrix(name)
            before = own[pending] if pending in own else torch.zeros_like(tensor)
            after[pending] = rows_of(who, tensor, before, stacked=True)
    return _own_part(after, state, own)


def offer(
    task: Task,
    own: Tensors,
    *servers: Tensors,
    held: Collection[int],
    versions: Versions,
    experts: Collection[int],
    gate: bool,
) -> State:
    """Return the upload as :func:`learning.training.device_state.offer`."""
    state = _with_bases(task, own, servers, held, versions, whole_only=True)
    return device_state.offer(task, state, experts=experts, gate=gate, held=held)


def _with_bases(
    task: Task,
    own: Tensors,
    servers: Sequence[Tensors],
    held: Collection[int],
    versions: Versions,
    *,
    whole_only: bool = False,
    column: Sequence[int] | None = None,
) -> State:
    """Return ``own`` with the bases (K, ...), and with the tensors that equal them.

    ``whole_only`` leaves out the bases of what is trained through factors. A ``column`` of the
    versions gives the bases of these for all devices: pending changes, and what the server has
    added, then stay factors. Without it they are added to the bases.
    """
    folds = column is None
    state = {name: t for name, t in own.items() if not (folds and name.startswith(PENDING))}
    models = [whole(task, server) if folds and not whole_only else server for server in servers]
    for expert in (None, *held):
        number = -1 if expert is None else expert
        as_whole = expert is None or task.config.model.lora.rank is None
        if whole_only and not as_whole:
            continue
        row = versions[number]
        if column is not None and not as_whole:
            row = [column[number]] * len(row)
        known = [models[version] for version in sorted(set(row)) if version >= 0]
        for name in dict.fromkeys(name for model in known for name in model):
            if expert_of(name) != expert or (expert is None and not task.is_shared(name)):
                continue
            base = state.get(BASE + name)
            if base is None:
                base = _stacked(task, models, name, row)
                if folds and not as_whole:
                    base = _folded(task, own, name, base)
                state[BASE + name] = base
            if as_whole:
                state.setdefault(name, base)
    if whole_only:
        state |= {name: t for name, t in own.items() if name.startswith(PENDING)}
    return dict(sorted(state.items()))


def _stacked(task: Task, models: Sequence[Tensors], name: str, row: Sequence[int]) -> Tensor:
    """Return a tensor of the versions in ``row`` (K,), in one memory where all have the same."""
    stacked = None
    for version in sorted(set(row) - {-1}):
        tensor = task.as_run(models[version][name])
        stacked = rows_of([v == version for v in row], tensor, stacked)
    assert stacked is not None  # for the type checker: a model has the name
    return stacked


def _folded(task: Task, own: Tensors, name: str, base: Tensor) -> Tensor:
    """Return a base with the pending changes of its matrix, oldest first."""
    matrix = name.removesuffix(".weight")
    for number in _slots(own):
        a = own.get(f"{PENDING}{number}.{matrix}.a")
        if a is not None and name.endswith(".weight"):
            b = own[f"{PENDING}{number}.{matrix}.b"]
            base = base + product(a, b, task.config.model.lora.scale)
    return base


def _slots(own: Tensors) -> list[int]:
    """Return the numbers of the pending changes."""
    return sorted({int(name.split(".", 2)[1]) for name in own if name.startswith(PENDING)})


def _free_slot(own: Tensors, who: Sequence[bool]) -> int:
    """Return the first number behind the last one at which a device in ``who`` has a change."""
    numbers, rows = _slots(own), [device for device, here in enumerate(who) if here]
    free = numbers[-1] + 1 if numbers else 0
    for number in reversed(numbers):
        if any(t[rows].any() for n, t in own.items() if n.startswith(f"{PENDING}{number}.")):
            break
        free = number
    return free


def _matrix(name: str) -> str:
    """Return the name of a factor without its prefix."""
    return name.split(".", 2)[2] if name.startswith(PENDING) else name.removeprefix(FACTOR)


def _own_part(after: Tensors, state: Tensors, own: Tensors) -> State:
    """Return what is own of ``after``, which was made from ``state``, and that from ``own``."""
    new = {n: t for n, t in own.items() if n not in after}
    new |= {n: t for n, t in after.items() if n in own or t is not state.get(n)}
    return _without_bases(new, after)


def _own_after(after: Tensors, own: Tensors, who: Sequence[bool]) -> State:
    """Return what is own after a download: bases of one's own only where not all have got it."""
    kept = {n for n in own if n.startswith(BASE) and not all(who)}
    new = {n: t for n, t in after.items() if not n.startswith(BASE) or n in kept}
    return _without_bases(new, after)


def _without_bases(new: Tensors, after: Tensors) -> State:
    """Leave out what is its base, unchanged."""
    return {name: t for name, t in new.items() if t is not after.get(BASE + name)}
