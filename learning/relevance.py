"""How often each cluster's data activate each expert: the basis of model splitting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learning.models.routing import forward_with_routing, gates_of, tokens_of
from learning.task import Samples, Task, in_batches

Batch = Tensor | tuple[Tensor, Tensor]


def expert_relevance(model: nn.Module, batches: Iterable[Batch]) -> NDArray[np.float64]:
    """Return (E,): the share of (token, MoE layer) pairs that select each expert, equation (29).

    ``batches`` yields ``x`` of shape (n, d) or (n, T, d), or ``(x, keep)`` with ``keep`` (n, T)
    bool: True for tokens, False for padding, which is not counted although the gate routes it.
    The shares sum to K of Top-K. Raises :class:`ValueError` for a model without MoE layers and
    where nothing is left to count.
    """
    counts = torch.zeros(gates_of(model)[0].experts, dtype=torch.int64)
    pairs = 0
    for batch in batches:
        x, keep = batch if isinstance(batch, tuple) else (batch, None)
        with torch.no_grad():
            _, routings = forward_with_routing(model, x)
        for _, chosen in routings:
            kept = chosen if keep is None else chosen[_checked(keep, chosen)]
            counts += torch.bincount(kept.flatten().cpu(), minlength=len(counts))
            pairs += kept[..., 0].numel()
    if pairs == 0:
        raise ValueError("no tokens to count: give at least one batch with a token to keep")
    return counts.numpy() / pairs


def trial_relevance(task: Task, server: Mapping[str, Tensor]) -> list[list[float]]:
    """Return the relevance (C, E) of the server's experts to each cluster's trial data."""
    model = task.model(server)
    return [_of_samples(model, task.trial[name]).tolist() for name in task.config.clusters]


def _of_samples(model: nn.Module, samples: Samples) -> NDArray[np.float64]:
    batches: list[Batch] = []
    for x in in_batches(samples.x):
        keep = tokens_of(model, x)
        batches.append(x if keep is None else (x, keep))
    return expert_relevance(model, batches)


def _checked(keep: Tensor, chosen: Tensor) -> Tensor:
    if keep.dtype != torch.bool or keep.shape != chosen.shape[:-1]:
        raise ValueError(
            f"keep is {keep.dtype} of shape {tuple(keep.shape)}; "
            f"give bool of the tokens' shape {tuple(chosen.shape[:-1])}"
        )
    return keep
