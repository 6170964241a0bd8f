"""Which tensors a kind of model is made of: names and shapes, without weights.

Shipped kinds are written down in closed form, so that a timing-only run needs no torch. Any other
kind is asked: its module is built without memory and looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from learning.config import LearningConfig, ModelConfig
from learning.data.samples import InputSpec
from learning.networked.shapes import KINDS as NETWORKED_KINDS
from learning.networked.shapes import expert_shapes, extractor_of
from learning.shapes import TEXT_KINDS, TextShape, text_shape

Shape = tuple[int, ...]

STEM_CHANNELS = 32
"""Channels behind the first convolution of ``image-moe``."""

EMBEDDED = {
    "digits": InputSpec("vector", (64,), 10),
    "digit-images": InputSpec("image", (1, 8, 8), 10),
}
"""Forms of the data that scikit-learn brings along."""


@dataclass(frozen=True)
class ModelTensors:
    """Shapes by name: of one ``expert`` in one layer, of one layer's ``gate``, of the rest.

    ``factored`` names the expert's matrices that low-rank factors can stand beside.
    ``gate_bias`` says that a gate has a bias (E,) too. ``places`` are those of a sample that a
    matrix of the backbone is multiplied at, where they are more than its tokens.
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


def tensors_of(config: LearningConfig) -> ModelTensors:
    """Return what the model of a task is made of.

    Reads the data where their form decides a shape, and imports torch for kinds of one's own.
    """
    model = config.model
    if model.kind in TEXT_KINDS:
        return _text(text_shape(model), _classes(config))
    if model.kind == "vector-moe":
        return _vector(model, input_spec(config))
    if model.kind == "image-moe":
        return _image(model, input_spec(config))
    if model.kind in NETWORKED_KINDS:
        return _networked(model, input_spec(config))
    return _measured(config)


def input_spec(config: LearningConfig) -> InputSpec:
    """Return the form of a task's data, read where their kind does not say it."""
    if config.data.kind in EMBEDDED:
        return EMBEDDED[config.data.kind]
    from learning.data import load_samples

    return load_samples(config).spec


def _classes(config: LearningConfig) -> int | None:
    """Classes of a classification head; None for a language model that scores options.

    Without the data (a timing-only run) the model is sized as a language model.
    """
    spec = text_spec(config)
    return spec.classes if spec is not None and spec.form == "text" else None


def text_spec(config: LearningConfig) -> InputSpec | None:
    """Return the form of a text model's data; None where its files are not there."""
    named = [config.data.path, *(path for _, path in config.data.paths)]
    local = [name for name in named if name is not None]
    known = config.data.kind not in ("jsonl", "npz") or all(Path(name).exists() for name in local)
    return input_spec(config) if known and local else None


def _vector(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    ends = {
        "embed.weight": (model.hidden, spec.shape[0]),
        "embed.bias": (model.hidden,),
    }
    return _small(model, spec, ends)


def _image(model: ModelConfig, spec: InputSpec) -> ModelTensors:
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


def _networked(model: ModelConfig, spec: InputSpec) -> ModelTensors:
    """One layer of experts behind an extractor; see :mod:`learning.networked.shapes`."""
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


def _text(shape: TextShape, classes: int | None) -> ModelTensors:
    hidden, inner = shape.hidden, shape.expert_hidden
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    expert: dict[str, Shape] = {
        "gate.weight": (inner, hidden),
        "up.weight": (inner, hidden),
        "down.weight": (hidden, inner),
    }
    backbone: dict[str, Shape] = {"model.embed_tokens.weight": (shape.vocabulary, hidden)}
    for layer in range(shape.layers):
        backbone |= {
            f"model.layers.{layer}.self_attn.q_proj.weight": (queries, hidden),
            f"model.layers.{layer}.self_attn.k_proj.weight": (keys, hidden),
            f"model.layers.{layer}.self_attn.v_proj.weight": (keys, hidden),
            f"model.layers.{layer}.self_attn.o_proj.weight": (hidden, queries),
            f"model.layers.{layer}.input_layernorm.weight": (hidden,),
            f"model.layers.{layer}.post_attention_layernorm.weight": (hidden,),
        }
    backbone["model.norm.weight"] = (hidden,)
    if classes is not None:
        backbone["score.weight"] = (classes, hidden)
    elif not shape.tied:
        backbone["lm_head.weight"] = (shape.vocabulary, hidden)
    return ModelTensors(shape.layers, expert, (shape.experts, hidden), backbone, tuple(expert))


def _measured(config: LearningConfig) -> ModelTensors:
    from learning.measured import measured_tensors

    return measured_tensors(config, input_spec(config))
