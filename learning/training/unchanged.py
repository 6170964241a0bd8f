"""What of an upload is no news: which parts of a model a device's training has changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from torch import Tensor

from learning.models.interface import expert_of
from learning.models.stacked import Tensors
from learning.training.device_state import Versions, bases_of
from learning.training.state import Offer, Parameters, State, model_of
from learning.training.task import Task
from learning.values.operation import operation


@operation()
def changed_parts(
    task: Task,
    offered: Tensors,
    own_tensors: Tensors,
    *servers: Tensors,
    versions: Versions,
    since_download: bool,
) -> list[list[int]]:
    """Return which parts each of K devices has changed of what it offers, in their order.

    A part is an expert, by its number, or all that is shared, by the number of experts. It has
    changed where any of its tensors adds something to the server's: factors whose product is 0 add
    nothing. With ``since_download`` it counts too what a device has offered before, since it has
    downloaded the part.
    """
    own = State.of(own_tensors)
    offer = Offer.of(offered)
    models = [model_of(server) for server in servers]
    changes = [*_nonzero(offer.factors), *offer.changes.items()]
    if offer.whole:
        bases = {key.stored: base for key, base in bases_of(task, own, models, versions).items()}
        changes += [(name, tensor != bases[name]) for name, tensor in offer.whole.items()]
    if since_download:
        changes += [change for factors in own.pending.values() for change in _nonzero(factors)]
        begun = bases_of(task, replace(own, base={}), models, versions)
        changes += [(key.stored, base != begun[key]) for key, base in own.base.items()]
    return _parts(task, changes, len(versions[0]))


def _nonzero(factors: Parameters) -> Iterable[tuple[str, Tensor]]:
    """Return what is 0 where the product of a matrix' factors is: B, which begins as 0."""
    return [(key.stored, tensor) for key, tensor in factors.items() if key.factor == "b"]


def _parts(task: Task, changes: Sequence[tuple[str, Tensor]], devices: int) -> list[list[int]]:
    """Return the parts with a number that is not 0 in any of their ``changes`` (K, ...)."""
    found: list[set[int]] = [set() for _ in range(devices)]
    for name, tensor in changes:
        expert = expert_of(name)
        part = task.config.model.experts if expert is None else expert
        rows = (tensor != 0).reshape(devices, -1).any(1)
        for device in rows.nonzero().flatten().tolist():
            found[device].add(part)
    return [sorted(parts) for parts in found]
