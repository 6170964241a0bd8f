"""What devices hold and send, as trees of tensors, and the names by which these are stored.

Inside of training a tensor is found by a :class:`Parameter` in a part of a tree. Values, files and
checkpoints know flat names, which :func:`flatten` writes and :meth:`State.of` and :meth:`Offer.of`
read: the stored name, with ``+a`` or ``+b`` of a factor as a server's model has it, and before it
``.{part}.`` where it is not what is trained, or not sent whole: ``.base.gate.0.weight``,
``.optimizer.{slot}.{name}``. No stored name begins with a dot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

from learning.models.interface import ADDED_A, ADDED_B
from learning.models.stacked import Tensors

Tree = TypeVar("Tree")


class Parameter(NamedTuple):
    """A tensor of a model by its ``stored`` name, or the factor ``a`` or ``b`` of that matrix."""

    stored: str
    factor: str = ""

    def __str__(self) -> str:
        """Return it as a server's model calls it."""
        return f"{self.stored}+{self.factor}" if self.factor else self.stored

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


def model_of(tensors: Tensors) -> Parameters:
    """Return the tensors of a server's model, with the factors of what was added to matrices."""
    return {parameter_of(name): tensor for name, tensor in tensors.items()}


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
def parameter_of(name: str) -> Parameter:
    """Return what a server's model calls by this name."""
    if name.endswith((ADDED_A, ADDED_B)):
        return Parameter(name[:-2], name[-1])
    return Parameter(name)


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
