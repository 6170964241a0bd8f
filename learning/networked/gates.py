"""Stage 3: gates, trained on cached features and on all experts' answers to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor
from torch.func import functional_call

from learning.batches import rows_of_round
from learning.config import ModelConfig
from learning.models import Gate, Residency
from learning.models.moe import Routing
from learning.networked.combining import answer, losses, mixed
from learning.networked.descent import Descent, train
from learning.task import Task

GATE = "gate.0."


@lru_cache(maxsize=16)
def gate_module(model: ModelConfig, top_k: int) -> Gate:
    """Return a gate without memory that keeps ``top_k``, to be called with tensors given."""
    everyone = Residency(tuple(range(model.experts)), own_reach=True)
    with torch.device("meta"):
        return Gate(replace(model, top_k=top_k), everyone, normalised=True, biased=True)


def route(
    task: Task, gate: Mapping[str, Tensor], features: Tensor, top_k: int | None, reach: Tensor
) -> Routing:
    """Route ``features`` (..., d) by one gate to ``top_k`` experts (None: all).

    ``reach`` (N,) is 0, or -inf for experts that get no weight whatever the gate says.
    """
    model = task.config.model
    module = gate_module(model, min(top_k or model.experts, model.experts))
    routing: Routing = functional_call(module, {**gate, "reach": reach}, (features,))
    return routing


def reach_of(task: Task, reach: Sequence[Sequence[bool]]) -> Tensor:
    """Return what is added to logits (..., N): 0 for experts in reach, -inf for the others.

    Raises ValueError for a client that reaches no expert at all.
    """
    mask = torch.tensor(reach, device=task.device)
    if not bool(mask.any(-1).all()):
        raise ValueError("a client reaches no expert, not even its own; leave it out")
    nothing = torch.zeros(mask.shape, dtype=task.dtype, device=task.device)
    return nothing.masked_fill(~mask, -torch.inf)


def start_gate(task: Task) -> dict[str, Tensor]:
    """Return the gate as the task drew it."""
    drawn = task.initial.items()
    return {n.removeprefix(GATE): t for n, t in drawn if n.startswith(GATE)}


def spread(task: Task, gate: Mapping[str, Tensor], *, cluster: str) -> dict[str, Tensor]:
    """One gate at all devices of a cluster."""
    return {name: t.expand(task.devices(cluster), *t.shape) for name, t in gate.items()}


def take_gate(task: Task, gates: Mapping[str, Tensor], *, device: int) -> dict[str, Tensor]:
    """The gate of one device."""
    return {name: tensor[device] for name, tensor in gates.items()}


def train_gates(
    task: Task,
    gates: Mapping[str, Tensor],
    known: Mapping[str, Tensor],
    *,
    cluster: str,
    rounds: Sequence[int],
    first_round: Sequence[int],
    reach: Sequence[Sequence[bool]] | None,
    combine: str,
) -> dict[str, Tensor]:
    """Local rounds by the cross-entropy of the mixture of all in reach, all else frozen."""
    found, outputs = known["features"], known["outputs"]
    labels = task.shards[cluster].samples.y
    everyone = [[True] * task.config.model.experts] * task.devices(cluster)
    limits = reach_of(task, everyone if reach is None else reach)

    def loss(
        gate: Mapping[str, Tensor], h: Tensor, answers: Tensor, y: Tensor, limit: Tensor
    ) -> Tensor:
        weight = route(task, gate, h, None, limit).weight
        return losses(answer(mixed(weight, answers), combine), y, combine).mean()

    def draw(device: int, number: int | None) -> list[tuple[Tensor, ...]]:
        rows = torch.from_numpy(rows_of_round(task, cluster, device, number)).to(task.device)
        return [(found[s], outputs[s], labels[s], limits[device]) for s in rows]

    descent = Descent(task.config.step_size * task.config.gate_step_size_ratio)
    return train(gates, draw, loss, descent, rounds, first_round, together=True)
