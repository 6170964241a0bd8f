"""What the devices of a cluster hold: downloaded bases, LoRA factors and a gate, stacked over K.

Names: ``base.expert.{e}.{l}.{matrix}.{weight,bias}`` and ``base.gate.{l}.weight`` as downloaded,
``factor.expert.{e}.{l}.{matrix}.{a,b}`` trained since the last offer, ``gate.{l}.weight`` as
trained. A device that has never received an expert has NaN in its place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from learning.models.lora import fresh_a, product
from learning.models.names import expert_of, is_gate, is_of
from learning.streams import stream
from learning.task import Task

State = dict[str, Tensor]

BASE = "base."
FACTOR = "factor."
DELTA = "delta."


def receive(
    task: Task,
    server: Mapping[str, Tensor],
    state: Mapping[str, Tensor] | None,
    *,
    cluster: str,
    who: Sequence[bool],
    experts: Collection[int],
    generation: Sequence[int],
) -> State:
    """Download ``experts`` and the gate of ``server`` to the devices in ``who`` (K,).

    Trained factors of experts that stay are kept; a newly held expert starts with fresh factors of
    each device's ``generation`` (K,); experts that are not in ``experts`` are dropped.
    """
    _check_rows(task, cluster, who, generation)
    before = state or {}
    after: State = {}
    for name, tensor in server.items():
        if is_gate(name):
            after[BASE + name] = _rows(who, tensor, before.get(BASE + name))
            after[name] = _rows(who, tensor, before.get(name))
        elif is_of(name, experts):
            after[BASE + name] = _rows(who, tensor, before.get(BASE + name))
    fresh = _fresh_factors(task, cluster, experts, generation, after)
    return after | {name: before.get(name, factor) for name, factor in fresh.items()}


def receive_gate(
    task: Task, server: Mapping[str, Tensor], state: Mapping[str, Tensor], *, who: Sequence[bool]
) -> State:
    """Download the gate alone to the devices in ``who`` (K,)."""
    after = dict(state)
    for name in filter(is_gate, server):
        for held in (BASE + name, name):
            after[held] = _rows(who, server[name], state[held])
    return after


def fold(
    task: Task,
    state: Mapping[str, Tensor],
    *,
    cluster: str,
    who: Sequence[bool],
    generation: Sequence[int],
    experts: Collection[int],
    gate: bool,
) -> State:
    """Add the factors of ``experts`` of the devices in ``who`` to their bases and start fresh ones.

    The function of the model is unchanged: base := base + scale B A, A of the new ``generation``
    (K,), B = 0, and base gate := gate if ``gate``. What is left out stays to be offered later.
    """
    _check_rows(task, cluster, who, generation)
    folded = dict(state)
    for name in state:
        if is_gate(name):
            folded[BASE + name] = state[name] if gate else state[BASE + name]
        elif name.startswith(BASE) and is_of(name.removeprefix(BASE), experts):
            delta = delta_of(state, name)
            folded[name] = state[name] if delta is None else state[name] + delta
    folded |= _fresh_factors(task, cluster, experts, generation, state)
    return select(who, folded, state)


def select(who: Sequence[bool], new: Mapping[str, Tensor], old: Mapping[str, Tensor]) -> State:
    """Return ``new`` for the devices in ``who`` (K,) and ``old`` for the others.

    Raises :class:`ValueError` where the two hold different tensors.
    """
    if differing := sorted(set(new) ^ set(old)):
        raise ValueError(
            f"states to select from differ in {differing[0]!r}; both must hold the same experts"
        )
    return {name: _rows(who, tensor, old[name], stacked=True) for name, tensor in new.items()}


def offer(
    task: Task, state: Mapping[str, Tensor], *, experts: Collection[int], gate: bool
) -> State:
    """Return what is uploaded: the factors of ``experts`` and, with ``gate``, its change.

    Names are ``factor.expert...`` as in the state and ``delta.gate.{l}.weight``.
    """
    if missing := sorted(set(experts) - set(experts_held(state))):
        raise ValueError(f"expert {missing[0]} is not held; held: {experts_held(state)}")
    offered = {
        name: tensor
        for name, tensor in state.items()
        if name.startswith(FACTOR) and is_of(name.removeprefix(FACTOR), experts)
    }
    if gate:
        for name in filter(is_gate, state):
            offered[DELTA + name] = state[name] - state[BASE + name]
    return offered


def experts_held(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return the experts in ``state``, in order."""
    stored = (name.removeprefix(BASE) for name in state if name.startswith(BASE))
    return tuple(sorted({e for name in stored if (e := expert_of(name)) is not None}))


def delta_of(state: Mapping[str, Tensor], base: str) -> Tensor | None:
    """Return ``scale B A`` (K, out, in) of the matrix stored as ``base``, None without factors."""
    matrix = FACTOR + base.removeprefix(BASE).removesuffix(".weight")
    if f"{matrix}.a" not in state:
        return None
    return product(state[f"{matrix}.a"], state[f"{matrix}.b"])


def _rows(who: Sequence[bool], new: Tensor, old: Tensor | None, *, stacked: bool = False) -> Tensor:
    """Return ``new`` (one for all, unless ``stacked``) in the rows ``who``, else ``old``."""
    rows = new if stacked else new.expand(len(who), *new.shape)
    if len(rows) != len(who) or (old is not None and len(old) != len(who)):
        devices = len(rows if old is None else old)
        raise ValueError(f"who has {len(who)} entries; the state holds {devices} devices")
    if all(who):
        return rows
    mask = torch.tensor(who).view(-1, *[1] * (rows.dim() - 1))
    return torch.where(mask, rows, torch.nan if old is None else old)


def _fresh_factors(
    task: Task,
    cluster: str,
    experts: Collection[int],
    generation: Sequence[int],
    bases: Mapping[str, Tensor],
) -> State:
    factors: State = {}
    for name, base in bases.items():
        matrix = name.removeprefix(BASE)
        if not matrix.endswith(".weight") or not is_of(matrix, experts):
            continue
        matrix = matrix.removesuffix(".weight")
        out_features, in_features = base.shape[1:]
        rank = task.config.model.lora_rank
        drawn = {
            g: torch.from_numpy(
                fresh_a(rank, in_features, stream(task.config.seed, "lora", cluster, g, matrix))
            )
            for g in set(generation)
        }
        factors[f"{FACTOR}{matrix}.a"] = torch.stack([drawn[g] for g in generation])
        factors[f"{FACTOR}{matrix}.b"] = torch.zeros(len(generation), out_features, rank)
    return factors


def _check_rows(task: Task, cluster: str, who: Sequence[bool], generation: Sequence[int]) -> None:
    devices = task.devices(cluster)
    if len(who) != devices or len(generation) != devices:
        raise ValueError(
            f"who has {len(who)} and generation {len(generation)} entries; "
            f"cluster {cluster!r} has {devices} devices"
        )
