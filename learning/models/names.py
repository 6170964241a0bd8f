"""Names of tensors: ``expert.{e}.{l}.{matrix}.{part}`` and ``gate.{l}.weight`` as stored.

An expert is one index over all layers, so a stored name leads with the expert; a model's own
path leads with the layer. Everything else is backbone and is called the same in both.
"""

from __future__ import annotations

from collections.abc import Collection


def module_path(name: str) -> str:
    """Return where the stored tensor ``name`` belongs in a :class:`MoEModel`."""
    match name.split("."):
        case ["expert", expert, layer, *rest]:
            return ".".join(["moe", layer, "experts", expert, *rest])
        case ["gate", layer, *rest]:
            return ".".join(["moe", layer, "gate", *rest])
        case _:
            return name


def stored_name(path: str) -> str:
    """Invert :func:`module_path`."""
    match path.split("."):
        case ["moe", layer, "experts", expert, *rest]:
            return ".".join(["expert", expert, layer, *rest])
        case ["moe", layer, "gate", *rest]:
            return ".".join(["gate", layer, *rest])
        case _:
            return path


def expert_of(name: str) -> int | None:
    """Return the expert that the stored tensor ``name`` belongs to, None for gate and backbone."""
    parts = name.split(".")
    return int(parts[1]) if parts[0] == "expert" else None


def is_of(name: str, experts: Collection[int]) -> bool:
    """Whether the stored tensor ``name`` belongs to one of ``experts``."""
    return expert_of(name) in experts


def is_gate(name: str) -> bool:
    """Whether the stored tensor ``name`` is a gate's."""
    return name.startswith("gate.")
