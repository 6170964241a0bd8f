"""Gradients of the local loss: of one device, and of all devices of a cluster at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from learning.batches import Batch


def gradients_of_all(
    model: nn.Module,
    moving: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    shared: Mapping[str, Tensor],
    batch: Batch,
) -> Sequence[Tensor]:
    """Return each device's gradient of its own mean loss (K, ...), in the order of ``moving``.

    ``moving`` and ``own`` are stacked (K, ...), what is ``shared`` stands once for all devices.
    """
    leaves = {path: tensor.detach().requires_grad_() for path, tensor in moving.items()}

    def logits_of(tensors: dict[str, Tensor], x: Tensor) -> Tensor:
        logits: Tensor = functional_call(model, {**shared, **tensors}, (x,), tie_weights=False)
        return logits

    logits = vmap(logits_of)({**own, **leaves}, batch.x)
    losses = functional.cross_entropy(logits.flatten(0, 1), batch.y.flatten(), reduction="none")
    total = losses.view(batch.y.shape).mean(1).sum()
    wanted = list(leaves.values())
    return torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)


def gradients(
    model: nn.Module, moving: Mapping[str, Tensor], standing: Mapping[str, Tensor], batch: Batch
) -> Sequence[Tensor]:
    """Return one device's gradient of its mean loss, in the order of ``moving``.

    It is zero where the batch does not reach: an expert that no token was routed to.
    """
    leaves = {path: tensor.detach().requires_grad_() for path, tensor in moving.items()}
    logits = functional_call(model, {**standing, **leaves}, (batch.x,), tie_weights=False)
    loss = functional.cross_entropy(logits.flatten(0, -2), batch.y.flatten())
    wanted = list(leaves.values())
    if not loss.requires_grad:
        return [torch.zeros_like(leaf) for leaf in wanted]
    return torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
