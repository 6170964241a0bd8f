"""Shapes of the parts of NMoE: extractor, experts, gates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from learning.architecture.shapes import ModelTensors, Shape
from learning.config import ModelConfig
from learning.data.samples import InputSpec


def networked_tensors(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """Return the tensors of one layer of experts on top of an extractor."""
    extractor = extractor_of(model, spec)
    return ModelTensors(
        layers=1,
        expert=expert_shapes(model, spec.classes),
        gate=(model.experts, model.hidden),
        backbone=extractor.shapes,
        factored=("up.weight", "down.weight"),
        gate_bias=True,
        places=extractor.places,
    )


VIEWS = 2
"""Views of a sample that the spectral loss compares."""
NORM_GROUPS = 8
PROJECTOR_EXPANSION = 2
"""Width of the projector's hidden layer over that of the features."""


@dataclass(frozen=True)
class Extractor:
    """Shapes by name, and at how many places of a sample each matrix is multiplied."""

    shapes: dict[str, Shape]
    places: dict[str, int]


Tensors = Iterator[tuple[str, Shape, int]]
"""Name, shape, and places of a sample, of each tensor."""


def extractor_of(model: ModelConfig, spec: InputSpec) -> Extractor:
    """Return the tensors of the extractor of vectors or images.

    Raises ValueError for an impossible width.
    """
    made = list(_vector(model, spec) if spec.form == "vector" else _image(model, spec))
    return Extractor(
        {f"extractor.{name}": shape for name, shape, _ in made},
        {f"extractor.{name}": places for name, shape, places in made if len(shape) > 1},
    )


def _vector(model: ModelConfig, spec: InputSpec) -> Tensors:
    width = spec.shape[0]
    for layer in range(model.layers):
        yield f"layers.{layer}.weight", (model.hidden, width), 1
        yield f"layers.{layer}.bias", (model.hidden,), 1
        width = model.hidden


def stage_widths(hidden: int) -> tuple[int, int, int]:
    """Channels of the three stages of an image extractor.

    Raises ValueError for a width that is not a multiple of 4.
    """
    if hidden % 4:
        raise ValueError(
            f"learning.model.hidden is {hidden}; 'image-nmoe' has stages of a quarter and a half "
            "of it: make it a multiple of 4"
        )
    return hidden // 4, hidden // 2, hidden


def norm_groups(channels: int) -> int:
    """Return the groups of a group norm: eight, or fewer if eight does not divide the channels."""
    return math.gcd(channels, NORM_GROUPS)


def blocks_of(model: ModelConfig) -> Iterator[tuple[str, int, int, int]]:
    """Yield name, channels in, channels out and stride of every residual block."""
    widths = stage_widths(model.hidden)
    before = widths[0]
    for stage, width in enumerate(widths):
        for block in range(model.layers):
            yield f"stages.{stage}.{block}", before, width, 2 if stage and not block else 1
            before = width


def _image(model: ModelConfig, spec: InputSpec) -> Tensors:
    channels, height, width = spec.shape
    first = stage_widths(model.hidden)[0]
    yield "stem.weight", (first, channels, 3, 3), height * width
    yield from _norm("norm", first)
    for name, before, after, stride in blocks_of(model):
        height, width = -(-height // stride), -(-width // stride)
        places = height * width
        yield f"{name}.first.weight", (after, before, 3, 3), places
        yield from _norm(f"{name}.first_norm", after)
        yield f"{name}.second.weight", (after, after, 3, 3), places
        yield from _norm(f"{name}.second_norm", after)
        if before != after:
            yield f"{name}.shortcut.weight", (after, before, 1, 1), places


def _norm(name: str, channels: int) -> Tensors:
    """Yield the scale and the shift of a norm."""
    yield f"{name}.weight", (channels,), 1
    yield f"{name}.bias", (channels,), 1


def expert_shapes(model: ModelConfig, classes: int) -> dict[str, Shape]:
    """Return the tensors of a client's expert: features -> expert_hidden -> classes."""
    return {
        "up.weight": (model.expert_hidden, model.hidden),
        "up.bias": (model.expert_hidden,),
        "down.weight": (classes, model.expert_hidden),
        "down.bias": (classes,),
    }


def head_shapes(model: ModelConfig, classes: int) -> dict[str, Shape]:
    """Return the tensors of the linear head, which only FedCE uses."""
    return {"head.weight": (classes, model.hidden), "head.bias": (classes,)}


def projector_shapes(model: ModelConfig) -> dict[str, Shape]:
    """Return the tensors of the projector, which only FedSC uses."""
    inner = PROJECTOR_EXPANSION * model.hidden
    return {
        "projector.up.weight": (inner, model.hidden),
        "projector.up.bias": (inner,),
        "projector.down.weight": (model.hidden, inner),
        "projector.down.bias": (model.hidden,),
    }
