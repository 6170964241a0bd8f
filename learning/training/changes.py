"""Changes of models as tensors of their own: none, those of devices, and whole models of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from learning.models.interface import ADDED_A, ADDED_B
from learning.models.moe import Residency, product
from learning.models.stacked import Tensors, in_single
from learning.training.state import Offer, Parameter, State, flatten
from learning.training.task import Task


def zeros(_task: Task, server: Tensors, *, devices: int | None = None) -> dict[str, Tensor]:
    """Return zeros like the server's tensors, or (K, ...) for each of ``devices``."""
    rows = () if devices is None else (devices,)
    whole = {name: t for name, t in server.items() if not name.endswith((ADDED_A, ADDED_B))}
    return {name: tensor.new_zeros((*rows, *tensor.shape)) for name, tensor in whole.items()}


def changes(task: Task, offered: Tensors, *, who: Sequence[bool]) -> dict[str, Tensor]:
    """Return what each device offers as changes (K, ...) by stored name; factors as matrices.

    Those of buffers, which are offered as they are, are 0, and so are those of what is personal,
    which is not offered. Devices outside ``who`` (K,) have changed nothing.
    """
    found = _offered_changes(task, offered)
    if task.personal:
        like, start = (
            next(iter(found.values())),
            task.shapes(Residency(task.all_experts)).state_dict(),
        )
        for name in sorted(task.personal):
            found[name] = like.new_zeros((len(like), *start[task.names.path(name)].shape))
    others = [device for device, here in enumerate(who) if not here]
    if not others:
        return found
    return {n: t.index_fill(0, torch.tensor(others, device=t.device), 0) for n, t in found.items()}


def _offered_changes(task: Task, offered: Tensors) -> dict[str, Tensor]:
    offer = Offer.of(offered)
    found = dict(offer.changes)
    for stored in dict.fromkeys(key.stored for key in offer.factors):
        a = in_single(offer.factors[Parameter(stored, "a")])
        b = in_single(offer.factors[Parameter(stored, "b")])
        found[stored] = product(a, b, task.config.model.lora.scale)
    for name, tensor in offer.whole.items():  # a buffer
        found[name] = torch.zeros_like(tensor)
    return found


def models(task: Task, offered: Tensors, state: Tensors) -> dict[str, Tensor]:
    """Return the models (K, ...) that devices' bases become by what they offer, by stored name."""
    base = State.of(state).base
    moved = _offered_changes(task, offered)
    after = {name: base[Parameter(name)] + change for name, change in moved.items()}
    return after | Offer.of(offered).whole


def towards(_task: Task, offered: Tensors, server: Tensors) -> dict[str, Tensor]:
    """Return what is offered as a whole as the changes that lead there from ``server``."""
    offer = Offer.of(offered)
    changed = {name: tensor - server[name] for name, tensor in offer.whole.items()}
    return flatten(Offer(offer.factors, offer.changes | changed))
