"""What the experts of a device do on its own data: the samples they serve, and how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from learning.device_state import model_of_device
from learning.models.routing import forward_with_routing, tokens_of
from learning.task import Samples, Task, in_batches


class Served(TypedDict):
    """Of each device and expert (K, E): ``samples`` served, ``accuracy`` 0..1 and ``loss`` in nats.

    The last two are means over those samples, and 0 where there are none.
    """

    samples: list[list[int]]
    accuracy: list[list[float]]
    loss: list[list[float]]


def usage(
    task: Task,
    state: Mapping[str, Tensor],
    cluster: str,
    reach: Sequence[Sequence[bool]],
) -> Served:
    """Run every device's model over its own samples, its gate kept to ``reach`` (K, E).

    An expert serves a sample if the gate gives it a weight above 0 for any of its tokens in any
    layer. Devices with nothing in reach have served nothing.
    """
    found = Served(samples=[], accuracy=[], loss=[])
    for device, row in enumerate(reach):
        held = tuple(expert for expert, here in enumerate(row) if here)
        counts = torch.zeros(3, len(row), dtype=torch.float64)
        if held:
            model = task.model(model_of_device(task, state, device), held)
            counts = _counts(model, task.shards[cluster].of(device), len(row))
        served = counts[0].clamp(min=1)
        found["samples"].append(counts[0].long().tolist())
        found["accuracy"].append((counts[1] / served).tolist())
        found["loss"].append((counts[2] / served).tolist())
    return found


def _counts(model: nn.Module, samples: Samples, experts: int) -> Tensor:
    """Return samples, right answers and summed losses (3, E) of every expert."""
    total = torch.zeros(3, experts, dtype=torch.float64)
    parts = in_batches(samples.x)
    labels = torch.split(samples.y, [len(x) for x in parts])
    for x, y in zip(parts, labels, strict=True):
        with torch.no_grad():
            logits, routings = forward_with_routing(model, x)
        keep = tokens_of(model, x)
        served = torch.stack([_served(routing.weight, keep) for routing in routings]).any(0)
        loss = functional.cross_entropy(logits.double(), y, reduction="none")
        right = (logits.argmax(-1) == y).double()
        each = torch.stack([torch.ones_like(loss), right, loss])
        total += (each @ served.double()).cpu()
    return total


def _served(weight: Tensor, keep: Tensor | None) -> Tensor:
    """Return which experts (n, E) serve which samples, from weights (n, ..., E)."""
    used = weight > 0
    if keep is not None:
        used = used & keep[..., None]
    return used if used.dim() == 2 else used.flatten(1, -2).any(1)
