"""The interface of models: MoEModel, names of tensors, and the register of kinds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from torch import Tensor, nn

from learning.architecture.kinds import KINDS
from learning.config import ModelConfig
from learning.data.samples import InputSpec
from learning.models.moe import MoELayer, Residency
from learning.registry import Register

# What the rest of ``learning`` expects of a model.


class MoEModel(nn.Module):
    """A classifier with :class:`~learning.models.moe.MoELayer` somewhere inside.

    ``forward(x)`` maps samples ``x`` of the data's form to logits (n, classes). Training runs it
    over all devices of a cluster at once by :func:`torch.func.vmap`; a model that does not
    support that sets ``batched`` to False and is trained device by device. One that ``stacks`` is
    made of layers that take parameters stacked by device (:mod:`learning.models.stacked`), and is
    called with samples (K, n, ...) of all devices without vmap.
    """

    batched: bool = True
    stacks: bool = False

    def keep(self, x: Tensor) -> Tensor | None:
        """Return which tokens of ``x`` are not padding, bool in the gates' shape; None for all."""
        return None


Maker = Callable[[ModelConfig, InputSpec, Residency], nn.Module]
"""Makes a model: from its configuration, the data's form, and which experts are in memory."""


MODELS: Register[Maker] = Register(
    "model",
    "leomix.models",
    {name: kind.module for name, kind in KINDS.items()},
)
"""Kinds of ``learning.model.kind``, each with its :data:`~learning.models.interface.Maker`."""


# Names of tensors: ``expert.{e}.{l}.{matrix}.{part}`` and ``gate.{l}.weight`` as stored.


@dataclass(frozen=True)
class Names:
    """The two names of every tensor of a model whose MoE layers lie at ``layers``, in order."""

    layers: tuple[str, ...]

    def path(self, name: str) -> str:
        """Return where the stored tensor ``name`` belongs in the model."""
        match name.split("."):
            case ["expert", expert, layer, *rest]:
                return ".".join([self.layers[int(layer)], "experts", expert, *rest])
            case ["gate", layer, *rest]:
                return ".".join([self.layers[int(layer)], "gate", *rest])
            case _:
                return name

    def stored(self, path: str) -> str:
        """Invert :meth:`path`."""
        for number, layer in enumerate(self.layers):
            if not path.startswith(f"{layer}."):
                continue
            match path.removeprefix(f"{layer}.").split("."):
                case ["experts", expert, *rest]:
                    return ".".join(["expert", expert, str(number), *rest])
                case ["gate", *rest]:
                    return ".".join(["gate", str(number), *rest])
        return path


def names_of(model: nn.Module) -> Names:
    """Return the names of ``model``'s tensors.

    Raises :class:`ValueError` for a model without MoE layers, and for backbone tensors named like
    those of an expert or a gate.
    """
    layers = [path for path, module in model.named_modules() if isinstance(module, MoELayer)]
    if not layers:
        raise ValueError(f"{type(model).__name__} has no MoE layer; give it at least one")
    names = Names(tuple(layers))
    for path, _ in model.named_parameters():
        if names.stored(path) == path and (is_gate(path) or path.startswith("expert.")):
            raise ValueError(
                f"{type(model).__name__} has a tensor {path!r} outside its MoE layers; names that "
                "begin with 'gate.' or 'expert.' are those of MoE layers: call it otherwise"
            )
    return names


def expert_of(name: str) -> int | None:
    """Return the expert that the stored tensor ``name`` belongs to, None for gate and backbone."""
    parts = name.split(".", 2)
    return int(parts[1]) if parts[0] == "expert" else None


def is_of(name: str, experts: Collection[int]) -> bool:
    """Whether the stored tensor ``name`` belongs to one of ``experts``."""
    return expert_of(name) in experts


def is_gate(name: str) -> bool:
    """Whether the stored tensor ``name`` is a gate's."""
    return name.startswith("gate.")
