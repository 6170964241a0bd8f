"""Optimisers of local training over stacked tensors: SGD, Adam, AdamW and RMSprop.

A step is that of ``torch.optim``, taken for each device by itself: devices may have taken different
numbers of steps, and their learning rates may differ. What an optimiser remembers of a tensor are
its slots, tensors of the same shape (K, ...), and for Adam a count of steps (K,).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from learning import settings
from learning.models.stacked import Tensors, by_row

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
        one = self._along if self.config.is_plain else partial(self._step, training=training)
        for name, tensor in tensors.items():
            one(name, tensor, gradients[name], rates[name])

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
