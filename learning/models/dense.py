"""Training a few modules of one model on one machine: what the server does before the start."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from learning.streams import stream

Loss = Callable[[Tensor], Tensor]

EMBEDDING_STD = 0.02


def initialise(model: nn.Module, seed: int, wanted: Collection[str]) -> dict[str, Tensor]:
    """Draw the parameters ``wanted`` of ``model`` by path, one named stream each.

    Matrices, kernels and their biases are drawn from U(-1/sqrt(in), 1/sqrt(in)) with in inputs to
    an output, embeddings from N(0, 0.02^2). Vectors called weight, those of norms, are 1.
    """
    drawn = {}
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if (full := f"{path}.{name}".lstrip(".")) in wanted:
                rng = stream(seed, "init", path, name)
                drawn[full] = torch.from_numpy(_draw(module, name, parameter.shape, rng))
    return drawn


def _draw(
    module: nn.Module, name: str, shape: torch.Size, rng: np.random.Generator
) -> NDArray[np.float32]:
    weight = getattr(module, "weight", None)
    if weight is None:
        return np.asarray(rng.normal(0.0, EMBEDDING_STD, shape), np.float32)
    if weight.dim() < 2:
        value = 1.0 if name == "weight" else 0.0
        return np.full(shape, value, np.float32)
    if isinstance(module, nn.Embedding):
        return np.asarray(rng.normal(0.0, EMBEDDING_STD, shape), np.float32)
    bound = math.prod(weight.shape[1:]) ** -0.5
    return np.asarray(rng.uniform(-bound, bound, shape), np.float32)


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
        # What a model of one's own does not use has no gradient: it stands still.
        gradients = torch.autograd.grad(
            loss(rows), moved, allow_unused=True, materialize_grads=True
        )
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
