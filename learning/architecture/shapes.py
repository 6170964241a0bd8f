"""ModelTensors, counting, the small mixtures of experts, the plain models, and networked experts.

Shipped kinds have closed forms, so that a timing-only run needs no torch. The module of any other
kind is built without memory and measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from learning.data.samples import InputSpec
from learning.settings import ModelConfig

Shape = tuple[int, ...]

STEM_CHANNELS = 32
"""Channels after the first convolution of ``image-moe``."""


@dataclass(frozen=True)
class ModelTensors:
    """Shapes by name: of one ``expert`` in one layer, of one layer's ``gate``, of the rest.

    ``factored`` names the expert's matrices that can have low-rank factors. ``gate_bias`` says that
    a gate has a bias (E,) too. ``places`` counts the positions of a sample that a matrix of the
    backbone is multiplied at, where they are more than its tokens. What is ``frozen`` of the
    backbone is never trained.

    A plain model has no layers with experts: all of it is backbone. Of one sample ``products``
    counts the multiplications of weights, and ``activations`` what its maps take in and give out;
    None stands for one row through every matrix.
    """

    layers: int
    expert: Mapping[str, Shape]
    gate: Shape
    backbone: Mapping[str, Shape]
    factored: tuple[str, ...]
    gate_bias: bool = False
    places: Mapping[str, int] = field(default_factory=dict)
    frozen: frozenset[str] = frozenset()
    products: int | None = None
    activations: int | None = None

    @property
    def gate_shapes(self) -> Mapping[str, Shape]:
        """Shapes by name of what one layer's gate is made of."""
        bias: dict[str, Shape] = {"bias": self.gate[:1]} if self.gate_bias else {}
        return {"weight": self.gate, **bias}


def numbers_in(shapes: Mapping[str, Shape]) -> int:
    """Count the numbers in tensors of these shapes."""
    return sum(math.prod(shape) for shape in shapes.values())


def with_biases(maps: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return the weight and the bias of each of these linear maps, convolutions or norms."""
    pairs = {name: (("weight", shape), ("bias", shape[:1])) for name, shape in maps.items()}
    return {f"{name}.{part}": shape for name, own in pairs.items() for part, shape in own}


def vector_tensors(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """Return the tensors of ``vector-moe``."""
    return _small(model, spec, {"embed": (model.hidden, spec.shape[0])})


def image_tensors(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """Return the tensors of ``image-moe``."""
    stem = (STEM_CHANNELS, spec.shape[0], 3, 3)
    embed = (model.hidden, STEM_CHANNELS, 3, 3)
    return _small(model, spec, {"stem": stem, "embed": embed})


def _small(model: ModelConfig, spec: InputSpec, maps: dict[str, Shape]) -> ModelTensors:
    hidden = model.hidden
    inner = model.expert_hidden
    norms = [*(f"norms.{layer}" for layer in range(model.layers)), "norm"]
    maps = {**maps, **dict.fromkeys(norms, (hidden,)), "head": (spec.classes, hidden)}
    expert = with_biases({"up": (inner, hidden), "down": (hidden, inner)})
    factored = ("up.weight", "down.weight")
    gate = (model.experts, hidden)
    return ModelTensors(model.layers, expert, gate, with_biases(maps), factored)


CNN_CHANNELS = (32, 64)
"""Channels after the two convolutions of ``image-cnn``."""


def places_of(spec: InputSpec, stride: int) -> int:
    """Count the places of an image that is made smaller by ``stride``, an odd edge left out."""
    return math.prod(side // stride for side in spec.shape[1:])


def mlp_tensors(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """Return the tensors of ``vector-mlp``."""
    widths = [spec.shape[0]] + [model.hidden] * model.layers
    maps = {f"layers.{n}": (w, widths[n]) for n, w in enumerate(widths[1:])}
    return _plain({**maps, "head": (spec.classes, model.hidden)})


def cnn_tensors(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """Return the tensors of ``image-cnn``."""
    first, second = CNN_CHANNELS
    maps: dict[str, Shape] = {
        "first": (first, spec.shape[0], 3, 3),
        "second": (second, first, 3, 3),
        "hidden": (model.hidden, second * places_of(spec, 4)),
        "head": (spec.classes, model.hidden),
    }
    return _plain(maps, {"first": places_of(spec, 1), "second": places_of(spec, 2)})


def text_mean_tensors(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """Return the tensors of ``text-mean``; its sums of word vectors multiply nothing."""
    words: dict[str, Shape] = {"words.weight": (spec.vocabulary or 0, model.hidden)}
    plain = _plain({"head": (spec.classes, model.hidden)})
    return replace(plain, backbone={**words, **plain.backbone})


def _plain(maps: Mapping[str, Shape], places: Mapping[str, int] | None = None) -> ModelTensors:
    """Return the tensors of a plain model of linear maps and convolutions, each with a bias.

    ``places`` counts the places of a sample that each runs at, 1 where it is not named.
    """
    counted = [((places or {}).get(name, 1), shape) for name, shape in maps.items()]
    products = sum(count * math.prod(shape) for count, shape in counted)
    ends = sum(count * sum(shape[:2]) for count, shape in counted)
    return ModelTensors(0, {}, (), with_biases(maps), (), products=products, activations=ends)


# Networked experts (NMoE): extractor, experts, gates.


def networked_tensors(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """Return the tensors of experts, features -> expert_hidden -> classes, over an extractor."""
    (extractor, places), inner = extractor_of(model, spec), model.expert_hidden
    return ModelTensors(
        layers=1,
        expert=with_biases({"up": (inner, model.hidden), "down": (spec.classes, inner)}),
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
