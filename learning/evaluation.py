"""What the server's model is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import torch
from torch import Tensor
from torch.nn import functional

from learning.task import Samples, Task


class Score(TypedDict):
    """One cluster's test result: ``accuracy`` 0..1, mean cross-entropy ``loss`` in nats."""

    cluster: str
    accuracy: float
    loss: float
    samples: int


def evaluate(task: Task, server: Mapping[str, Tensor]) -> list[Score]:
    """Test the unmasked Top-K model on each cluster's test set, in the order of the clusters."""
    model = task.model(server)
    return [_score(model, name, task.test[name]) for name in task.config.clusters]


def final_tensors(task: Task, server: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return everything the trained model consists of, backbone included, to be stored."""
    return {name: tensor.contiguous() for name, tensor in {**task.backbone, **server}.items()}


def _score(model: torch.nn.Module, cluster: str, test: Samples) -> Score:
    with torch.no_grad():
        logits = model(test.x)
    return Score(
        cluster=cluster,
        accuracy=float((logits.argmax(-1) == test.y).double().mean()),
        loss=float(functional.cross_entropy(logits, test.y)),
        samples=len(test.y),
    )
