"""Watching which experts the gates choose."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from learning.models.moe import Gate, Routing


def gates_of(model: nn.Module) -> list[Gate]:
    """Return the gates of ``model`` in the order of its layers.

    Raises :class:`ValueError` for a model that has none.
    """
    gates = [module for module in model.modules() if isinstance(module, Gate)]
    if not gates:
        raise ValueError(f"{type(model).__name__} has no MoE layer; give it at least one")
    return gates


def tokens_of(model: nn.Module, x: Tensor) -> Tensor | None:
    """Return which tokens of ``x`` are no padding, as the gates see them; None for all."""
    keep: Callable[[Tensor], Tensor | None] | None = getattr(model, "keep", None)
    return None if keep is None else keep(x)


def forward_with_routing(model: nn.Module, x: Tensor) -> tuple[Tensor, list[Routing]]:
    """Return ``model(x)`` and the routing of every MoE layer on the way."""
    seen: list[Routing] = []

    def record(gate: nn.Module, inputs: tuple[Tensor, ...], routing: Routing) -> None:
        seen.append(routing)

    hooks = [gate.register_forward_hook(record) for gate in gates_of(model)]
    try:
        return model(x), seen
    finally:
        for hook in hooks:
            hook.remove()
