"""Control variates of SCAFFOLD, each device's and the server's: arXiv 1910.06378, option II."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from learning.models.interface import is_gate
from learning.models.stacked import Tensors, by_row
from learning.training.aggregation import weighted_sum
from learning.training.task import Task


def renewed(
    task: Task,
    own: Tensors,
    server: Tensors,
    changes: Tensors,
    *,
    who: Sequence[bool],
    rounds: Sequence[int],
) -> dict[str, Tensor]:
    """Return ``c_i - c + (x - y_i) / (K eta)`` of the devices in ``who``, (K, ...).

    ``own`` are the c_i and ``server`` is c as the devices had them, ``changes`` are their y_i - x
    after local ``rounds`` (K,). A device outside ``who`` keeps its c_i; those of buffers stay 0.
    """
    config = task.config
    after = {}
    for name, mine in own.items():
        if name not in changes or name in task.buffers:
            after[name] = mine
            continue
        ratio = config.gate_step_size_ratio if is_gate(name) else 1.0
        size = config.step_size * ratio * config.steps_per_round
        steps = torch.tensor([size * max(n, 1) for n in rounds], dtype=mine.dtype).to(mine)
        corrected = mine - server[name] - changes[name] / by_row(steps, mine)
        after[name] = torch.where(by_row(who, mine), corrected, mine)
    return after


def moved(
    task: Task, server: Tensors, after: Tensors, before: Tensors, *, shares: Sequence[float]
) -> dict[str, Tensor]:
    """Return ``c + sum_i p_i (c_i+ - c_i)``, the shares p (K,) being those of all samples."""
    free = [name for name in server if name not in task.buffers]
    return dict(server) | {
        name: server[name] + weighted_sum(after[name] - before[name], shares, name) for name in free
    }
