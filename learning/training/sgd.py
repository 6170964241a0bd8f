"""Minibatches, gradients and steps: the one gradient descent of all local training.

Devices of a cluster are trained all at once, over stacked tensors, or one after another where a
model is too large for that. A step is one of ``torch.optim``, taken for each device by itself:
devices may have taken different numbers of steps, and their learning rates may differ.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import vmap

from learning import settings
from learning.models.stacked import Tensors, by_row
from learning.rng import draw_below, stream
from learning.training.recipe import Counts
from learning.training.task import Task

# An operation without a rule of its own runs device by device: that is what is wanted then.
warnings.filterwarnings("ignore", "There is a performance drop because we have not yet")

Batch = tuple[Tensor, ...]
"""What a loss takes beside the tensors: inputs and labels of one minibatch, for example."""
Loss = Callable[..., Tensor]
"""``loss(tensors, *batch)`` is the mean loss of a minibatch of one device."""
Within = Callable[[Tensors, Callable[[], Tensors]], Tensors]
"""``within(tensors, call)`` makes a call while a module has the tensors.

What goes back through the loss may need them there, as where activations are computed anew.
"""
Rounds = Sequence[Sequence[int | None]]
"""Numbers of the rounds of some devices, (R, K): each device's own; None for one at rest."""
Draw = Callable[[Sequence[int], Rounds], Iterable[Batch]]
"""The minibatches of ``draw(devices, rounds)``, (K, ...) of each step."""


@dataclass(frozen=True)
class Problem:
    """What is minimised: the ``loss`` of minibatches that ``draw`` draws.

    The loss is that of one device. It gets what is ``frozen`` (K, ...) with the tensors that are
    trained. Of these it changes ``buffers`` itself, in place, and no gradient moves them; those of
    ``gates`` have a step size of their own. ``together`` it is called for ``devices`` (by default
    those that train) at once, where one that has done its rounds stands still, else for one after
    another, ``within`` what the loss says: the same but for rounding.
    """

    draw: Draw
    loss: Loss
    together: bool
    frozen: Tensors = field(default_factory=dict)
    buffers: Collection[str] = ()
    gates: Collection[str] = ()
    devices: Sequence[int] | None = None
    within: Within | None = None


class Trained(NamedTuple):
    """What training has made of tensors (K, ...), and what the optimiser remembers of them."""

    tensors: dict[str, Tensor]
    memory: Slots


def train(
    tensors: Tensors,
    problem: Problem,
    how: settings.Training,
    rounds: Counts,
    first_round: Counts,
    memory: Mapping[str, Tensors] | None = None,
) -> Trained:
    """Train stacked ``tensors`` (K, ...): device k for ``rounds[k]`` from ``first_round[k]`` on.

    ``how`` says by which steps, on minibatches of which size. ``memory`` is what the optimiser
    remembers, without it the optimiser begins anew. Rounds trained in several calls that hand it on
    equal those trained in one, bit for bit. Raises ValueError for counts that do not fit.
    """
    _check_counts(tensors, rounds, first_round)
    devices = problem.devices
    if devices is None:
        devices = [device for device, count in enumerate(rounds) if count]
    trained = {name: tensor.clone() for name, tensor in tensors.items()}
    free = {name: tensor for name, tensor in tensors.items() if name not in problem.buffers}
    slots = remembered(how.optimizer, free, memory or {})
    sizes = dict.fromkeys(free, how.step_size)
    for name in problem.gates:
        sizes[name] = how.step_size * how.gate_step_size_ratio
    all_rows = slice(None) if len(devices) == len(rounds) else list(devices)
    each_alone = [(slice(k, k + 1), [k]) for k in devices]
    for index, members in [(all_rows, devices)] if problem.together else each_alone:
        rows = {name: tensor[index] for name, tensor in trained.items()}
        frozen = {name: tensor[index] for name, tensor in problem.frozen.items()}
        known = {slot: {n: t[index] for n, t in part.items()} for slot, part in slots.items()}
        kept = {name: rows.pop(name) for name in problem.buffers}
        steps = _steps(problem.draw, members, rounds, first_round, how.steps_per_round)
        gradient = _gradient(problem, rows, {**frozen, **kept}, how)
        _descend(rows, steps, gradient, how, sizes, kept, known)
        if isinstance(index, list):  # copies, and no views
            for name, moved in {**rows, **kept}.items():
                trained[name][index] = moved
            for slot, part in known.items():
                for name, moved in part.items():
                    slots[slot][name][index] = moved
    return Trained(trained, slots)


def plain_sgd(
    how: settings.Training,
    step_size: float,
    momentum: float = 0.0,
    clip_norm: float | None = None,
) -> settings.Training:
    """Return settings of SGD of a constant step size, on minibatches of which each is whole."""
    return replace(
        how,
        step_size=step_size,
        optimizer=settings.Optimizer(momentum=momentum),
        schedule=settings.Schedule(),
        clip_norm=clip_norm,
        micro_batch=None,
    )


Gradient = Callable[[Batch], Tensors]
"""The gradient of each device's own loss by name: of all devices, or of one."""


def _gradient(problem: Problem, tensors: Tensors, own: Tensors, how: settings.Training) -> Gradient:
    """Return the gradient by ``tensors`` as they are at each call, beside ``own`` frozen ones."""
    together = problem.together
    if not together:
        tensors = {name: tensor[0] for name, tensor in tensors.items()}
        own = {name: tensor[0] for name, tensor in own.items()}
    size = how.micro_batch

    def by_share(batch: Batch, share: float) -> Tensors:
        given = batch if together else tuple(part[0] for part in batch)
        return gradients(
            tensors,
            given,
            problem.loss,
            together=together,
            frozen=own,
            within=problem.within,
            share=share,
        )

    def of(batch: Batch) -> Tensors:
        if size is None:
            found = by_share(batch, 1.0)
        else:
            found = {}
            for piece in zip(*(torch.split(part, size, 1) for part in batch), strict=True):
                # Each piece counts by its samples, so that the sum is the gradient of the mean.
                share = piece[-1].shape[1] / batch[-1].shape[1]
                part = by_share(piece, share)
                found = {n: found[n] + g for n, g in part.items()} if found else part
        stacked = found if together else {name: gradient[None] for name, gradient in found.items()}
        return _clipped(stacked, how.clip_norm)

    return of


def gradients(
    tensors: Tensors,
    batch: Batch,
    loss: Loss,
    *,
    together: bool,
    frozen: Tensors | None = None,
    within: Within | None = None,
    share: float = 1.0,
) -> Tensors:
    """Return the gradient of a ``share`` of the loss of ``batch``, by name.

    Of devices ``together``, (K, ...), it is that of each by its own tensors.
    """
    # In the memory of the tensors, which change in place.
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}
    whole = {**(frozen or {}), **leaves}

    def found() -> Tensors:
        value = vmap(loss)(whole, *batch).sum() if together else loss(whole, *batch)
        return gradient_by(leaves, value if share == 1.0 else share * value)

    return found() if within is None else within(whole, found)


def gradient_by(leaves: Tensors, value: Tensor) -> dict[str, Tensor]:
    """Return the gradient of ``value`` by the leaves that it was computed from.

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
    batches = draw(devices, numbers) if numbers else ()
    for batch, (trains, number) in zip(batches, of_steps, strict=True):
        yield batch, trains, number


def _descend(
    tensors: Tensors,
    steps: Iterable[Step],
    gradient: Gradient,
    how: settings.Training,
    sizes: Mapping[str, float],
    buffers: Tensors,
    memory: Mapping[str, Tensors],
) -> None:
    """Move ``tensors`` in place, a step per minibatch; devices that do not train stand still.

    ``sizes`` are the step sizes by name. ``gradient`` changes the ``buffers`` itself, the optimiser
    its ``memory``.
    """
    optimizer = Optimizer(how.optimizer, memory)
    even = how.schedule == settings.Schedule()
    moving = [*buffers.values(), *tensors.values()]
    moving += (tensor for part in memory.values() for tensor in part.values())
    for batch, training, numbers in steps:
        # Whoever rests is put back.
        before = [] if all(training) else [(tensor, tensor.clone()) for tensor in moving]
        found = gradient(batch)
        rates: Mapping[str, Rate] = sizes
        if not even:
            scales = [step_size_factor(how.schedule, number) for number in numbers]
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
    how = task.config
    shards = task.shards[cluster]
    sizes = np.array(shards.sizes)[list(devices)]
    starts = np.array(shards.starts)[list(devices)]
    at_rest = [number is None for number in numbers]
    each = [devices, [number or 0 for number in numbers]]
    count = how.steps_per_round * how.batch_size
    drawn = draw_below(sizes, count, task.config.seed, "batch", cluster, numbers=each)
    drawn[at_rest] = 0
    drawn += starts[:, None]
    return drawn.reshape(len(sizes), how.steps_per_round, how.batch_size)


def draw_of(task: Task, cluster: str, *parts: Tensor, draws: bool = False) -> Draw:
    """Return a draw of minibatches of ``parts`` (n, ...), given for all samples of the cluster."""

    def draw(devices: Sequence[int], rounds: Rounds) -> Iterator[Batch]:
        for numbers in rounds:
            if draws:  # what is minimised: devices are trained one by one
                rng = stream(task.config.seed, "dropout", cluster, devices[0], numbers[0])
                torch.manual_seed(int(rng.integers(2**63)))
            drawn = rows_of_round(task, cluster, devices, numbers)
            # One copy to the device for all steps of the round.
            for rows in torch.from_numpy(drawn).to(task.device).unbind(1):
                flat = rows.flatten()
                yield tuple(p.index_select(0, flat).view(*rows.shape, *p.shape[1:]) for p in parts)

    return draw


RMS_DECAY = 0.99
"""Decay of the square of RMSprop, ``alpha`` in torch, which has the same."""
STEPS = "steps"
"""The slot of the count of steps."""

Slots = dict[str, dict[str, Tensor]]
"""What is remembered, by slot and by name of the tensor."""
Rate = float | Tensor
"""A learning rate: one for all, or (K, 1, ...) for devices whose rates differ."""


def remembered(
    optimizer: settings.Optimizer, tensors: Tensors, before: Mapping[str, Tensors]
) -> Slots:
    """Return copies of what is remembered of ``tensors`` (K, ...).

    What ``before`` does not hold begins at zero.
    """
    known: Slots = {slot: {} for slot in optimizer.slots}
    if optimizer.counts_steps:
        known[STEPS] = {}
    for slot, part in known.items():
        past = before.get(slot, {})
        for name, tensor in tensors.items():
            if name in past:
                part[name] = past[name].clone()
            elif slot == STEPS:
                part[name] = torch.zeros(len(tensor), dtype=torch.int64, device=tensor.device)
            else:
                part[name] = torch.zeros_like(tensor)
    return known


@dataclass
class Optimizer:
    """Moves tensors of some devices, (K, ...), or of one, in place, and what it remembers too.

    ``memory`` is as :func:`remembered` makes it; call :meth:`close` to count the steps in it.
    """

    config: settings.Optimizer
    memory: Mapping[str, Tensors]

    def __post_init__(self) -> None:
        taken = self.memory.get(STEPS, {})
        self._counts = {name: counts.reshape(-1).tolist() for name, counts in taken.items()}

    def step(
        self,
        tensors: Tensors,
        gradients: Tensors,
        rates: Mapping[str, Rate],
        training: Sequence[bool],
    ) -> None:
        """Take one step of ``tensors`` by their gradients, at the ``rates`` by name.

        Devices that rest must be put back after.
        """
        for name, tensor in tensors.items():
            self._step(name, tensor, gradients[name], rates[name], training)

    def _step(
        self, name: str, tensor: Tensor, gradient: Tensor, rate: Rate, training: Sequence[bool]
    ) -> None:
        config = self.config
        if config.kind == "adamw":
            tensor.mul_(1.0 - rate * config.weight_decay)
        elif config.weight_decay:
            gradient = gradient.add(tensor, alpha=config.weight_decay)
        match config.kind:
            case "adam" | "adamw":
                self._adam(name, tensor, gradient, rate, training)
            case "rmsprop":
                square = self.memory["square"][name]
                square.mul_(RMS_DECAY).addcmul_(gradient, gradient, value=1.0 - RMS_DECAY)
                self._along(name, tensor, gradient / square.sqrt().add_(config.eps), rate)
            case _:
                self._along(name, tensor, gradient, rate)

    def _along(self, name: str, tensor: Tensor, direction: Tensor, rate: Rate) -> None:
        """Move along a direction, or along its velocity with momentum."""
        if self.config.momentum:
            velocity = self.memory["velocity"][name]
            torch.add(direction, velocity, alpha=self.config.momentum, out=velocity)
            if self.config.nesterov:
                direction = direction.add(velocity, alpha=self.config.momentum)
            else:
                direction = velocity
        if isinstance(rate, float):
            tensor.sub_(direction, alpha=rate)
        else:
            tensor.sub_(rate * direction)

    def _adam(
        self, name: str, tensor: Tensor, gradient: Tensor, rate: Rate, training: Sequence[bool]
    ) -> None:
        """Kingma and Ba, Adam, ICLR 2015; Loshchilov and Hutter, AdamW, ICLR 2019."""
        (beta1, beta2), counts = self.config.betas, self._counts[name]
        for device, trains in enumerate(training):
            counts[device] += trains
        mean = self.memory["mean"][name]
        square = self.memory["square"][name]
        mean.lerp_(gradient, 1.0 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1.0 - beta2)
        taken = [max(1, count) for count in counts]  # one that has taken none rests
        first = of_devices([1.0 - beta1**count for count in taken], tensor)
        second = of_devices([math.sqrt(1.0 - beta2**count) for count in taken], tensor)
        # m / (sqrt(v) / s + eps) is s m / (sqrt(v) + s eps), which is one pass less.
        spread = square.sqrt().add_(self.config.eps * second)
        size = rate * second / first
        if isinstance(size, float):
            tensor.addcdiv_(mean, spread, value=-size)
        else:
            tensor.sub_(size * mean / spread)

    def close(self) -> None:
        """Write the counts of steps."""
        for name, counts in self._counts.items():
            kept = self.memory[STEPS][name]
            kept.copy_(torch.tensor(counts, dtype=torch.int64).view(kept.shape))


def of_devices(values: Sequence[float], like: Tensor) -> Rate:
    """Return one number if all devices' are equal, else (K, 1, ...) to be broadcast over ``like``.

    A single value is that of all rows.
    """
    if all(value == values[0] for value in values):
        return float(values[0])
    return by_row(torch.tensor(values, dtype=like.dtype, device=like.device), like)


def step_size_factor(schedule: settings.Schedule, number: int) -> float:
    """Return what the step size is multiplied by in a device's local round ``number``, from 0 on.

    ``step``: ``factor`` after every so many rounds; ``exponential``: ``factor`` a round; ``linear``
    and ``cosine`` (Loshchilov and Hutter, SGDR, ICLR 2017): from 1 to ``floor`` in so many
    ``rounds``. In the ``warmup_rounds`` before, it grows evenly to 1.
    """
    if number < schedule.warmup_rounds:
        return (number + 1) / (schedule.warmup_rounds + 1)
    number -= schedule.warmup_rounds
    rounds = schedule.rounds or 1
    factor = schedule.factor or 1.0
    part = min(1.0, number / rounds)
    match schedule.kind:
        case "step":
            return factor ** (number // rounds)
        case "exponential":
            return factor**number
        case "linear":
            return 1.0 - (1.0 - schedule.floor) * part
        case "cosine":
            return schedule.floor + (1.0 - schedule.floor) * (1.0 + math.cos(math.pi * part)) / 2
    return 1.0
