"""The trained model without what nothing trained: references to the checkpoints, and all the rest.

Nothing has trained a tensor that has, bit for bit, the numbers that were read from a checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from learning.architecture.kinds import precision_of
from learning.models.references import References, references_to
from learning.models.stacked import Tensors
from learning.training.device_state import folded
from learning.training.task import Task
from learning.values.lazy import LARGE_BYTES
from learning.values.store import bytes_of


def references(task: Task, server: Tensors) -> dict[str, Any]:
    """Return, as JSON, where tensors of ``server`` and the backbone can be read again.

    It is {} where those are less than :data:`~learning.values.lazy.LARGE_BYTES` in all. A matrix
    that has factors beside it is one of them if only these have been trained.
    """
    if task.lent.changed:  # code of one's own may have changed what was read
        return {}
    model = {**task.backbone, **server}
    frozen = {
        name: model[name]
        for name in task.sources
        if name in model and _same_bits(model[name], task.initial[name])
    }
    if sum(tensor.nbytes for tensor in frozen.values()) < LARGE_BYTES:
        return {}
    sources = {name: task.sources[name] for name in frozen}
    return references_to(sources, frozen, precision_of(task.config), task.config.model.lora.scale)


def besides(task: Task, server: Tensors, *, names: Sequence[str]) -> dict[str, Tensor]:
    """Return ``server`` and the backbone without the tensors of these names, factors as factors."""
    left_out = set(names)
    model = {**task.backbone, **server}
    return {name: t.contiguous() for name, t in model.items() if name not in left_out}


def made_whole(rest: Tensors, referenced: References, read: Tensors) -> dict[str, Tensor]:
    """Return all tensors of the model, of what is :func:`besides` and what was ``read`` again.

    They are those of :func:`~learning.training.evaluation.final_tensors`, computed as there.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums have the same order then
    try:
        return dict(sorted(folded({**read, **rest}, referenced.scale).items()))
    finally:
        torch.set_num_threads(threads)


def _same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same format, shape and bits: 0 is not -0."""
    if one is other:
        return True
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(bytes_of(one), bytes_of(other))
