"""What each kind of model has: shapes, keys, pre-training, sequences, precision."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from learning.architecture.nmoe import KINDS as NETWORKED_KINDS
from learning.architecture.nmoe import networked_tensors
from learning.architecture.shapes import image_tensors, vector_tensors
from learning.architecture.text_shape import (
    NAMED,
    TextShape,
    _text,
    merged_shape,
    mixture_shape,
    read_config,
)
from learning.config import LearningConfig, ModelConfig
from learning.data.samples import InputSpec

if TYPE_CHECKING:
    from learning.architecture.shapes import ModelTensors


EMBEDDED = {
    "digits": InputSpec("vector", (64,), 10),
    "digit-images": InputSpec("image", (1, 8, 8), 10),
}
"""Forms of the data that scikit-learn brings along."""


def tensors_of(config: LearningConfig) -> ModelTensors:
    """Return what the model of a task is made of.

    Reads the data where their form decides a shape, and imports torch for kinds of one's own.
    """
    model = config.model
    if model.kind in TEXT_KINDS:
        return _text(text_shape(model), _classes(config))
    if model.kind == "vector-moe":
        return vector_tensors(model, input_spec(config))
    if model.kind == "image-moe":
        return image_tensors(model, input_spec(config))
    if model.kind in NETWORKED_KINDS:
        return networked_tensors(model, input_spec(config))
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


def _measured(config: LearningConfig) -> ModelTensors:
    measured_tensors = resolve_name("learning.models.custom:measured_tensors")  # needs torch
    measured: ModelTensors = measured_tensors(config, input_spec(config))
    return measured


SMALL = ("experts", "top_k", "hidden", "expert_hidden", "layers", "adapter")
NETWORKED = ("top_k", "hidden", "expert_hidden", "layers")
TEXT = (*SMALL, "heads", "kv_heads", "vocabulary", "checkpoints", "tokenizer")

SHARING = ("own_domain_fraction", "partition", "dirichlet_alpha", "classes_per_device")
READING = ("train_samples", "test_samples", "trial_samples")
FILES = ("path", "paths", "columns", "test_fraction", *READING)

DATA_KEYS = {
    "digits": (*SHARING, "trial_samples"),
    "digit-images": (*SHARING, "trial_samples"),
    "jsonl": (*SHARING, *FILES, "tokens"),
    "npz": (*SHARING, *FILES),
    "hf": (*SHARING, *FILES, "tokens"),
}


def model_keys(kind: str, checkpoints: bool) -> tuple[str, ...] | None:
    """Return the keys of ``learning.model`` that a kind uses; None for one that may use any."""
    if kind in ("vector-moe", "image-moe"):
        return SMALL
    if kind in NETWORKED_KINDS:
        return NETWORKED
    if kind in TEXT_KINDS:
        fixed = fixed_keys(kind, checkpoints)
        return tuple(key for key in TEXT if key not in fixed)
    return None


def data_keys(kind: str) -> tuple[str, ...] | None:
    """Return the keys of ``learning.data`` that a kind uses; None for one that may use any."""
    return DATA_KEYS.get(kind)


# How many rows one sample brings through the experts.


IMAGE_STRIDE = 4
"""Two convolutions halve an image each: a token is a place of four by four pixels."""

USUAL_OPTIONS = 4
"""Options of a multiple-choice question where the data are not there to be asked."""


@dataclass(frozen=True)
class Rows:
    """Of one sample: sequences that run through the model, and tokens in each."""

    sequences: int
    tokens: int


def rows_of(config: LearningConfig) -> Rows:
    """Return the rows of one sample.

    A text is one sequence, a question as many as it has options, an image a sequence of its
    places; networked experts serve the features of a whole image. Another kind of model of text is
    taken to run over its tokens, too.
    """
    if config.model.kind in TEXT_KINDS:
        spec = text_spec(config)
        if spec is None:
            return Rows(USUAL_OPTIONS, config.data.tokens)
        return Rows(spec.shape[0] if spec.form == "choices" else 1, spec.shape[-1])
    if config.data.kind == "digits" or config.model.kind in NETWORKED_KINDS:
        return Rows(1, 1)
    from learning.data import load_samples

    spec = load_samples(config).spec
    if spec.form == "image":
        return Rows(1, math.prod(-(-side // IMAGE_STRIDE) for side in spec.shape[1:]))
    if spec.form == "choices":
        return Rows(spec.shape[0], spec.shape[-1])
    return Rows(1, spec.shape[-1] if spec.form == "text" else 1)


# How much the server trains before time begins, where the scenario does not say.


@dataclass(frozen=True)
class Steps:
    """Gradient steps for the dense start model, each expert and the gate."""

    backbone_steps: int
    expert_steps: int
    gate_steps: int


UPCYCLED = Steps(150, 60, 60)
READY_MADE = Steps(0, 0, 60)
"""EMS-FL, Experiment 1: only the gate is pre-trained, for 60 rounds."""
UNTRAINED = Steps(0, 0, 0)
"""NMoE: all three stages are trained by the clients."""


def pretraining_of(config: LearningConfig) -> Steps:
    """Return the steps of a task: as asked for, else those of the kind of model."""
    kind, asked = config.model.kind, config.pretraining
    usual = READY_MADE if kind in TEXT_KINDS or config.model.checkpoints else UPCYCLED
    usual = UNTRAINED if kind in NETWORKED_KINDS else usual

    def chosen(given: int | None, otherwise: int) -> int:
        return otherwise if given is None else given

    return Steps(
        chosen(asked.backbone_steps, usual.backbone_steps),
        chosen(asked.expert_steps, usual.expert_steps),
        chosen(asked.gate_steps, usual.gate_steps),
    )


# The number format that weights are kept and trained in.


BYTES = {"float64": 8, "float32": 4, "bfloat16": 2}


def precision_of(config: LearningConfig) -> str:
    """Return the number format of a task.

    ``auto`` is sixteen bits for the named architectures, as they are published; what a checkpoint
    says that it holds (sixteen bits of either kind become bfloat16); and float32 otherwise.
    """
    if config.precision != "auto":
        return config.precision
    if config.model.kind in NAMED:
        return "bfloat16"
    if not config.model.checkpoints:
        return "float32"
    said = read_config(Path(config.model.checkpoints[0]))
    stored = said.get("dtype") or said.get("torch_dtype") or "float32"
    return "bfloat16" if stored in ("bfloat16", "float16") else "float32"


# Shapes of text models, of a kind's name, of keys or of a checkpoint's config.json.


__all__ = [
    "MERGED",
    "NAMED",
    "TEXT_KINDS",
    "TextShape",
    "fixed_keys",
    "read_config",
    "resolved",
    "text_shape",
]

MIXTURES = ("mixtral", "mixtral-8x7b")
"""Kinds that are mixtures already; a checkpoint is one folder."""
MERGED = ("merged-llama", "llama-3-8b-x3")
"""Kinds whose experts are the feed-forward networks of dense models, one checkpoint each."""
TEXT_KINDS = MIXTURES + MERGED


def text_shape(config: ModelConfig) -> TextShape:
    """Return the shape of a text model; of one with checkpoints, what their config.json says.

    Raises :class:`ValueError` for checkpoints that are missing, of another architecture or of
    shapes that do not go together.
    """
    if config.kind in NAMED:
        # Fixed whatever the folders hold, so that a timing-only run needs none of them: weights of
        # another shape are refused when they are read.
        return _with_all_checkpoints(config, NAMED[config.kind])
    if config.kind == "mixtral" and len(config.checkpoints) > 1:
        raise ValueError(
            f"kind 'mixtral' reads one checkpoint, not {len(config.checkpoints)}; dense models "
            "are put together by kind 'merged-llama'"
        )
    if config.kind == "mixtral":
        if not config.checkpoints:
            return _of_keys(config)
        return mixture_shape(Path(config.checkpoints[0]))
    if config.kind == "merged-llama":
        return merged_shape(config.checkpoints, config.top_k)
    raise ValueError(f"{config.kind!r} is no text model; those are {', '.join(TEXT_KINDS)}")


def resolved(config: ModelConfig) -> ModelConfig:
    """Return ``config`` with the sizes of its :func:`text_shape`; other kinds as they are."""
    if config.kind not in TEXT_KINDS:
        return config
    shape = text_shape(config)
    return replace(
        config,
        experts=shape.experts,
        top_k=shape.top_k,
        hidden=shape.hidden,
        expert_hidden=shape.expert_hidden,
        layers=shape.layers,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        vocabulary=shape.vocabulary,
    )


def fixed_keys(kind: str, checkpoints: bool) -> tuple[str, ...]:
    """Keys of ``learning.model`` that a text kind fixes, so that a scenario must not give them."""
    shape = ("hidden", "expert_hidden", "layers", "heads", "kv_heads", "vocabulary")
    if kind in NAMED or (kind == "mixtral" and checkpoints):
        return ("experts", "top_k", *shape)
    return ("experts", *shape) if kind == "merged-llama" else ()


def _with_all_checkpoints(config: ModelConfig, shape: TextShape) -> TextShape:
    wanted = shape.experts if config.kind in MERGED else 1
    if config.checkpoints and len(config.checkpoints) != wanted:
        raise ValueError(
            f"kind {config.kind!r} reads {wanted} checkpoint{'s' * (wanted > 1)}, not "
            f"{len(config.checkpoints)}"
        )
    return shape


def _of_keys(config: ModelConfig) -> TextShape:
    if config.hidden % config.heads or (config.hidden // config.heads) % 2:
        raise ValueError(
            f"hidden is {config.hidden} and heads {config.heads}; hidden / heads must be a whole, "
            "even number"
        )
    if config.heads % config.kv_heads:
        raise ValueError(f"heads is {config.heads}; must be a multiple of kv_heads")
    return TextShape(
        hidden=config.hidden,
        expert_hidden=config.expert_hidden,
        layers=config.layers,
        heads=config.heads,
        kv_heads=config.kv_heads,
        head_dim=config.hidden // config.heads,
        vocabulary=config.vocabulary,
        experts=config.experts,
        top_k=config.top_k,
    )
