"""What networked experts (NMoE) are made of: an extractor, an expert per device, and gates."""

from __future__ import annotations

import math
from collections.abc import Iterator

from learning.architecture.shapes import ModelTensors, Shape, with_biases
from learning.data.samples import InputSpec
from learning.settings import ModelConfig


def networked_tensors(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """Return the tensors of experts, features -> expert_hidden -> classes, over an extractor."""
    (extractor, places), inner = extractor_of(model, spec), model.expert_hidden
    return ModelTensors(
        paths=("moe",),
        expert=with_biases({"up": (inner, model.hidden), "down": (spec.outputs, inner)}),
        gate=(model.experts, model.hidden),
        backbone=extractor,
        factored=("up.weight", "down.weight"),
        gate_bias=True,
        places=places,
    )


VIEWS = 2
"""Views of a sample that the spectral loss compares."""
NORM_GROUPS = 8
PROJECTOR_EXPANSION = 2
"""Width of the projector's hidden layer over that of the features."""


def extractor_of(model: ModelConfig, spec: InputSpec) -> tuple[dict[str, Shape], dict[str, int]]:
    """Return the shapes of an extractor, and at how many places of a sample each matrix multiplies.

    Of vectors or images; raises ValueError for a width that its stages cannot have.
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
            height = -(-height // stride)
            width = -(-width // stride)
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
    return (
        {f"extractor.{name}": shape for name, shape in shapes.items()},
        {f"extractor.{name}": places.get(name, 1) for name in matrices},
    )


def stage_widths(hidden: int) -> tuple[int, int, int]:
    """Channels of the three stages of an image extractor; ValueError for no multiple of 4."""
    if hidden % 4:
        raise ValueError(
            f"learning.model.hidden: got {hidden}; 'image-nmoe' has stages of a quarter and a half "
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
