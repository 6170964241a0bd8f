"""The interface of models: MoEModel, names of tensors, and the register of kinds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pkgutil import resolve_name
from typing import NamedTuple

import torch
from torch import Tensor, nn

from learning.architecture.kinds import KINDS
from learning.architecture.shapes import OWN
from learning.models.moe import MoELayer
from learning.models.stacked import Tensors
from learning.models.tensor_files import Place
from learning.registry import Register
from learning.settings import ModelConfig

# What the rest of ``learning`` expects of a model.


class MoEModel(nn.Module):
    """A classifier with :class:`~learning.models.moe.MoELayer` somewhere inside.

    ``forward(x)`` maps samples ``x`` of the data's form to logits (n, classes). Training runs it
    over all devices of a cluster at once by :func:`torch.func.vmap`; a model that does not
    support that sets ``batched`` to False and is trained device by device. It may have
    ``before_experts(x)``, a tuple of tensors, and ``after_embedding`` that gives the logits of
    these: what comes before the first layer of experts is computed once for many minibatches where
    nothing in it is trained, always or, unless it ``embeds_always``, where a round draws all
    samples.
    """

    batched: bool = True
    embeds_always: bool = False

    def keep(self, x: Tensor) -> Tensor | None:
        """Return which tokens of ``x`` are not padding, bool in the gates' shape; None for all."""
        return None


Maker = Callable[..., nn.Module]
"""Makes a model: of ``config`` (ModelConfig), for data of ``spec`` (InputSpec), and ``here``
(Residency) says which experts are in memory.

That of a module of one's own may name some of the three only, and takes the keywords of
``learning.model.arguments``.
"""


MODELS: Register[Maker] = Register(
    "model", "leomix.models", {name: kind.module for name, kind in KINDS.items()}
)
"""Kinds of ``learning.model.kind``, each with its :data:`~learning.models.interface.Maker`."""


CHECKPOINTS = "learning.text.checkpoints:checkpoint_places"
"""What reads the folders of ``learning.model.checkpoints``."""


def checkpoint_places(config: ModelConfig, model: nn.Module) -> dict[str, Place]:
    """Return by stored name where the checkpoints hold tensors of ``model``, {} without any.

    Raises :class:`ValueError` for folders that are broken, or of another model.
    """
    places: dict[str, Place] = (
        resolve_name(CHECKPOINTS)(config, model) if config.checkpoints else {}
    )
    return places


# Names of tensors: ``expert.{e}.{l}.{matrix}.{part}`` and ``gate.{l}.weight`` as stored.


@dataclass(frozen=True)
class Names:
    """The two names of every tensor of a model whose MoE layers lie at ``layers``, in order.

    A plain model has no such layers: all of it is backbone.
    """

    layers: tuple[str, ...]

    def path(self, name: str) -> str:
        """Return where the stored tensor ``name`` belongs in the model."""
        match name.split("."):
            case ["expert", expert, layer, *rest]:
                return ".".join([self.layers[int(layer)], "experts", expert, *rest])
            case ["gate", layer, *rest]:
                return ".".join([self.layers[int(layer)], "gate", *rest])
            case _:
                return name.removeprefix(OWN)

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
        return OWN + path if path.startswith(("expert.", "gate.", OWN)) else path

    def saved(self, name: str) -> str:
        """Return the name of the stored tensor in a saved model: a plain module's state dict's."""
        return name if self.layers else self.path(name)


def names_of(model: nn.Module) -> Names:
    """Return the names of ``model``'s tensors."""
    modules = model.named_modules()
    return Names(tuple(path for path, module in modules if isinstance(module, MoELayer)))


def buffers_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the buffers that are part of what ``model`` has learnt, by path.

    They are the persistent ones, like the statistics of batch normalisation: they are kept and
    sent with the parameters. All others are constants, and so are masks of true and false, which
    have no mean.
    """
    kept = model.state_dict(keep_vars=True).keys()
    return {
        path: buffer
        for path, buffer in model.named_buffers()
        if path in kept and buffer.dtype != torch.bool
    }


ADDED_A = "+a"
ADDED_B = "+b"
"""Behind the name of a server's matrix: factors of what has been added to it."""


class ExpertTensor(NamedTuple):
    """A tensor of an expert: the ``expert``, its MoE ``layer``, and the ``name`` in the module."""

    expert: int
    layer: int
    name: str = ""

    @property
    def stored(self) -> str:
        """Its stored name."""
        return f"expert.{self.expert}.{self.layer}.{self.name}"


@lru_cache(1 << 16)
def expert_tensor(name: str) -> ExpertTensor | None:
    """Return what the stored tensor ``name`` is in an expert, None for gate and backbone."""
    match name.split(".", 3):
        case ["expert", expert, layer, *rest]:
            return ExpertTensor(int(expert), int(layer), *rest)
    return None


@lru_cache(1 << 16)
def expert_of(name: str) -> int | None:
    """Return the expert that the stored tensor ``name`` belongs to, None for gate and backbone."""
    found = expert_tensor(name)
    return None if found is None else found.expert


def is_of(name: str, experts: Collection[int]) -> bool:
    """Whether the stored tensor ``name`` belongs to one of ``experts``."""
    return expert_of(name) in experts


def is_gate(name: str) -> bool:
    """Whether the stored tensor ``name`` is a gate's."""
    return name.startswith("gate.")


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


@lru_cache(1 << 16)
def parameter_of(name: str) -> Parameter:
    """Return what a server's model calls by this name."""
    if name.endswith((ADDED_A, ADDED_B)):
        return Parameter(name[:-2], name[-1])
    return Parameter(name)


def model_of(tensors: Tensors) -> Parameters:
    """Return the tensors of a server's model, with the factors of what was added to matrices."""
    return {parameter_of(name): tensor for name, tensor in tensors.items()}


def pair_of(parameters: Mapping[Parameter, Tensor], stored: str) -> tuple[Tensor, Tensor] | None:
    """Return the factors A (K, r, in) and B (K, out, r) of a matrix, None where it has none."""
    a = parameters.get(Parameter(stored, "a"))
    b = parameters.get(Parameter(stored, "b"))
    return None if a is None or b is None else (a, b)
