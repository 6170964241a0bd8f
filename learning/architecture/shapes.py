"""ModelTensors, counting, ``vector-moe``, ``image-moe``.

Shipped kinds have closed forms, so that a timing-only run needs no torch. The module of any other
kind is built without memory and measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from learning.config import ModelConfig
from learning.data.samples import InputSpec

Shape = tuple[int, ...]

STEM_CHANNELS = 32
"""Channels after the first convolution of ``image-moe``."""


@dataclass(frozen=True)
class ModelTensors:
    """Shapes by name: of one ``expert`` in one layer, of one layer's ``gate``, of the rest.

    ``factored`` names the expert's matrices that can have low-rank factors. ``gate_bias`` says that
    a gate has a bias (E,) too. ``places`` counts the positions of a sample that a matrix of the
    backbone is multiplied at, where they are more than its tokens.
    """

    layers: int
    expert: Mapping[str, Shape]
    gate: Shape
    backbone: Mapping[str, Shape]
    factored: tuple[str, ...]
    gate_bias: bool = False
    places: Mapping[str, int] = field(default_factory=dict)

    @property
    def gate_shapes(self) -> Mapping[str, Shape]:
        """Shapes by name of what one layer's gate is made of."""
        bias: dict[str, Shape] = {"bias": self.gate[:1]} if self.gate_bias else {}
        return {"weight": self.gate, **bias}


def numbers_in(shapes: Mapping[str, Shape]) -> int:
    """Count the numbers in tensors of these shapes."""
    return sum(math.prod(shape) for shape in shapes.values())


def vector_tensors(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """Return the tensors of ``vector-moe``."""
    ends = {
        "embed.weight": (model.hidden, spec.shape[0]),
        "embed.bias": (model.hidden,),
    }
    return _small(model, spec, ends)


def image_tensors(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """Return the tensors of ``image-moe``."""
    ends = {
        "stem.weight": (STEM_CHANNELS, spec.shape[0], 3, 3),
        "stem.bias": (STEM_CHANNELS,),
        "embed.weight": (model.hidden, STEM_CHANNELS, 3, 3),
        "embed.bias": (model.hidden,),
    }
    return _small(model, spec, ends)


def _small(model: ModelConfig, spec: InputSpec, ends: dict[str, Shape]) -> ModelTensors:
    hidden, inner = model.hidden, model.expert_hidden
    norms = [f"norms.{layer}" for layer in range(model.layers)] + ["norm"]
    backbone = ends | {f"{norm}.{part}": (hidden,) for norm in norms for part in ("weight", "bias")}
    backbone |= {"head.weight": (spec.classes, hidden), "head.bias": (spec.classes,)}
    expert: dict[str, Shape] = {
        "up.weight": (inner, hidden),
        "up.bias": (inner,),
        "down.weight": (hidden, inner),
        "down.bias": (hidden,),
    }
    return ModelTensors(
        model.layers, expert, (model.experts, hidden), backbone, ("up.weight", "down.weight")
    )
