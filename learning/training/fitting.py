"""Training of a few modules of one model on one machine: what the server does before the start."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learning import settings
from learning.models.objective import Classes, NextTokens, Objective
from learning.training.optimizers import Optimizer, remembered
from learning.training.task import Samples

Loss = Callable[[Tensor, Tensor], Tensor]
"""What some rows of a minibatch add to the loss of a model on the whole of it."""


def task_loss(model: nn.Module, samples: Samples, objective: Objective) -> Loss:
    """Return the loss of ``model`` as a function of row indices into ``samples``."""

    def loss(rows: Tensor, whole: Tensor) -> Tensor:
        x, y, _ = samples.at(rows)
        share = objective.share(y, samples.y[whole])
        return objective.mean(model(x), y, x) * share

    return loss


Descent = tuple[settings.Optimizer, float]
"""An optimiser, and its step size."""
PLAIN: Descent = settings.Optimizer(), 0.1
ADAM: Descent = settings.Optimizer("adam"), 1e-2


def descent_for(objective: Objective) -> Descent:
    """Return how an objective is pre-trained.

    A cross-entropy in nats has one scale, and plain descent holds. The scale of any other loss is
    that of its targets, which Adam's steps do not depend on.
    """
    return PLAIN if isinstance(objective, Classes | NextTokens) else ADAM


def fit(
    parameters: Iterable[Tensor],
    descent: Descent,
    loss: Loss,
    batches: NDArray[np.int64],
    at_once: int,
) -> None:
    """Take a step of the parameters, in place, for each row of indices in ``batches``.

    Gradients are computed over so many samples ``at_once``, and added up.
    """
    moved = list(parameters)
    config, step_size = descent
    # In the memory of the parameters, as those of one device.
    stacked = {str(number): parameter.detach()[None] for number, parameter in enumerate(moved)}
    optimizer = Optimizer(config, remembered(config, stacked, {}))
    rates = dict.fromkeys(stacked, step_size)
    for whole in torch.from_numpy(batches):
        gradients: list[Tensor] = []
        for rows in whole.split(at_once):
            # What a custom model does not use has no gradient: it does not move.
            more = torch.autograd.grad(
                loss(rows, whole), moved, allow_unused=True, materialize_grads=True
            )
            gradients = [*map(torch.add, gradients, more)] or list(more)
        named = {name: part[None] for name, part in zip(stacked, gradients, strict=True)}
        optimizer.step(stacked, named, rates, [True])
