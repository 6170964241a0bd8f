"""Training of a few modules of one model on one machine: what the server does before the start."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from learning.models.objective import Classes, NextTokens, Objective
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


Step = Callable[[list[Tensor], list[Tensor]], None]
"""A step of an optimiser: parameters, which it moves in place, by their gradients."""


# Steps are those of torch.optim by its functions: to make one of its classes imports torch's
# compiler, which takes longer than a short run trains.


def sgd_step(step_size: float) -> Step:
    """Return the step of plain stochastic gradient descent."""

    def step(parameters: list[Tensor], gradients: list[Tensor]) -> None:
        sgd(
            parameters,
            gradients,
            momentum_buffer_list=[None] * len(parameters),
            weight_decay=0.0,
            momentum=0.0,
            lr=step_size,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )

    return step


class AdamSteps:
    """The steps of Adam with torch's own settings, by which ``parameters`` are moved."""

    def __init__(self, step_size: float, parameters: Iterable[Tensor]) -> None:
        self._step_size = step_size
        self._means = [torch.zeros_like(parameter) for parameter in parameters]
        self._squares = [torch.zeros_like(mean) for mean in self._means]
        self._steps = [torch.tensor(0.0) for _ in self._means]

    def __call__(self, parameters: list[Tensor], gradients: list[Tensor]) -> None:
        """Take one step."""
        adam(
            parameters,
            gradients,
            self._means,
            self._squares,
            max_exp_avg_sqs=[],
            state_steps=self._steps,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self._step_size,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )


STEP_SIZE, ADAM_STEP_SIZE = 0.1, 1e-2


def steps_of(objective: Objective, parameters: Iterable[Tensor]) -> Step:
    """Return the steps by which an objective is pre-trained.

    A cross-entropy in nats has one scale, and plain descent holds. The scale of any other loss is
    that of its targets, which Adam's steps do not depend on.
    """
    if isinstance(objective, Classes | NextTokens):
        return sgd_step(STEP_SIZE)
    return AdamSteps(ADAM_STEP_SIZE, parameters)


def fit(
    parameters: Iterable[Tensor], step: Step, loss: Loss, batches: NDArray[np.int64], at_once: int
) -> None:
    """Take a ``step`` of the parameters, in place, for each row of indices in ``batches``.

    Gradients are computed over so many samples ``at_once``, and added up.
    """
    moved = list(parameters)
    for whole in torch.from_numpy(batches):
        gradients: list[Tensor] = []
        for rows in whole.split(at_once):
            # What a custom model does not use has no gradient: it does not move.
            more = torch.autograd.grad(
                loss(rows, whole), moved, allow_unused=True, materialize_grads=True
            )
            gradients = [*map(torch.add, gradients, more)] or list(more)
        with torch.no_grad():
            step(moved, gradients)
