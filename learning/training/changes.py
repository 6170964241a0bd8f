"""Changes of models as tensors of their own: none, those of devices, and whole models of them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from learning.models.moe import product
from learning.training.device_state import DELTA, FACTOR
from learning.training.task import Task


def zeros(
    task: Task, server: Mapping[str, Tensor], *, devices: int | None = None
) -> dict[str, Tensor]:
    """Return zeros like the server's tensors, or (K, ...) for each of ``devices``."""
    rows = () if devices is None else (devices,)
    return {name: tensor.new_zeros((*rows, *tensor.shape)) for name, tensor in server.items()}


def changes(task: Task, offered: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what each device offers as changes (K, ...) by stored name; factors as matrices."""
    found = {}
    for name, tensor in offered.items():
        if name.startswith(DELTA):
            found[name.removeprefix(DELTA)] = tensor
        elif name.endswith(".a"):
            matrix = name.removesuffix(".a")
            stored = f"{matrix.removeprefix(FACTOR)}.weight"
            found[stored] = product(tensor, offered[f"{matrix}.b"], task.config.model.lora.scale)
    return found
