"""Minibatches of local training, drawn from named streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learning.streams import stream
from learning.task import Task


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
