"""What each kind of model and of data is: one row per kind, and what follows from it for a task."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from pkgutil import resolve_name

from learning.architecture.dense import (
    BlockShape,
    DenseFamily,
    merged_shape,
    read_config,
    refuse_hub,
)
from learning.architecture.encoder_shape import BERTS, USUAL_CLASSES
from learning.architecture.shapes import (
    ModelTensors,
    cnn_tensors,
    image_tensors,
    mlp_tensors,
    payload_tensors,
    text_mean_tensors,
    vector_tensors,
)
from learning.architecture.text_shape import (
    LLAMA_3_8B_X3,
    LLAMAS,
    MIXTRAL_8X7B,
    MIXTURE_TYPES,
    SIZES,
    read_shape,
    shape_of_keys,
)
from learning.data.embedded import DIGIT_IMAGES, DIGITS, SYNTHETIC
from learning.data.samples import TEXTS, Form, InputSpec
from learning.data.table import FILES_ONLY
from learning.settings import PAYLOAD, WORDS, LearningConfig, Model, ModelConfig


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
"""The clients train all of it."""


@dataclass(frozen=True)
class Kind:
    """What a kind of ``learning.model.kind`` is.

    ``module`` makes it, as MODULE:CLASS, from data of one of ``forms``. ``keys`` are those of
    ``learning.model`` that it uses, None for any. ``steps`` is how much the server pre-trains it
    where the scenario does not say. ``tensors`` says what it is made of, as a function or, behind a
    door, as the place of one; without it a text model is sized by its shape, and any other one is
    built without memory and measured.

    Of text models, ``shape`` is fixed by the name, else it is that of the checkpoints; those that
    are ``merged`` have the feed-forward networks of dense models of a family as experts, the others
    are mixtures already, in one checkpoint. Of those with ``head_alone`` no other part of the
    backbone is ever trained than the head. With
    ``expert_per_device`` experts are one per device, and its devices answer together. ``plain``
    models have no experts; None stands for a module of one's own, which is asked. A ``weightless``
    one is a size alone: nothing makes or trains it, and it needs no data.
    """

    module: str = ""
    forms: tuple[Form, ...] = ()
    keys: tuple[str, ...] | None = None
    steps: Steps = UPCYCLED
    tensors: Callable[[ModelConfig, InputSpec], ModelTensors] | str | None = None
    shape: BlockShape | None = None
    merged: DenseFamily | None = None
    head_alone: bool = False
    expert_per_device: bool = False
    plain: bool | None = False
    weightless: bool = False

    def made_of(self, model: ModelConfig, spec: InputSpec) -> ModelTensors:
        """Return what a model is made of whose kind has ``tensors``."""
        make = resolve_name(self.tensors) if isinstance(self.tensors, str) else self.tensors
        assert make is not None  # for the type checker: it has them
        made: ModelTensors = make(model, spec)
        return made

    def is_like(self, other: Kind) -> bool:
        """Whether both have no experts, experts of one device each, or experts of all."""
        return (self.plain, self.expert_per_device) == (
            other.plain or False,
            other.expert_per_device,
        )

    @property
    def is_text(self) -> bool:
        """Whether it is a mixture over tokens of text: its devices are trained one by one."""
        return "text" in self.forms and not self.plain

    @property
    def takes_bfloat16(self) -> bool:
        """Whether its frozen weights may be in sixteen bits: not those of small mixtures."""
        return self.is_text or self.plain is not False


MIXTRAL = "learning.text.mixtral:MixtralMoE"
FOLDERS = ("adapter", "checkpoints", "tokenizer")
SMALL = ("experts", "top_k", "hidden", "expert_hidden", "layers", "adapter")
MIXTURE = ("experts", "top_k", "moe_layers", *SIZES, *FOLDERS)
OF_DENSE = ("top_k", "moe_layers", "experts_per_checkpoint", *FOLDERS)
WORDY = ("hidden", "vocabulary", "tokenizer")
PLAIN = "learning.models.small"
VECTOR_NMOE = Kind(
    "learning.nmoe.models:NetworkedMoE",
    ("vector",),
    ("top_k", "hidden", "expert_hidden", "layers"),
    UNTRAINED,
    "learning.nmoe.shapes:networked_tensors",
    expert_per_device=True,
)

KINDS = {
    "vector-moe": Kind(
        "learning.models.small:VectorMoE", ("vector",), SMALL, tensors=vector_tensors
    ),
    "image-moe": Kind("learning.models.small:ImageMoE", ("image",), SMALL, tensors=image_tensors),
    "vector-nmoe": VECTOR_NMOE,
    "image-nmoe": replace(VECTOR_NMOE, forms=("image",)),
    "mixtral": Kind(MIXTRAL, TEXTS, MIXTURE, READY_MADE),
    "mixtral-8x7b": Kind(MIXTRAL, TEXTS, FOLDERS, READY_MADE, shape=MIXTRAL_8X7B),
    "merged-llama": Kind(MIXTRAL, TEXTS, OF_DENSE, READY_MADE, merged=LLAMAS),
    "merged-bert": Kind(
        "learning.text.encoder:BertMoE",
        ("text",),
        OF_DENSE,
        READY_MADE,
        merged=BERTS,
        head_alone=True,
    ),
    "llama-3-8b-x3": Kind(
        MIXTRAL,
        TEXTS,
        ("moe_layers", *FOLDERS),
        READY_MADE,
        shape=LLAMA_3_8B_X3,
        merged=LLAMAS,
    ),
    "vector-mlp": Kind(
        f"{PLAIN}:VectorMLP",
        ("vector",),
        ("hidden", "layers"),
        tensors=mlp_tensors,
        plain=True,
    ),
    "image-cnn": Kind(
        f"{PLAIN}:ImageCNN", ("image",), ("hidden",), tensors=cnn_tensors, plain=True
    ),
    "text-mean": Kind(f"{PLAIN}:TextMean", ("text",), WORDY, tensors=text_mean_tensors, plain=True),
    PAYLOAD: Kind(
        keys=("size_mb", "gflops_per_sample"), tensors=payload_tensors, plain=True, weightless=True
    ),
}
"""Shipped kinds of models; of those that take data of one form, the usual one first."""


def kind_of(name: str) -> Kind:
    """Return what a kind of model is; of a custom one nothing is known beforehand."""
    return KINDS.get(name, Kind(plain=None))


def kinds_for(form: Form) -> list[str]:
    """Return the shipped kinds that take data of ``form``, the usual one first."""
    return [name for name, kind in KINDS.items() if form in kind.forms]


def plain_kind(config: LearningConfig) -> str:
    """Return a shipped kind of plain model for the task's data: all samples are its devices'."""
    form = input_spec(config).form
    plain = [name for name in kinds_for(form) if KINDS[name].plain]
    return plain[0] if plain else "text-mean"


def check_form(model: ModelConfig, spec: InputSpec) -> None:
    """Raise ValueError where a shipped kind of model does not take the data's form."""
    kind = kind_of(model.kind)
    if spec.form not in kind.forms:
        others = [name for name in kinds_for(spec.form) if KINDS[name].is_like(kind)]
        cure = f"; {others[0]!r} takes them" if others else ""
        timing = "" if kind.expert_per_device else ", or learning.train=false for timing only"
        raise ValueError(
            f"learning.model.kind: {model.kind!r} takes {' or '.join(kind.forms)} data, but these "
            f"are {spec.form}{cure}{timing}"
        )
    if spec.form == "image" and kind.plain and min(spec.shape[1:]) < IMAGE_STRIDE:
        raise ValueError(
            f"learning.model.kind: {model.kind!r} takes images of {IMAGE_STRIDE} x {IMAGE_STRIDE} "
            f"pixels or more, channels first, but these have the shape {spec.shape}"
        )


def model_keys(name: str, *, checkpoints: bool) -> tuple[str, ...] | None:
    """Return the keys of ``learning.model`` that a kind uses; None for one that may use any."""
    keys = kind_of(name).keys
    return FOLDERS if keys is MIXTURE and checkpoints else keys


def has_fixed_experts(model: Model) -> bool:
    """Whether an architecture says itself how many experts it has: by its name or checkpoints."""
    return kind_of(model.kind).is_text and "experts" not in (
        model_keys(model.kind, checkpoints=bool(model.checkpoints)) or ()
    )


SHARING = ("own_domain_fraction", "split")
SET_ASIDE = ("trial_samples", "validation")
READING = ("train_samples", "test_samples", *SET_ASIDE)
FILES = ("path", "paths", "columns", "test_fraction", *READING)
OF_TEXTS = ("tokens", "objective")

DATA_KEYS = {
    "digits": (*SHARING, *SET_ASIDE),
    "digit-images": (*SHARING, *SET_ASIDE),
    "images": (*SHARING, "path", "paths", "size", "test_fraction", *READING),
    "jsonl": (*SHARING, *FILES, *OF_TEXTS),
    "npz": (*SHARING, *FILES),
    "hf": (*SHARING, *FILES, *OF_TEXTS),
    "synthetic": ("arguments", "split", *READING),
}
"""Keys of ``learning.data`` that a shipped kind uses; others may use any."""

EMBEDDED = {"digits": DIGITS, "digit-images": DIGIT_IMAGES, "synthetic": SYNTHETIC}
"""Forms of the data that come with scikit-learn, or are drawn."""


def tensors_of(config: LearningConfig) -> ModelTensors:
    """Return what the model of a task is made of.

    Reads the data where their form decides a shape, and imports torch for custom kinds. A text
    model whose data are not there (a timing-only run) is sized as a language model.
    """
    model = config.model
    kind = kind_of(config.model.kind)
    if kind.is_text:
        spec = text_spec(config)
        outputs = spec.outputs if spec is not None and spec.form == "text" else None
        return replace(text_shape(model), experts=model.experts).tensors(outputs)
    if kind.weightless:
        return kind.made_of(model, InputSpec("vector", (0,), 0))
    if kind.tensors is not None:
        texts = kind.plain and "text" in kind.forms
        spec = text_spec(config) if texts else input_spec(config)
        if spec is None:
            spec = InputSpec("text", (config.data.tokens,), USUAL_CLASSES, model.vocabulary)
        if kind.expert_per_device:
            check_form(model, spec)
        return kind.made_of(model, spec)
    measured_tensors = resolve_name("learning.models.custom:measured_tensors")  # needs torch
    return measured_tensors(config, input_spec(config))


def input_spec(config: LearningConfig) -> InputSpec:
    """Return the form of a task's data, read where their kind does not say it."""
    if config.data.kind in EMBEDDED:
        return EMBEDDED[config.data.kind]
    from learning.data.loading import loaded_spec

    return loaded_spec(config)


def trains_blocks(config: LearningConfig) -> bool:
    """Whether more than the head of a text model's backbone is trained."""
    trains = config.trains_backbone or bool(config.personal)
    return trains and not kind_of(config.model.kind).head_alone


def text_spec(config: LearningConfig) -> InputSpec | None:
    """Return the form of a text model's data; None where its files are not there."""
    named = config.data.named
    known = config.data.kind not in FILES_ONLY or all(Path(name).exists() for name in named)
    return input_spec(config) if known and named else None


IMAGE_STRIDE = 4
"""Two convolutions halve an image each: a token is a place of four by four pixels."""

USUAL_OPTIONS = 4
"""Options of a multiple-choice question where the data are not there to be asked."""


@dataclass(frozen=True)
class SequenceShape:
    """Of one sample: sequences that run through the model, and tokens in each."""

    sequences: int
    tokens: int


def sequence_shape(config: LearningConfig) -> SequenceShape:
    """Return the sequences and tokens of one sample.

    A text is one sequence, a question as many as it has options, an image a sequence of its
    places; experts of one device each serve the features of a whole image. A custom model of text
    is taken to run over its tokens, too.
    """
    kind = kind_of(config.model.kind)
    # A plain model's work is counted by sample.
    if kind.expert_per_device or not config.model.experts:
        return SequenceShape(1, 1)
    spec = text_spec(config) if kind.is_text else input_spec(config)
    if spec is None:
        is_question = "choices" in kind.forms and config.data.objective == "label"
        return SequenceShape(USUAL_OPTIONS if is_question else 1, config.data.tokens)
    if spec.form == "image":
        return SequenceShape(1, math.prod(-(-side // IMAGE_STRIDE) for side in spec.shape[1:]))
    if spec.form == "choices":
        return SequenceShape(spec.shape[0], spec.shape[-1])
    return SequenceShape(1, spec.shape[-1] if spec.form in TEXTS else 1)


def pretraining_of(config: LearningConfig) -> Steps:
    """Return the server's gradient steps before time begins: as asked for, else the kind's own."""
    usual = READY_MADE if config.model.checkpoints else kind_of(config.model.kind).steps
    if not config.model.experts:
        usual = UNTRAINED
    asked = {key: getattr(config.pretraining, key) for key in asdict(usual)}
    return replace(usual, **{key: steps for key, steps in asked.items() if steps is not None})


BYTES = {"float64": 8, "float32": 4, "bfloat16": 2}
"""Bytes of one number by its format."""


def precision_of(config: LearningConfig) -> str:
    """Return the number format that the weights of a task are kept and trained in.

    ``auto`` is sixteen bits for the named architectures, as they are published; what a checkpoint
    says that it holds (sixteen bits of either kind become bfloat16); and float32 otherwise. What
    has no weights has the bytes that are given, of float32.
    """
    if kind_of(config.model.kind).weightless:
        return "float32"
    if config.precision != "auto":
        return config.precision
    if kind_of(config.model.kind).shape is not None:
        return "bfloat16"
    if not config.model.checkpoints:
        return "float32"
    checkpoint = read_config(Path(config.model.checkpoints[0]))
    stored = checkpoint.get("dtype") or checkpoint.get("torch_dtype") or "float32"
    return "bfloat16" if stored in ("bfloat16", "float16") else "float32"


def text_shape(config: ModelConfig) -> BlockShape:
    """Return the shape of a text model; of one with checkpoints, what their config.json says.

    Raises :class:`ValueError` for checkpoints that are missing, of another architecture or of
    shapes that do not go together.
    """
    kind = kind_of(config.kind)
    if not kind.is_text:
        texts = ", ".join(name for name in kinds_for("text") if KINDS[name].is_text)
        raise ValueError(f"{config.kind!r} is no text model; those are {texts}")
    if kind.shape is not None:
        # Fixed whatever the folders hold, so that a timing-only run needs none of them: weights of
        # another shape are refused when they are read.
        for place in config.checkpoints:
            refuse_hub(Path(place))
        wanted = kind.shape.experts if kind.merged else 1
        if config.checkpoints and len(config.checkpoints) != wanted:
            checkpoints = "checkpoint" if wanted == 1 else "checkpoints"
            raise ValueError(
                f"kind {config.kind!r} reads {wanted} {checkpoints}, not {len(config.checkpoints)}"
            )
        return kind.shape.with_experts_in(config.moe_layers)
    if kind.merged:
        return merged_shape(config, kind.merged).with_experts_in(config.moe_layers)
    if len(config.checkpoints) > 1:
        raise ValueError(
            f"kind 'mixtral' reads one checkpoint, not {len(config.checkpoints)}; dense models "
            "are put together by kind 'merged-llama'"
        )
    if not config.checkpoints:
        return shape_of_keys(config).with_experts_in(config.moe_layers)
    return read_shape(Path(config.checkpoints[0]), MIXTURE_TYPES)


def resolved(config: ModelConfig) -> ModelConfig:
    """Return ``config`` with the sizes of its :func:`text_shape`; other kinds as they are."""
    if not kind_of(config.kind).is_text:
        return config
    shape = text_shape(config)
    return replace(config, **{key: getattr(shape, key) for key in ("experts", "top_k", *SIZES)})


def resolved_task(config: LearningConfig) -> LearningConfig:
    """Return the task with the sizes of its model as they are.

    A plain model has no experts, and therefore no factors: all of it is trained and sent. Of texts
    it gets hashed words, unless a tokenizer is named: the server has no texts to make one of. A
    module of one's own is made to see which it is, which imports torch.
    """
    model = resolved(config.model)
    plain = kind_of(model.kind).plain
    if plain is None:
        has_experts = resolve_name("learning.models.custom:has_experts")
        plain = not has_experts(config, input_spec(config))
    if not plain:
        return replace(config, model=model)
    model = replace(model, experts=0, top_k=0, lora=replace(model.lora, rank=None))
    if model.tokenizer is None and not model.checkpoints:
        model = replace(model, tokenizer=WORDS)
    return replace(config, model=model, trains_backbone=True)
