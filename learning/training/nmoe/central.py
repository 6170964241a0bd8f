"""The baseline: the whole mixture trained jointly on all clients' samples in one place."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from learning.models.nmoe import answer, losses, mixed
from learning.rng import stream
from learning.training.nmoe.experts import drawn_experts, features_of, first_client, outputs_of
from learning.training.nmoe.extractor import EXTRACTOR
from learning.training.nmoe.gates import route, start_gate
from learning.training.sgd import Descent, train
from learning.training.task import Task, pool

EXPERTS, GATE = "experts.", "gate."


def central(
    task: Task,
    *,
    rounds: int,
    combine: str,
    momentum: float,
    largest_gradient: float | None,
) -> dict[str, Tensor]:
    """Extractor, all experts and the gate after ``rounds`` rounds over the pooled samples."""
    samples = pool({name: task.shards[name].samples for name in task.config.clusters})
    config = task.config
    limit = torch.zeros(config.model.experts, dtype=task.dtype, device=task.device)

    def loss(tensors: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        h = features_of(task, tensors, x)
        outputs = outputs_of(task, _part(tensors, EXPERTS), h, combine)
        weight = route(task, _part(tensors, GATE), h, None, limit).weight
        return losses(answer(mixed(weight, outputs), combine), y, combine).mean()

    def draw(device: int, number: int | None) -> list[tuple[Tensor, ...]]:
        rng = stream(config.seed, "batch", "central", number)
        rows = rng.integers(0, len(samples.y), (config.steps_per_round, config.batch_size))
        parts = [samples.at(step) for step in torch.from_numpy(rows).to(task.device)]
        return [(part.x, part.y) for part in parts]

    begin = _drawn(task)
    ratios = {n: config.gate_step_size_ratio for n in begin if n.startswith(GATE)}
    descent = Descent(config.step_size, momentum, largest_gradient, ratios)
    one = {name: tensor.unsqueeze(0) for name, tensor in begin.items()}
    trained = train(one, draw, loss, descent, [rounds], [0], together=False)
    return {name: tensor.squeeze(0) for name, tensor in trained.items()}


def central_server(task: Task, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The extractor."""
    return {name: tensor for name, tensor in whole.items() if name.startswith(EXTRACTOR)}


def central_experts(task: Task, whole: Mapping[str, Tensor], *, cluster: str) -> dict[str, Tensor]:
    """The experts that the clients of one cluster hold."""
    first = first_client(task, cluster)
    own = slice(first, first + task.devices(cluster))
    return {name: tensor[own] for name, tensor in _part(whole, EXPERTS).items()}


def central_gate(task: Task, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gate."""
    return _part(whole, GATE)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _drawn(task: Task) -> dict[str, Tensor]:
    parts = [drawn_experts(task, name) for name in task.config.clusters]
    experts = {EXPERTS + name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    extractor = {n: t for n, t in task.initial.items() if n.startswith(EXTRACTOR)}
    return extractor | experts | {GATE + name: t for name, t in start_gate(task).items()}
