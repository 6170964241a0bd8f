"""What devices hold and send, as trees of tensors, and the names by which these are stored.

Inside of training a tensor is found by a :class:`Parameter` in a part of a tree. Values, files and
checkpoints know flat names, which :func:`flatten` writes and :meth:`State.of` and :meth:`Offer.of`
read: the stored name, with ``+a`` or ``+b`` of a factor as a server's model has it, and before it
``.{part}.`` where it is not what is trained, or not sent whole: ``.base.gate.0.weight``,
``.optimizer.{slot}.{name}``. No stored name begins with a dot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from learning.models.interface import (
    Parameter,
    Parameters,
    expert_of,
    model_of,
    pair_of,
    parameter_of,
)
from learning.models.moe import product
from learning.models.stacked import Tensors, by_row, finite_rows, in_single
from learning.training.task import Task

Tree = TypeVar("Tree")


Memory = dict[str, Parameters]
"""What the optimiser remembers of what is trained, by its slots."""


@dataclass(frozen=True)
class State:
    """What the K devices of a cluster hold; all tensors are stacked, (K, ...).

    ``trained`` are factors, trained since the last upload was staged, and whole tensors of what has
    none: what is shared, and experts where LoRA has no rank. ``base`` is what each of these began
    as. ``added`` are factors that were offered since the last download and count as part of the
    base: a pair a matrix, with the ranks of all offers side by side, 0 where a device has none.
    ``optimizer`` is the optimiser's memory.
    """

    trained: Parameters = field(default_factory=dict)
    base: Parameters = field(default_factory=dict)
    added: Parameters = field(default_factory=dict)
    optimizer: Memory = field(default_factory=dict)

    @classmethod
    def of(cls, tensors: Tensors) -> State:
        """Read the flat names of a state, in their order."""
        state = cls()
        for name, tensor in tensors.items():
            part, slot, key = _split(name, "trained")
            held = state.optimizer.setdefault(slot, {}) if slot else getattr(state, part)
            held[key] = tensor
        return state


@dataclass(frozen=True)
class Offer:
    """What devices send to the server, (K, ...): ``factors``, ``changes`` of what has none.

    What is there as a ``whole`` moves the server's tensors towards it.
    """

    factors: Parameters = field(default_factory=dict)
    changes: dict[str, Tensor] = field(default_factory=dict)
    whole: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, tensors: Tensors) -> Offer:
        """Read the flat names of what is offered, in their order."""
        offer = cls()
        for name, tensor in tensors.items():
            part, _, key = _split(name, "whole")
            if part == "whole" and key.factor:
                offer.factors[key] = tensor
            else:
                getattr(offer, part)[str(key)] = tensor
        return offer


def map_tensors(function: Callable[[Tensor], Tensor], tree: Tree) -> Tree:
    """Return the tree with ``function`` of each of its tensors in their places."""
    if isinstance(tree, Tensor):
        return function(tree)  # type: ignore[return-value]
    if isinstance(tree, dict):
        return {key: map_tensors(function, part) for key, part in tree.items()}  # type: ignore[return-value]
    if isinstance(tree, State | Offer):
        parts = {of.name: map_tensors(function, getattr(tree, of.name)) for of in fields(tree)}
        return replace(tree, **parts)
    raise TypeError(f"{type(tree).__name__} is no part of a tree of tensors")


# Flat names.

OPTIMIZER = "optimizer"
AT_REST = ("base", "added")
"""Parts of a state that training never moves."""


def flatten(tree: State | Offer) -> dict[str, Tensor]:
    """Return the tensors of a tree by their flat names."""
    parts: list[tuple[str, Mapping[Any, Tensor]]]
    if isinstance(tree, Offer):
        parts = [("", tree.factors), (".changes.", tree.changes), ("", tree.whole)]
    else:
        parts = [("", tree.trained), (".base.", tree.base), (".added.", tree.added)]
        parts += [(f".{OPTIMIZER}.{slot}.", part) for slot, part in tree.optimizer.items()]
    return {f"{part}{key}": tensor for part, held in parts for key, tensor in held.items()}


def in_order(state: State) -> State:
    """Return the state with its tensors in the order of their flat names.

    Sums over tensors have the same order then, whether a state was computed or loaded.
    """
    return State.of(dict(sorted(flatten(state).items())))


def moved_in_state(name: str) -> Parameter | None:
    """Return what moves, or is remembered, under a flat name of a state.

    None for what training never moves: bases, and what was added to them.
    """
    part, _, key = _split(name, "trained")
    return None if part in AT_REST else key


@lru_cache(1 << 16)
def _split(name: str, bare: str) -> tuple[str, str, Parameter]:
    """Return the part of a flat name, its slot if it is one of the optimiser's, and the tensor.

    ``bare`` is the part whose names have nothing before them.
    """
    if not name.startswith("."):
        return bare, "", parameter_of(name)
    part, _, rest = name[1:].partition(".")
    slot, _, stored = rest.partition(".") if part == OPTIMIZER else ("", "", rest)
    return part, slot, parameter_of(stored)


# Bases, which are the server's versions by reference, and the model of a device.


Versions = Sequence[Sequence[int]]
"""Which of the server's models each device has of each expert, and of what is shared (E + 1, K).

-1 stands for none. An expert is held where any device has one. What is trained without factors is
in a state, and so is its base once it was offered, only where it differs from what it began as. A
device that has never loaded an expert has NaN in its place.
"""


def assembled_state(
    task: Task, own: State, servers: Sequence[Tensors], versions: Versions, *, folds: bool = True
) -> State:
    """Return the state with its bases (K, ...), and with what is trained where it equals its base.

    What devices and the server have added to matrices is part of the bases where it ``folds``, and
    else stays the factors that it is.
    """
    models = [model_of(whole(task, server) if folds else server) for server in servers]
    state = State(dict(own.trained), {}, {} if folds else own.added, own.optimizer)
    for key, base in bases_of(task, own, models, versions).items():
        if not key.factor and is_whole(task, key.stored):
            state.trained.setdefault(key, base)
        elif folds and (pair := pair_of(own.added, key.stored)) is not None:
            base = base + product(*pair, task.config.model.lora.scale)
        state.base[key] = base
    return in_order(state)


def of_one_model(task: Task, devices: int) -> list[list[int]]:
    """Return the ``versions`` of devices that all hold the whole of one model."""
    return [[0] * devices for _ in (*task.all_experts, "what is shared")]


def bases_of(
    task: Task, own: State, models: Sequence[Parameters], versions: Versions
) -> Parameters:
    """Return the bases (K, ...) of what is held.

    They are in one memory where all devices have the same version.
    """
    found: Parameters = {}
    for expert, row in [*enumerate(versions[:-1]), (None, versions[-1])]:
        known = sorted(set(row) - {-1})
        for key in dict.fromkeys(key for version in known for key in models[version]):
            of_expert = expert_of(key.stored)
            if of_expert != expert or (expert is None and not task.goes_with_gate(key.stored)):
                continue
            base = own.base.get(key)
            if key.stored in task.personal:  # all begin as the start model, which no version moves
                base = rows_of([True] * len(row), task.as_run(models[known[0]][key]), None)
            if base is None:
                for version in known:
                    tensor = task.as_run(models[version][key])
                    base = rows_of([v == version for v in row], tensor, base)
            assert base is not None  # for the type checker: a model has the name
            found[key] = base
    return found


def experts_held(state: State) -> tuple[int, ...]:
    """Return the experts in ``state``, in order."""
    experts = {expert_of(key.stored) for key in state.base}
    return tuple(sorted(expert for expert in experts if expert is not None))


def delta_of(task: Task, trained: Parameters, stored: str) -> Tensor | None:
    """Return ``scale B A`` (K, out, in) of the matrix called ``stored``, None without factors."""
    pair = pair_of(trained, stored)
    return None if pair is None else product(*pair, task.config.model.lora.scale)


def whole(task: Task, server: Tensors) -> dict[str, Tensor]:
    """Return the server's model with what has been added to it in its matrices, by stored name."""
    model = model_of(server)
    after = {key.stored: tensor for key, tensor in model.items() if not key.factor}
    for stored in after:
        if (pair := pair_of(model, stored)) is not None:
            a, b = pair
            change = product(in_single(a), in_single(b), task.config.model.lora.scale)
            after[stored] = after[stored] + change
    return after


def model_of_device(task: Task, state: State, device: int) -> dict[str, Tensor]:
    """Return the tensors of one device's model as trained, in full matrices, by stored name."""
    own = map_tensors(lambda tensor: tensor[device : device + 1], state)
    tensors: dict[str, Tensor] = {}
    for key, base in own.base.items():
        delta = delta_of(task, own.trained, key.stored)
        trained = own.trained.get(key, base if delta is None else base + delta)
        tensors[key.stored] = trained[0]
    return tensors


def is_frozen(task: Task, key: Parameter) -> bool:
    """Whether it is a factor that is not trained: A, where all have the same."""
    return key.factor == "a" and task.config.model.lora.aggregate == "ffa"


def is_whole(task: Task, name: str) -> bool:
    """Whether a stored tensor that devices hold is trained without factors, if at all."""
    return task.goes_with_gate(name) or task.config.model.lora.rank is None


def rows_of(
    who: Sequence[bool], new: Tensor, old: Tensor | None, *, stacked: bool = False
) -> Tensor:
    """Return ``new`` (one for all, unless ``stacked``) in the rows ``who``, else ``old``."""
    rows = new if stacked else new.expand(len(who), *new.shape)
    # The length of a tensor is a call of Python, its shape is not.
    if rows.shape[0] != len(who) or (old is not None and old.shape[0] != len(who)):
        devices = len(rows if old is None else old)
        raise ValueError(f"who has {len(who)} entries; the state holds {devices} devices")
    if all(who):
        return rows
    if old is None:  # counts of batches have no NaN
        old = torch.full_like(rows, torch.nan if rows.is_floating_point() else 0)
    return torch.where(by_row(who, rows), rows, old)


# What is asked of values.


def not_finite(_task: Task, state: Tensors) -> list[int]:
    """Return the devices with a number in ``state`` (K, ...) that is not finite."""
    if torch.stack([tensor.sum() for tensor in state.values()]).isfinite().all():
        return []  # a sum is finite only if all its numbers are
    broken = [~finite_rows(tensor) for tensor in state.values()]
    return torch.stack(broken).any(0).nonzero().flatten().tolist()


def shapes(_task: Task, tensors: Tensors) -> dict[str, list[int]]:
    """Return the shape of each of ``tensors``."""
    return {name: list(tensor.shape) for name, tensor in tensors.items()}


def all_finite(_task: Task, *parts: Tensors) -> bool:
    """Return whether all tensors of all parts are finite."""
    return all(bool(tensor.isfinite().all()) for part in parts for tensor in part.values())
