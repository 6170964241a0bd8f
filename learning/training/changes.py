"""Changes of models as tensors of their own: none, those of devices, and whole models of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from learning.models.interface import ADDED_A, ADDED_B
from learning.models.moe import product
from learning.models.stacked import Tensors, in_single
from learning.training.device_state import BASE, DELTA, FACTOR
from learning.training.task import Task
from learning.values.operation import operation


@operation()
def zeros(task: Task, server: Tensors, *, devices: int | None = None) -> dict[str, Tensor]:
    """Return zeros like the server's tensors, or (K, ...) for each of ``devices``."""
    rows = () if devices is None else (devices,)
    whole = {name: t for name, t in server.items() if not name.endswith((ADDED_A, ADDED_B))}
    return {name: tensor.new_zeros((*rows, *tensor.shape)) for name, tensor in whole.items()}


@operation()
def changes(
    task: Task, offered: Tensors, *, who: Sequence[bool] | None = None
) -> dict[str, Tensor]:
    """Return what each device offers as changes (K, ...) by stored name; factors as matrices.

    Those of buffers, which are offered as they are, are 0. Devices outside ``who`` (K,) have
    changed nothing.
    """
    found = {}
    for name, tensor in offered.items():
        if name.startswith(DELTA):
            found[name.removeprefix(DELTA)] = tensor
        elif name.endswith(".a") and name.startswith(FACTOR):
            matrix = name.removesuffix(".a")
            stored = f"{matrix.removeprefix(FACTOR)}.weight"
            a, b = in_single(tensor), in_single(offered[f"{matrix}.b"])
            found[stored] = product(a, b, task.config.model.lora.scale)
        elif not name.startswith(FACTOR):  # a buffer
            found[name] = torch.zeros_like(tensor)
    if who is None or all(who):
        return found
    others = [device for device, here in enumerate(who) if not here]
    return {n: t.index_fill(0, torch.tensor(others, device=t.device), 0) for n, t in found.items()}


@operation()
def models(task: Task, offered: Tensors, state: Tensors) -> dict[str, Tensor]:
    """Return the models (K, ...) that devices' bases become by what they offer, by stored name."""
    moved = changes(task, offered)
    return {n: offered[n] if n in offered else state[BASE + n] + moved[n] for n in moved}


@operation()
def towards(task: Task, offered: Tensors, server: Tensors) -> dict[str, Tensor]:
    """Return what is offered as a whole as the changes that lead there from ``server``."""
    after = {}
    for name, tensor in offered.items():
        whole = not name.startswith((DELTA, FACTOR))
        after[DELTA + name if whole else name] = tensor - server[name] if whole else tensor
    return after
