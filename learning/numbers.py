"""What is taken out of tensors, by name: each takes the task and tensors, and returns JSON.

Where a number has a place of its own (evaluation, relevance, usage) it is named by that.
"""

from __future__ import annotations

from learning import device_state
from learning.task import Task
from learning.values import Tensors


def built(task: Task) -> bool:
    """Say that the task could be built, or it would not be here."""
    return True


def not_finite(task: Task, state: Tensors) -> list[int]:
    """Devices whose tensors are not all finite."""
    return device_state.not_finite(state)


def all_finite(task: Task, *parts: Tensors) -> bool:
    """Whether all tensors of all parts are finite."""
    return all(bool(tensor.isfinite().all()) for part in parts for tensor in part.values())


def samples(task: Task) -> list[list[int]]:
    """Each device's number of training samples, cluster by cluster."""
    return [list(task.shards[name].sizes) for name in task.config.clusters]


def shares(task: Task) -> list[list[float]]:
    """Each device's share of all samples, cluster by cluster."""
    counts = samples(task)
    total = sum(map(sum, counts))
    return [[count / total for count in own] for own in counts]
