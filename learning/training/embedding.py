"""Embedding: samples as what comes before the first layer of experts makes of them, kept once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from learning.architecture.footprint import LARGEST_OF_BLOCKS
from learning.architecture.kinds import trains_blocks
from learning.models.stacked import Tensors, with_tensors
from learning.training.task import Task, in_batches, rows_like

LARGEST_BYTES = 1 << 26
"""Most that is kept of some embedded samples of a small model."""


def embedded(
    task: Task, model: nn.Module, backbone: Tensors, name: str, x: Tensor, drawn: int = 0
) -> tuple[Tensor, ...]:
    """Return samples ``x`` of this ``name`` as what comes before the experts makes of them.

    ``model`` is run with the tensors of the ``backbone``, by path. Samples are returned as they are
    where that is trained, where it is computed for fewer of them (``drawn``) in a round, and where
    too much would have to be kept.
    """
    if name in task.embedded:
        return task.embedded[name]
    always = getattr(model, "embeds_always", False)
    if trains_blocks(task.config) or not hasattr(model, "before_experts"):
        return (x,)
    if drawn < len(x) and not always:
        return (x,)
    run: Any = with_tensors(model, backbone)
    made = _made(run.before_experts, x, LARGEST_OF_BLOCKS if always else LARGEST_BYTES)
    if made is None:
        task.embedded[name] = (x,)
    else:
        task.embedded[name] = made
        task.lent.add(dict(enumerate(made)))
    return task.embedded[name]


def in_parts(given: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
    """Split what :func:`embedded` returns into batches for evaluation."""
    rows = rows_like(given[-1])
    return list(zip(*(torch.split(part, rows) for part in given), strict=True))


def trial_of(task: Task, model: nn.Module, cluster: str) -> tuple[Tensor, ...]:
    """Return a cluster's trial samples as :func:`embedded` does, for a model that is whole."""
    return embedded(task, model, {}, f"trial of {cluster}", task.trial[cluster].x)


def _made(
    run: Callable[[Tensor], tuple[Tensor, ...] | None], x: Tensor, largest: int
) -> tuple[Tensor, ...] | None:
    """Return what a model makes of samples before its experts; None for more bytes than that."""
    made: list[tuple[Tensor, ...]] = []
    with torch.inference_mode(mode=False), torch.no_grad():  # tensors that training may use
        for part in in_batches(x):
            found = run(part)
            if found is None or sum(t.nbytes for t in found) * len(x) > largest * len(part):
                return None
            made.append(found)
    return tuple(map(torch.cat, zip(*made, strict=True)))
