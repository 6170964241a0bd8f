"""Minibatches, gradients and SGD: the one gradient descent of all local training.

Devices of a cluster are trained all at once, over stacked tensors, or one after another where a
model is too large for that.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import vmap

from learning.models.stacked import Tensors, by_row
from learning.rng import draw_below, stream
from learning.training.optimizers import (
    Optimizer,
    Rate,
    Slots,
    of_devices,
    remembered,
    step_size_factor,
)
from learning.training.recipe import CONSTANT, Counts, Recipe
from learning.training.task import Task
from learning.values.store import ALIGNMENT_BYTES

# An operation without a rule of its own runs device by device: that is what is wanted then.
warnings.filterwarnings("ignore", "There is a performance drop because we have not yet")

T = TypeVar("T")
Batch = tuple[Tensor, ...]
"""What a loss takes beside the tensors: inputs and labels of one minibatch, for example."""
Loss = Callable[[Tensors], Callable[..., Tensor]]
"""``loss(tensors)(*batch)`` is the mean loss of a minibatch, summed over devices that are stacked.

The tensors change in place between two batches. What goes back through the loss may need the model
with them again, as where activations are computed anew: such a loss is :class:`Holding`.
"""


@dataclass(frozen=True)
class Holding:
    """The ``loss`` of a minibatch; ``held(call)`` makes a call while the model has its tensors."""

    loss: Callable[..., Tensor]
    held: Callable[[Callable[[], Any]], Any]

    def __call__(self, *batch: Tensor) -> Tensor:
        """Return the loss of a minibatch."""
        return self.loss(*batch)


def held(loss_of: Callable[..., Tensor], call: Callable[[], T]) -> T:
    """Return what a call gives that is made while a model, if any, has the tensors of its loss."""
    if not isinstance(loss_of, Holding):
        return call()
    found: T = loss_of.held(call)
    return found


def each(loss: Callable[..., Tensor], *, together: bool) -> Loss:
    """Return ``loss(tensors, *batch)`` of one device for one, or for all that are ``together``."""

    def of_all(tensors: Tensors, *batch: Tensor) -> Tensor:
        return vmap(loss)(tensors, *batch).sum()

    return lambda tensors: partial(of_all if together else loss, tensors)


Rounds = Sequence[Sequence[int | None]]
"""Numbers of the rounds of some devices, (R, K): each device's own; None for one at rest."""
Draw = Callable[[Sequence[int], Rounds], Iterable[Batch]]
"""The minibatches of ``draw(devices, rounds)``, some steps at a time, stacked (S, K, ...)."""


@dataclass(frozen=True)
class Problem:
    """What is minimised: the ``loss`` of minibatches that ``draw`` draws.

    The loss gets what is ``frozen`` (K, ...) with the tensors that are trained. Of these it changes
    ``buffers`` itself, in place, and no gradient moves them; those of ``gates`` have a step size of
    their own. ``together`` calls it with ``devices`` (by default those that train) at once, where
    one that has done its rounds stands still, else with one after another: the same but for
    rounding.
    """

    draw: Draw
    loss: Loss
    together: bool
    frozen: Tensors = field(default_factory=dict)
    buffers: Collection[str] = ()
    gates: Collection[str] = ()
    devices: Sequence[int] | None = None


class Trained(NamedTuple):
    """What training has made of tensors (K, ...), and what the optimiser remembers of them."""

    tensors: dict[str, Tensor]
    memory: Slots


def train(
    tensors: Tensors,
    problem: Problem,
    recipe: Recipe,
    rounds: Counts,
    first_round: Counts,
    memory: Mapping[str, Tensors] | None = None,
) -> Trained:
    """Train stacked ``tensors`` (K, ...): device k for ``rounds[k]`` from ``first_round[k]`` on.

    ``memory`` is what the optimiser remembers (:mod:`learning.training.optimizers`), without it the
    optimiser begins anew. Rounds trained in several calls that hand it on equal those trained in
    one, bit for bit. Raises ValueError for counts that do not fit.
    """
    _check_counts(tensors, rounds, first_round)
    devices = problem.devices
    if devices is None:
        devices = [device for device, count in enumerate(rounds) if count]
    trained = {name: tensor.clone() for name, tensor in tensors.items()}
    free = {name: tensor for name, tensor in tensors.items() if name not in problem.buffers}
    slots = remembered(recipe.optimizer, free, memory or {})
    sizes = dict.fromkeys(free, recipe.step_size)
    for name in problem.gates:
        sizes[name] = recipe.step_size * recipe.gate_step_size_ratio
    all_rows = slice(None) if len(devices) == len(rounds) else list(devices)
    each_alone = [(slice(k, k + 1), [k]) for k in devices]
    for index, members in [(all_rows, devices)] if problem.together else each_alone:
        rows = {name: tensor[index] for name, tensor in trained.items()}
        frozen = {name: tensor[index] for name, tensor in problem.frozen.items()}
        known = {slot: {n: t[index] for n, t in part.items()} for slot, part in slots.items()}
        kept = {name: rows.pop(name) for name in problem.buffers}
        steps = _steps(problem.draw, members, rounds, first_round, recipe.steps_per_round)
        gradient = _gradient(problem, rows, {**frozen, **kept}, recipe)
        _descend(rows, steps, gradient, recipe, sizes, kept, known)
        if isinstance(index, list):  # copies, and no views
            for name, moved in {**rows, **kept}.items():
                trained[name][index] = moved
            for slot, part in known.items():
                for name, moved in part.items():
                    slots[slot][name][index] = moved
    return Trained(trained, slots)


Gradient = Callable[[Batch], Tensors]
"""The gradient of each device's own loss by name: of all devices, or of one."""


def _gradient(problem: Problem, tensors: Tensors, own: Tensors, recipe: Recipe) -> Gradient:
    """Return the gradient by ``tensors`` as they are at each call, beside ``own`` frozen ones."""
    together = problem.together
    if not together:
        tensors = {name: tensor[0] for name, tensor in tensors.items()}
        own = {name: tensor[0] for name, tensor in own.items()}
    leaves = _leaves(tensors)
    size = recipe.micro_batch
    loss_of = problem.loss({**own, **leaves})

    def by_leaves(batch: Batch, share: float) -> Tensors:
        given = batch if together else [part[0] for part in batch]

        def found() -> Tensors:
            value = loss_of(*given)
            return _by(leaves, value if share == 1.0 else share * value)

        return held(loss_of, found)

    def of(batch: Batch) -> Tensors:
        if size is None:
            found = by_leaves(batch, 1.0)
        else:
            found = {}
            for piece in zip(*(torch.split(part, size, 1) for part in batch), strict=True):
                # Each piece counts by its samples, so that the sum is the gradient of the mean.
                share = piece[-1].shape[1] / batch[-1].shape[1]
                part = by_leaves(piece, share)
                found = {n: found[n] + g for n, g in part.items()} if found else part
        stacked = found if together else {name: gradient[None] for name, gradient in found.items()}
        return _clipped(stacked, recipe.clip_norm)

    return of


def gradients(
    tensors: Tensors, batch: Batch, loss: Loss, frozen: Tensors | None = None
) -> dict[str, Tensor]:
    """Return the gradient of the loss of ``batch`` by name, each device's own if there are some."""
    leaves = _leaves(tensors)
    loss_of = loss({**(frozen or {}), **leaves})
    return held(loss_of, lambda: _by(leaves, loss_of(*batch)))


def _leaves(tensors: Tensors) -> dict[str, Tensor]:
    """Return the tensors, in the same memory, as what a gradient is taken by."""
    return {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}


def _by(leaves: Tensors, value: Tensor) -> dict[str, Tensor]:
    """Return the gradient of ``value`` by the leaves.

    It is zero where the batch does not reach: an expert that no token was routed to.
    """
    if not value.requires_grad:
        return {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    wanted = list(leaves.values())
    found = torch.autograd.grad(value, wanted, allow_unused=True, materialize_grads=True)
    return dict(zip(leaves, found, strict=True))


Step = tuple[Batch, Sequence[bool], Sequence[int]]
"""A minibatch of some devices, which of them train on it, and the numbers of their rounds."""


def _steps(
    draw: Draw, devices: Sequence[int], rounds: Counts, first_round: Counts, each: int
) -> Iterator[Step]:
    """Draw ``each`` round's minibatches of ``devices`` until the last has done its rounds."""
    indices = range(max((rounds[k] for k in devices), default=0))
    training = [[index < rounds[k] for k in devices] for index in indices]
    counted = [[first_round[k] + index for k in devices] for index in indices]
    numbers = [
        [number if trains else None for number, trains in zip(*of_round, strict=True)]
        for of_round in zip(counted, training, strict=True)
    ]
    of_steps = (one for one in zip(training, counted, strict=True) for _ in range(each))
    some = draw(devices, numbers) if numbers else ()
    batches = (batch for parts in some for batch in zip(*map(torch.unbind, parts), strict=True))
    for batch, (trains, number) in zip(batches, of_steps, strict=True):
        yield batch, trains, number


def _descend(
    tensors: Tensors,
    steps: Iterable[Step],
    gradient: Gradient,
    recipe: Recipe,
    sizes: Mapping[str, float],
    buffers: Tensors,
    memory: Mapping[str, Tensors],
) -> None:
    """Move ``tensors`` in place, a step per minibatch; devices that do not train stand still.

    ``sizes`` are the step sizes by name. ``gradient`` changes the ``buffers`` itself, the optimiser
    its ``memory``.
    """
    optimizer = Optimizer(recipe.optimizer, memory)
    even = recipe.schedule == CONSTANT
    is_plain = recipe.optimizer.is_plain
    for batch, training, numbers in steps:
        rests = not all(training)
        # Whoever rests is put back: plain SGD is quicker with steps of zero.
        moving = [*buffers.values()]
        if not is_plain:
            moving += tensors.values()
            moving += (tensor for part in memory.values() for tensor in part.values())
        before = [(tensor, tensor.clone()) for tensor in moving] if rests else []
        found = gradient(batch)
        if rests and is_plain:
            found = {n: torch.where(by_row(training, g), g, 0.0) for n, g in found.items()}
        rates: Mapping[str, Rate] = sizes
        if not even:
            scales = [step_size_factor(recipe.schedule, number) for number in numbers]
            rates = {n: sizes[n] * of_devices(scales, t) for n, t in tensors.items()}
        optimizer.step(tensors, found, rates, training)
        for tensor, old in before:
            tensor.copy_(torch.where(by_row(training, old), tensor, old))
    optimizer.close()


def _clipped(gradients: Tensors, largest: float | None) -> Tensors:
    """Return the gradients (K, ...), those of a device scaled to the largest norm if above it."""
    if largest is None:
        return gradients
    squares = [gradient.flatten(1).square().sum(1) for gradient in gradients.values()]
    norm = torch.stack(squares).sum(0).sqrt()
    scale = largest / norm.clamp_min(largest)
    return {name: gradient * by_row(scale, gradient) for name, gradient in gradients.items()}


def _check_counts(tensors: Tensors, rounds: Counts, first_round: Counts) -> None:
    devices = len(next(iter(tensors.values())))
    for what, counts in (("rounds", rounds), ("first_round", first_round)):
        if len(counts) != devices or min(counts) < 0:
            raise ValueError(
                f"{what} is {tuple(counts)}; the cluster needs {devices} counts, 0 or more"
            )


# Minibatches of local training, drawn from named streams.


def rows_of_round(
    task: Task, cluster: str, devices: Sequence[int], numbers: Sequence[int | None]
) -> NDArray[np.int64]:
    """Return rows (K, steps, batch) of the cluster's samples in a round of ``devices``.

    ``numbers`` count each device's own rounds; a device at rest (None) gets its first sample. Rows
    of a device depend on the seed, the cluster, the device and its round, and on nothing else.
    """
    recipe = task.recipe
    shards = task.shards[cluster]
    sizes = np.array(shards.sizes)[list(devices)]
    starts = np.array(shards.starts)[list(devices)]
    at_rest = [number is None for number in numbers]
    each = [devices, [number or 0 for number in numbers]]
    count = recipe.steps_per_round * recipe.batch_size
    drawn = draw_below(sizes, count, task.config.seed, "batch", cluster, numbers=each)
    drawn[at_rest] = 0
    drawn += starts[:, None]
    return drawn.reshape(len(sizes), recipe.steps_per_round, recipe.batch_size)


def draw_of(task: Task, cluster: str, *parts: Tensor, draws: bool = False) -> Draw:
    """Return a draw of minibatches of ``parts`` (n, ...), given for all samples of the cluster."""

    def draw(devices: Sequence[int], rounds: Rounds) -> Iterator[Batch]:
        at_once = 1 if draws else _rounds_at_once(task, len(devices), parts)
        for first in range(0, len(rounds), at_once):
            some = rounds[first : first + at_once]
            if draws:  # what is minimised: devices are trained one by one
                rng = stream(task.config.seed, "dropout", cluster, devices[0], some[0][0])
                torch.manual_seed(int(rng.integers(2**63)))
            everybody = [*devices] * len(some)
            drawn = rows_of_round(task, cluster, everybody, [n for own in some for n in own])
            steps = drawn.reshape(len(some), len(devices), *drawn.shape[1:]).swapaxes(1, 2)
            # One copy to the device for all steps, and one gather for all devices.
            rows = torch.from_numpy(np.ascontiguousarray(steps)).to(task.device).flatten(0, 1)
            for given in [rows] if _fits_at_once(rows, parts) else torch.split(rows, 1):
                flat = given.flatten()
                yield tuple(p.index_select(0, flat).view(*given.shape, *p.shape[1:]) for p in parts)

    return draw


def _rounds_at_once(task: Task, devices: int, parts: Sequence[Tensor]) -> int:
    """Return of how many rounds the minibatches are drawn at once."""
    samples = devices * task.recipe.steps_per_round * task.recipe.batch_size
    return max(1, AT_ONCE_BYTES // (samples * max(part[0].nbytes for part in parts)))


AT_ONCE_BYTES = 1 << 22
"""Most bytes of a part of minibatches that are gathered at once."""


def _fits_at_once(rows: Tensor, parts: Sequence[Tensor]) -> bool:
    """Whether minibatches (steps, K, n) are gathered at once.

    Each must begin where torch would place it, as rounding may depend on that.
    """
    samples = rows[0].numel()
    sizes = [samples * part[0].nbytes for part in parts]
    return all(n % ALIGNMENT_BYTES == 0 and n * len(rows) <= AT_ONCE_BYTES for n in sizes)
