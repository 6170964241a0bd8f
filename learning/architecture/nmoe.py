"""Shapes of the parts of NMoE: extractor, experts, gates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from learning.architecture.shapes import ModelTensors, Shape, with_biases
from learning.config import ModelConfig
from learning.data.samples import InputSpec


def networked_tensors(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """Return the tensors of one layer of experts on top of an extractor.

    A client's expert maps features -> expert_hidden -> classes.
    """
    extractor, inner = extractor_of(model, spec), model.expert_hidden
    return ModelTensors(
        layers=1,
        expert=with_biases({"up": (inner, model.hidden), "down": (spec.classes, inner)}),
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


def extractor_of(model: ModelConfig, spec: InputSpec) -> Extractor:
    """Return the tensors of the extractor of vectors or images.

    Raises ValueError for an impossible width.
    """
    places: dict[str, int] = {}
    if spec.form == "vector":
        widths = [spec.shape[0]] + [model.hidden] * model.layers
        maps = {f"layers.{n}": (model.hidden, width) for n, width in enumerate(widths[:-1])}
        shapes = with_biases(maps)
    else:
        channels, height, width = spec.shape
        first = stage_widths(model.hidden)[0]
        shapes = {"stem.weight": (first, channels, 3, 3), **with_biases({"norm": (first,)})}
        places["stem.weight"] = height * width
        for name, before, after, stride in blocks_of(model):
            height, width = -(-height // stride), -(-width // stride)
            own: dict[str, Shape] = {
                f"{name}.first.weight": (after, before, 3, 3),
                **with_biases({f"{name}.first_norm": (after,)}),
                f"{name}.second.weight": (after, after, 3, 3),
                **with_biases({f"{name}.second_norm": (after,)}),
            }
            if before != after:
                own[f"{name}.shortcut.weight"] = (after, before, 1, 1)
            shapes |= own
            places |= dict.fromkeys(own, height * width)
    matrices = [name for name, shape in shapes.items() if len(shape) > 1]
    return Extractor(
        {f"extractor.{name}": shape for name, shape in shapes.items()},
        {f"extractor.{name}": places.get(name, 1) for name in matrices},
    )


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


def head_shapes(model: ModelConfig, classes: int) -> dict[str, Shape]:
    """Return the tensors of the linear head, which only FedCE uses."""
    return with_biases({"head": (classes, model.hidden)})


def projector_shapes(model: ModelConfig) -> dict[str, Shape]:
    """Return the tensors of the projector, which only FedSC uses."""
    inner = PROJECTOR_EXPANSION * model.hidden
    maps = {"projector.up": (inner, model.hidden), "projector.down": (model.hidden, inner)}
    return with_biases(maps)
