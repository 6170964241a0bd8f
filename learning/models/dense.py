"""Training a few modules of one model on one machine: what the server does before the start."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from learning.streams import stream

Loss = Callable[[Tensor], Tensor]


def initialise(model: nn.Module, seed: int) -> None:
    """Draw every matrix and bias from U(-1/sqrt(in), 1/sqrt(in)), one stream a tensor.

    Norms start as the identity.
    """
    for path, module in model.named_modules():
        if isinstance(module, nn.LayerNorm):
            module.reset_parameters()
            continue
        parameters = dict(module.named_parameters(recurse=False))
        for name, parameter in parameters.items():
            bound = parameters["weight"].shape[-1] ** -0.5
            draw = stream(seed, "init", path, name).uniform(-bound, bound, parameter.shape)
            parameter.data.copy_(torch.from_numpy(draw))


def task_loss(model: nn.Module, x: Tensor, y: Tensor) -> Loss:
    """Return the cross-entropy of ``model`` as a function of row indices into ``x`` and ``y``."""
    return lambda rows: functional.cross_entropy(model(x[rows]), y[rows])


def fit(
    parameters: Iterable[nn.Parameter],
    loss: Loss,
    batches: Iterable[Tensor],
    optimiser: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
) -> None:
    """Take one step on ``parameters``, in place, for each batch of row indices."""
    moved = list(parameters)
    steps = optimiser(moved)
    for rows in batches:
        gradients = torch.autograd.grad(loss(rows), moved)
        for parameter, gradient in zip(moved, gradients, strict=True):
            parameter.grad = gradient
        steps.step()


def draw_batches(
    rng: np.random.Generator, samples: int, steps: int, batch_size: int
) -> Iterable[Tensor]:
    """Draw row indices of ``steps`` minibatches out of ``samples``, with replacement."""
    return torch.from_numpy(rng.integers(0, samples, (steps, batch_size))).unbind()


def sgd(step_size: float) -> Callable[[list[nn.Parameter]], torch.optim.Optimizer]:
    """Return the maker of a plain gradient descent of ``step_size``."""
    return lambda parameters: torch.optim.SGD(parameters, lr=step_size)
