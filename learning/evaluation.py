"""What the server's model is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from learning.task import Samples, Task, in_batches


class Score(TypedDict):
    """One cluster's test result: ``accuracy`` 0..1, mean cross-entropy ``loss`` in nats.

    Methods of networked experts add the macro ``f1`` over all classes and the shares of samples,
    of selected experts, and of their weight that stay with a client's own expert; see
    :mod:`learning.networked.metrics`.
    """

    cluster: str
    accuracy: float | None
    loss: float | None
    samples: int
    f1: NotRequired[float | None]
    local_ratio: NotRequired[float]
    local_count_share: NotRequired[float]
    local_weight_share: NotRequired[float]


def evaluate(
    task: Task, server: Mapping[str, Tensor], only: tuple[int, ...] | None = None
) -> list[Score]:
    """Test the Top-K model on each cluster's test set, in the order of the clusters.

    With ``only`` the gate is masked to those experts: what they are worth by themselves.
    """
    model = task.model(server, only)
    return [_score(model, name, task.test[name]) for name in task.config.clusters]


def final_tensors(task: Task, server: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return everything the trained model consists of, backbone included, to be stored."""
    return {name: tensor.contiguous() for name, tensor in {**task.backbone, **server}.items()}


def _score(model: nn.Module, cluster: str, test: Samples) -> Score:
    with torch.no_grad():
        parts = [model(x) for x in in_batches(test.x)]
    # Losses are summed in at least single precision: sixteen bits would round them.
    logits = torch.cat(parts)
    logits = logits.float() if logits.dtype == torch.bfloat16 else logits
    loss = float(functional.cross_entropy(logits, test.y))
    return Score(
        cluster=cluster,
        accuracy=float((logits.argmax(-1) == test.y).double().mean()),
        loss=loss,
        samples=len(test.y),
    )
