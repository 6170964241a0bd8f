"""Stage 2: each client's own expert, trained on its own samples behind the frozen extractor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from learning.batches import rows_of_round
from learning.models.names import expert_of
from learning.networked.descent import Descent, train
from learning.networked.features import expert_module
from learning.task import Task


def first_client(task: Task, cluster: str) -> int:
    """Return the number of a cluster's first client: devices are counted over all clusters."""
    index = task.config.clusters.index(cluster)
    return sum(task.config.devices[:index])


def drawn_experts(task: Task, cluster: str) -> dict[str, Tensor]:
    """Return a cluster's experts as the task drew them, stacked (K, ...)."""
    first = first_client(task, cluster)
    names = [n.split(".", 3)[3] for n in task.initial if expert_of(n) == first]
    own = range(first, first + task.devices(cluster))
    return {n: torch.stack([task.initial[f"expert.{e}.0.{n}"] for e in own]) for n in names}


def train_experts(
    task: Task,
    cached: Mapping[str, Tensor],
    *,
    cluster: str,
    rounds: Sequence[int],
    first_round: Sequence[int],
) -> dict[str, Tensor]:
    """Local rounds from the experts as drawn, by cross-entropy, with plain gradient descent.

    Features come from a cache, which holds what the client computes again in each round.
    """
    model = expert_module(task.config.model, task.spec.classes, "logit")
    labels, found = task.shards[cluster].samples.y, cached["features"]

    def loss(tensors: Mapping[str, Tensor], h: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(model, dict(tensors), (h,)), y)

    def draw(device: int, number: int | None) -> list[tuple[Tensor, ...]]:
        rows = torch.from_numpy(rows_of_round(task, cluster, device, number)).to(task.device)
        return [(found[step], labels[step]) for step in rows]

    begin = drawn_experts(task, cluster)
    descent = Descent(task.config.step_size)
    return train(begin, draw, loss, descent, rounds, first_round, together=True)
