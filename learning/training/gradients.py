"""Gradients of the loss over training samples at a server's model: (12) and (13) derived.

They are what local training estimates by minibatches, and are taken by whole matrices, at the
function that an evaluation tests: the Top-K model, without dropout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learning.metrics import Gradient
from learning.models.interface import expert_of
from learning.models.stacked import Tensors, in_single
from learning.training.device_state import whole
from learning.training.task import Samples, Task, in_batches


def gradient_of(task: Task, server: Tensors, samples: Samples) -> dict[str, Tensor]:
    """Return the gradient of the mean loss of ``samples``, by stored name of what is trained.

    That is the experts, the gates and, where the task trains it, the backbone. It is zero where no
    sample reaches: an expert that none is routed to.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        model = task.model({name: _usable(t) for name, t in whole(task, server).items()})
        leaves = {}
        for path, parameter in model.named_parameters():
            stored = task.names.stored(path)
            if expert_of(stored) is not None or task.is_shared(stored):
                leaves[stored] = parameter.requires_grad_()
        found = {name: torch.zeros_like(in_single(leaf)) for name, leaf in leaves.items()}
        objective = task.objective
        parts = in_batches(_usable(samples.x))
        labels = torch.split(samples.y, [len(part) for part in parts])
        for x, y in zip(parts, labels, strict=True):
            share = objective.count(y) / objective.count(samples.y)
            loss = objective.mean(in_single(model(x)), y, x) * share
            moved = torch.autograd.grad(
                loss, [*leaves.values()], allow_unused=True, materialize_grads=True
            )
            for name, gradient in zip(leaves, moved, strict=True):
                found[name] += gradient
    return found


def _usable(tensor: Tensor) -> Tensor:
    """Return a tensor that autograd takes: what was made in the mode for inference is copied."""
    return tensor.clone() if tensor.is_inference() else tensor


def mean_gradient(gradients: Sequence[Tensors], samples: Sequence[int]) -> dict[str, Tensor]:
    """Return the gradient of the loss over all samples, of those over parts of them, (3)."""
    shares = [count / sum(samples) for count in samples]
    return {
        name: sum(share * of[name] for share, of in zip(shares, gradients, strict=True))  # type: ignore[misc]
        for name in gradients[0]
    }


def as_gradient(task: Task, gradient: Tensors) -> Gradient:
    """Return a gradient as metrics look at it."""
    parts: dict[int | None, list[NDArray[Any]]] = {None: []}
    parts |= {expert: [] for expert in task.all_experts}
    for name in sorted(gradient):
        parts[expert_of(name)].append(gradient[name].flatten().cpu().numpy())
    return Gradient([_joined(parts[expert]) for expert in task.all_experts], _joined(parts[None]))


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.zeros(0)


def gradients_at(task: Task, server: Tensors) -> Mapping[str, tuple[Gradient, Gradient]]:
    """Return the gradients of each cluster's loss and of the global one, by cluster."""
    parts = {name: task.shards[name].samples for name in task.config.clusters}
    own = {name: gradient_of(task, server, samples) for name, samples in parts.items()}
    pooled = mean_gradient([*own.values()], [len(samples.y) for samples in parts.values()])
    overall = as_gradient(task, pooled)
    return {name: (as_gradient(task, gradient), overall) for name, gradient in own.items()}
