"""What devices hold and send, as trees of tensors, and the names by which these are stored.

Inside of training a tensor is found by a :class:`Parameter` in a part of a tree. Values, files and
checkpoints know flat names, which :func:`flatten` writes and :meth:`State.of` and :meth:`Offer.of`
read: ``{name}`` and ``factor.{matrix}.{a,b}`` of what is trained, ``base.{name}``,
``pending.{number}.{matrix}.{a,b}``, ``optimizer.{slot}.{trained}``, ``delta.{name}`` of what is
offered; and ``{name}+{a,b}`` of what a server's model has beside its matrix. A whole tensor whose
``{name}`` begins like one of these others has ``own.`` before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import NamedTuple, TypeVar

from torch import Tensor

from learning.architecture.shapes import OWN
from learning.models.interface import ADDED_A, ADDED_B
from learning.models.stacked import Tensors

Tree = TypeVar("Tree")


class Parameter(NamedTuple):
    """A tensor of a model by its ``stored`` name, or the factor ``a`` or ``b`` of that matrix."""

    stored: str
    factor: str = ""

    @property
    def matrix(self) -> str:
        """The stored name without ``.weight``, as matrices with factors are called."""
        return self.stored.removesuffix(".weight")


Parameters = dict[Parameter, Tensor]
"""Tensors of K devices (K, ...), or of one model."""
Memory = dict[str, Parameters]
"""What the optimiser remembers of what is trained, by its slots."""


@dataclass(frozen=True)
class State:
    """What the K devices of a cluster hold; all tensors are stacked, (K, ...).

    ``trained`` are factors, trained since the last upload was staged, and whole tensors of what has
    none: what is shared, and experts where LoRA has no rank. ``base`` is what each of these began
    as. ``pending`` are, by number, factors that were offered since the last download and count as
    part of the base, 0 where a device has none. ``optimizer`` is the optimiser's memory.
    """

    trained: Parameters = field(default_factory=dict)
    base: Parameters = field(default_factory=dict)
    pending: dict[int, Parameters] = field(default_factory=dict)
    optimizer: Memory = field(default_factory=dict)

    @classmethod
    def of(cls, tensors: Tensors) -> State:
        """Read the flat names of a state, in their order."""
        state = cls()
        for name, tensor in tensors.items():
            part, rest = _split(name, OF_STATE)
            if part == BASE:
                state.base[_of_model(rest)] = tensor
            elif part == PENDING:
                number, _, matrix = rest.partition(".")
                state.pending.setdefault(int(number), {})[_factor(matrix)] = tensor
            elif part == OPTIMIZER:
                slot, _, trained = rest.partition(".")
                state.optimizer.setdefault(slot, {})[_trained(trained)] = tensor
            else:
                state.trained[_trained(name)] = tensor
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
            part, rest = _split(name, OF_OFFER)
            if part == FACTOR:
                offer.factors[_factor(rest)] = tensor
            elif part == DELTA:
                offer.changes[rest] = tensor
            else:
                offer.whole[rest] = tensor
        return offer


def model_of(tensors: Tensors) -> Parameters:
    """Return the tensors of a server's model, with the factors of what was added to matrices."""
    return {_of_model(name): tensor for name, tensor in tensors.items()}


def pair_of(parameters: Mapping[Parameter, Tensor], stored: str) -> tuple[Tensor, Tensor] | None:
    """Return the factors A (K, r, in) and B (K, out, r) of a matrix, None where it has none."""
    a = parameters.get(Parameter(stored, "a"))
    b = parameters.get(Parameter(stored, "b"))
    return None if a is None or b is None else (a, b)


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

BASE = "base"
FACTOR = "factor"
PENDING = "pending"
OPTIMIZER = "optimizer"
DELTA = "delta"
OF_STATE = (BASE, FACTOR, PENDING, OPTIMIZER)
OF_OFFER = (FACTOR, DELTA)


def flatten(tree: State | Offer) -> dict[str, Tensor]:
    """Return the tensors of a tree by their flat names."""
    if isinstance(tree, Offer):
        changes = {f"{DELTA}.{name}": tensor for name, tensor in tree.changes.items()}
        whole = {_whole(name, OF_OFFER): tensor for name, tensor in tree.whole.items()}
        return {_flat(key): tensor for key, tensor in tree.factors.items()} | changes | whole
    flat = {_flat(key): tensor for key, tensor in tree.trained.items()}
    flat |= {f"{BASE}.{name}": tensor for name, tensor in flat_model(tree.base).items()}
    for number, factors in tree.pending.items():
        for key, tensor in factors.items():
            flat[f"{PENDING}.{number}.{key.matrix}.{key.factor}"] = tensor
    for slot, memory in tree.optimizer.items():
        for key, tensor in memory.items():
            flat[f"{OPTIMIZER}.{slot}.{_flat(key)}"] = tensor
    return flat


def flat_model(model: Mapping[Parameter, Tensor]) -> dict[str, Tensor]:
    """Invert :func:`model_of`."""
    return {
        f"{key.stored}+{key.factor}" if key.factor else key.stored: tensor
        for key, tensor in model.items()
    }


def in_order(state: State) -> State:
    """Return the state with its tensors in the order of their flat names.

    Sums over tensors have the same order then, whether a state was computed or loaded.
    """
    return State.of(dict(sorted(flatten(state).items())))


@lru_cache(1 << 16)
def moved_in_state(name: str) -> Parameter | None:
    """Return what moves, or is remembered, under a flat name of a state.

    None for what training never moves: bases and pending changes.
    """
    part, rest = _split(name, OF_STATE)
    if part in (BASE, PENDING):
        return None
    return _trained(rest.partition(".")[2] if part == OPTIMIZER else name)


def moved_in_model(name: str) -> Parameter:
    """Return what moves under a flat name of a server's model."""
    return _of_model(name)


@lru_cache(1 << 16)
def _flat(key: Parameter) -> str:
    if key.factor:
        return f"{FACTOR}.{key.matrix}.{key.factor}"
    return _whole(key.stored, OF_STATE)


def _begins_like(name: str, parts: tuple[str, ...]) -> bool:
    return name.partition(".")[0] in parts


@lru_cache(1 << 16)
def _whole(stored: str, parts: tuple[str, ...]) -> str:
    """Return the flat name of a whole tensor; no stored name has ``own.`` before that of a part."""
    return OWN + stored if _begins_like(stored, parts) else stored


@lru_cache(1 << 16)
def _split(name: str, parts: tuple[str, ...]) -> tuple[str, str]:
    """Return which of ``parts`` a flat name belongs to, "" for none, and what it is there."""
    part, _, rest = name.partition(".")
    if part in parts:
        return part, rest
    hidden = name.startswith(OWN) and _begins_like(rest, parts)
    return "", rest if hidden else name


@lru_cache(1 << 16)
def _trained(name: str) -> Parameter:
    part, rest = _split(name, OF_STATE)
    return _factor(rest) if part == FACTOR else Parameter(rest)


@lru_cache(1 << 16)
def _factor(name: str) -> Parameter:
    matrix, _, factor = name.rpartition(".")
    return Parameter(f"{matrix}.weight", factor)


@lru_cache(1 << 16)
def _of_model(name: str) -> Parameter:
    if name.endswith((ADDED_A, ADDED_B)):
        return Parameter(name[:-2], name[-1])
    return Parameter(name)
