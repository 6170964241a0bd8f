"""Minibatches, gradients and SGD of the stages of NMoE, for all clients at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from learning.rng import stream
from learning.training.task import Task

Tensors = Mapping[str, Tensor]
Loss = Callable[..., Tensor]
"""Mean loss of ``(tensors, *batch)``, a scalar."""
Draw = Callable[[int, int | None], Sequence[tuple[Tensor, ...]]]
"""The batches of one round, ``draw(device, number)``; number None stands for a device at rest."""


@dataclass(frozen=True)
class Descent:
    """Step size, momentum and the norm that a device's whole gradient is clipped to, if any.

    ``ratios`` multiply the step size of tensors by name.
    """

    step_size: float
    momentum: float = 0.0
    largest_gradient: float | None = None
    ratios: Mapping[str, float] = field(default_factory=dict)


def train(
    tensors: Tensors,
    draw: Draw,
    loss: Loss,
    descent: Descent,
    rounds: Sequence[int],
    first_round: Sequence[int],
    together: bool,
) -> dict[str, Tensor]:
    """Train stacked ``tensors`` (K, ...): device k for ``rounds[k]`` from ``first_round[k]`` on.

    ``together`` runs all devices at once (one that has done its rounds stands still), else one
    after another: the same but for rounding. Momentum begins at zero. Without momentum rounds
    trained in several calls equal those trained in one, bit for bit. Raises ValueError for counts
    that do not fit.
    """
    _check_counts(tensors, rounds, first_round)
    if together:
        here = [device for device, count in enumerate(rounds) if count]
        moved = _together(tensors, draw, loss, descent, rounds, first_round, here)
        return {name: _with_rows(tensor, here, moved[name]) for name, tensor in tensors.items()}
    results = [
        _alone({n: t[k] for n, t in tensors.items()}, draw, loss, descent, k, first, count)
        for k, (count, first) in enumerate(zip(rounds, first_round, strict=True))
    ]
    return {name: torch.stack([own[name] for own in results]) for name in tensors}


def _alone(
    tensors: Tensors, draw: Draw, loss: Loss, descent: Descent, device: int, first: int, count: int
) -> dict[str, Tensor]:
    velocity: Tensors = {}
    for number in range(first, first + count):
        for batch in draw(device, number):
            leaves = {n: t.detach().requires_grad_() for n, t in tensors.items()}
            found = torch.autograd.grad(loss(leaves, *batch), list(leaves.values()))
            stacked = (gradient.unsqueeze(0) for gradient in found)
            gradients = {
                name: gradient.squeeze(0)
                for name, gradient in _clipped(dict(zip(leaves, stacked, strict=True)), descent)
            }
            tensors, velocity = step(tensors, velocity, gradients, descent)
    return dict(tensors)


def _together(
    tensors: Tensors,
    draw: Draw,
    loss: Loss,
    descent: Descent,
    rounds: Sequence[int],
    first_round: Sequence[int],
    here: Sequence[int],
) -> Tensors:
    """Return the rows of the devices in ``here``, which train at all, in step."""
    velocity: Tensors = {}
    tensors = {name: tensor[list(here)] for name, tensor in tensors.items()}
    for index in range(max(rounds)):
        training = [index < rounds[k] for k in here]
        drawn = [
            draw(k, first_round[k] + index if on else None)
            for k, on in zip(here, training, strict=True)
        ]
        for parts in zip(*drawn, strict=True):
            batch = tuple(torch.stack(tensor) for tensor in zip(*parts, strict=True))
            leaves = {n: t.detach().requires_grad_() for n, t in tensors.items()}
            total = vmap(loss)(leaves, *batch).sum()
            found = torch.autograd.grad(total, list(leaves.values()))
            gradients = dict(_clipped(dict(zip(leaves, found, strict=True)), descent))
            moved, velocity = step(tensors, velocity, gradients, descent)
            tensors = moved if all(training) else _where(training, moved, tensors)
    return tensors


def _with_rows(tensor: Tensor, here: Sequence[int], rows: Tensor) -> Tensor:
    """Return ``tensor`` (K, ...) with ``rows`` in the places of the devices in ``here``."""
    whole = tensor.clone()
    whole[list(here)] = rows
    return whole


def step(
    tensors: Tensors, velocity: Tensors, gradients: Tensors, descent: Descent
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return ``w - step_size v`` and ``v``, which is ``momentum v + gradient``."""
    moved, kept = {}, {}
    for name, tensor in tensors.items():
        speed = gradients[name]
        if descent.momentum and name in velocity:
            speed = torch.add(speed, velocity[name], alpha=descent.momentum)
        size = descent.step_size * descent.ratios.get(name, 1.0)
        moved[name] = torch.sub(tensor, speed, alpha=size)
        kept[name] = speed
    return moved, kept


def _clipped(gradients: Tensors, descent: Descent) -> list[tuple[str, Tensor]]:
    """Return the gradients (K, ...), those of a device scaled to the largest norm if above it."""
    if descent.largest_gradient is None:
        return list(gradients.items())
    squares = [gradient.flatten(1).square().sum(1) for gradient in gradients.values()]
    norm = torch.stack(squares).sum(0).sqrt()
    scale = descent.largest_gradient / norm.clamp_min(descent.largest_gradient)
    return [(n, g * scale.view(-1, *[1] * (g.dim() - 1))) for n, g in gradients.items()]


def _where(training: Sequence[bool], moved: Tensors, tensors: Tensors) -> dict[str, Tensor]:
    chosen = {}
    for name, tensor in moved.items():
        who = torch.tensor(training, device=tensor.device).view(-1, *[1] * (tensor.dim() - 1))
        chosen[name] = torch.where(who, tensor, tensors[name])
    return chosen


def _check_counts(tensors: Tensors, rounds: Sequence[int], first_round: Sequence[int]) -> None:
    devices = len(next(iter(tensors.values())))
    for what, counts in (("rounds", rounds), ("first_round", first_round)):
        if len(counts) != devices or min(counts) < 0:
            raise ValueError(f"{what} is {tuple(counts)}; give {devices} counts, 0 or more")


# Gradients of the local loss: of one device, and of all devices of a cluster at once.


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


# Minibatches of local training, drawn from named streams.


class Batch(NamedTuple):
    """Samples ``x`` ([K,] batch, ...) and labels ``y`` ([K,] batch)."""

    x: Tensor
    y: Tensor


def batches_of_round(
    task: Task, cluster: str, training: Sequence[bool], numbers: Sequence[int]
) -> list[Batch]:
    """Return the minibatches of one round, x (K, batch, ...) and y (K, batch), one a step.

    Device k draws from the stream of its own round number ``numbers[k]``. Devices that are not
    ``training`` get their first sample: shapes stay the same and nothing is drawn for them.
    """
    rows = np.stack(
        [
            rows_of_round(task, cluster, device, number if here else None)
            for device, (here, number) in enumerate(zip(training, numbers, strict=True))
        ]
    )
    return _batches(task, cluster, rows.swapaxes(0, 1))


def batches_of_device(task: Task, cluster: str, device: int, number: int) -> list[Batch]:
    """Return the minibatches of one device's round, x (batch, ...) and y (batch,), one a step."""
    return _batches(task, cluster, rows_of_round(task, cluster, device, number))


def rows_of_round(task: Task, cluster: str, device: int, number: int | None) -> NDArray[np.int64]:
    """Return rows (steps, batch) of the cluster's samples; None for a device that rests."""
    config, shards = task.config, task.shards[cluster]
    shape = (config.steps_per_round, config.batch_size)
    if number is None:
        return np.full(shape, shards.starts[device])
    rng = stream(config.seed, "batch", cluster, device, number)
    return shards.starts[device] + rng.integers(0, shards.sizes[device], shape)


def _batches(task: Task, cluster: str, rows: NDArray[np.int64]) -> list[Batch]:
    samples = task.shards[cluster].samples
    steps = torch.from_numpy(np.ascontiguousarray(rows)).to(task.device)
    return [Batch(samples.x[step], samples.y[step]) for step in steps]
