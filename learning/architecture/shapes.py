"""ModelTensors, counting, the small mixtures of experts, and the plain models.

Shipped kinds have closed forms, so that a timing-only run needs no torch. The module of any other
kind is built without memory and measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

from learning.data.samples import InputSpec
from learning.settings import ModelConfig

Shape = tuple[int, ...]

OWN = "own."
"""Stands before a stored name of the backbone that would else be that of an expert or a gate."""

STEM_CHANNELS = 32
"""Channels after the first convolution of ``image-moe``."""


@dataclass(frozen=True)
class ModelTensors:
    """Shapes by name: of one ``expert`` in one layer, of one layer's ``gate``, of the rest.

    ``paths`` are where its layers with experts lie in the module.
    ``factored`` names the expert's matrices that can have low-rank factors. ``gate_bias`` says that
    a gate has a bias (E,) too. ``places`` counts the positions of a sample that a matrix of the
    backbone is multiplied at, where they are more than its tokens. What is ``frozen`` of the
    backbone is never trained.

    A plain model has no layers with experts: all of it is backbone. Of one sample ``products``
    counts the multiplications of weights, and ``activations`` what its maps take in and give out;
    None stands for one row through every matrix.
    """

    paths: tuple[str, ...]
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
    def layers(self) -> int:
        """How many layers have experts."""
        return len(self.paths)

    @cached_property
    def stored_by_path(self) -> dict[str, str]:
        """Stored names of gates and backbone, without what is frozen, by path in the module."""
        gates = {
            f"{path}.gate.{name}": f"gate.{layer}.{name}"
            for layer, path in enumerate(self.paths)
            for name in self.gate_shapes
        }
        rest = {name.removeprefix(OWN): name for name in self.backbone if name not in self.frozen}
        return gates | rest

    def expert_paths(self, experts: int) -> list[str]:
        """Return the paths in the module of the tensors of so many experts."""
        places = product(self.paths, range(experts), self.expert)
        return [f"{path}.experts.{expert}.{name}" for path, expert, name in places]

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
    maps = {**maps, **dict.fromkeys(norms, (hidden,)), "head": (spec.outputs, hidden)}
    expert = with_biases({"up": (inner, hidden), "down": (hidden, inner)})
    factored = ("up.weight", "down.weight")
    gate = (model.experts, hidden)
    paths = tuple(f"moe.{layer}" for layer in range(model.layers))
    return ModelTensors(paths, expert, gate, with_biases(maps), factored)


CNN_CHANNELS = (32, 64)
"""Channels after the two convolutions of ``image-cnn``."""


def places_of(spec: InputSpec, stride: int) -> int:
    """Count the places of an image that is made smaller by ``stride``, an odd edge left out."""
    return math.prod(side // stride for side in spec.shape[1:])


def mlp_tensors(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """Return the tensors of ``vector-mlp``."""
    widths = [spec.shape[0]] + [model.hidden] * model.layers
    maps = {f"layers.{n}": (w, widths[n]) for n, w in enumerate(widths[1:])}
    return _plain({**maps, "head": (spec.outputs, model.hidden)})


def cnn_tensors(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """Return the tensors of ``image-cnn``."""
    first, second = CNN_CHANNELS
    maps: dict[str, Shape] = {
        "first": (first, spec.shape[0], 3, 3),
        "second": (second, first, 3, 3),
        "hidden": (model.hidden, second * places_of(spec, 4)),
        "head": (spec.outputs, model.hidden),
    }
    return _plain(maps, {"first": places_of(spec, 1), "second": places_of(spec, 2)})


def text_mean_tensors(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """Return the tensors of ``text-mean``; its sums of word vectors multiply nothing."""
    words: dict[str, Shape] = {"words.weight": (spec.vocabulary or 0, model.hidden)}
    plain = _plain({"head": (spec.outputs, model.hidden)})
    return replace(plain, backbone={**words, **plain.backbone})


PAYLOAD_BYTES = 4
"""Bytes of each number of a payload."""


def payload_tensors(model: ModelConfig, _: InputSpec) -> ModelTensors:
    """Return the one tensor of ``payload``: as many numbers of four bytes as it has bytes for.

    Unless its work is given, each of them is multiplied once for a sample. What lies between its
    layers is not known, and not counted.
    """
    assert model.size_mb is not None  # settings ask for it
    numbers = max(round(model.size_mb * 1e6 / PAYLOAD_BYTES), 1)
    forward = model.gflops_per_sample
    products = numbers if forward is None else round(forward * 1e9 / 2)
    whole = {"payload": (numbers,)}
    return ModelTensors((), {}, (), whole, (), products=products, activations=0)


def _plain(maps: Mapping[str, Shape], places: Mapping[str, int] | None = None) -> ModelTensors:
    """Return the tensors of a plain model of linear maps and convolutions, each with a bias.

    ``places`` counts the places of a sample that each runs at, 1 where it is not named.
    """
    counted = [((places or {}).get(name, 1), shape) for name, shape in maps.items()]
    products = sum(count * math.prod(shape) for count, shape in counted)
    ends = sum(count * sum(shape[:2]) for count, shape in counted)
    return ModelTensors((), {}, (), with_biases(maps), (), products=products, activations=ends)
