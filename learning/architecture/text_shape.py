"""Shapes of text models: published ones, and those of a config.json with its rope."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from learning.architecture.shapes import ModelTensors, Shape
from learning.files import read_object
from learning.settings import ModelConfig

Rope = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class TextShape:
    """A decoder of ``layers`` blocks of attention and a mixture of gated feed-forward networks.

    ``rope`` holds (name, value) pairs of the rotary embedding, ``window`` the tokens that one
    token looks back on (None: all), ``tied`` whether the language head is the embedding. The first
    ``dense_layers`` blocks have one feed-forward network as wide as an expert, and no gate.
    """

    hidden: int
    expert_hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    experts: int
    top_k: int
    rope: Rope = (("rope_theta", 1e6), ("rope_type", "default"))
    norm_eps: float = 1e-5
    positions: int = 131_072
    window: int | None = None
    tied: bool = False
    dense_layers: int = 0

    def with_experts_in(self, last: int | None) -> TextShape:
        """Return the same with experts in so many of the last blocks alone; None for all.

        Raises ValueError for more blocks than there are.
        """
        if last is None:
            return self
        if last > self.layers:
            raise ValueError(
                f"learning.model.moe_layers: got {last}; the model has {self.layers} layers"
            )
        return replace(self, dense_layers=self.layers - last)


LLAMA_3_8B_X3 = TextShape(
    hidden=4096,
    expert_hidden=14_336,
    layers=32,
    heads=32,
    kv_heads=8,
    head_dim=128,
    vocabulary=128_256,
    experts=3,
    top_k=1,
    rope=(("rope_theta", 500_000.0), ("rope_type", "default")),
    positions=8192,
)
MIXTRAL_8X7B = replace(
    LLAMA_3_8B_X3,
    vocabulary=32_000,
    experts=8,
    top_k=2,
    rope=(("rope_theta", 1e6), ("rope_type", "default")),
    positions=32_768,
)


SIZES = ("hidden", "expert_hidden", "layers", "heads", "kv_heads", "vocabulary")
"""What the keys of ``learning.model`` say of a text model, besides its experts."""


def text_tensors(shape: TextShape, classes: int | None) -> ModelTensors:
    """Return the tensors of a text model: a classifier of ``classes``, or a language model."""
    hidden = shape.hidden
    inner = shape.expert_hidden
    queries = shape.heads * shape.head_dim
    keys = shape.kv_heads * shape.head_dim
    expert: dict[str, Shape] = {
        "gate.weight": (inner, hidden),
        "up.weight": (inner, hidden),
        "down.weight": (hidden, inner),
    }
    backbone: dict[str, Shape] = {"model.embed_tokens.weight": (shape.vocabulary, hidden)}
    layers: dict[str, Shape] = {
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
    }
    for layer in range(shape.layers):
        own = layers
        if layer < shape.dense_layers:
            own = layers | {f"mlp.{name.removesuffix('.weight')}": s for name, s in expert.items()}
        backbone |= {f"model.layers.{layer}.{name}.weight": s for name, s in own.items()}
    backbone["model.norm.weight"] = (hidden,)
    if classes is not None:
        backbone["score.weight"] = (classes, hidden)
    elif not shape.tied:
        backbone["lm_head.weight"] = (shape.vocabulary, hidden)
    with_experts = shape.layers - shape.dense_layers
    return ModelTensors(with_experts, expert, (shape.experts, hidden), backbone, tuple(expert))


def shape_of_keys(config: ModelConfig) -> TextShape:
    """Return the shape that the keys of ``learning.model`` give a mixture without checkpoints."""
    if config.hidden % config.heads or (config.hidden // config.heads) % 2:
        raise ValueError(
            f"hidden is {config.hidden} and heads {config.heads}; hidden / heads must be a whole, "
            "even number"
        )
    if config.heads % config.kv_heads:
        raise ValueError(f"heads is {config.heads}; must be a multiple of kv_heads")
    keys = ("experts", "top_k", *SIZES)
    sizes = {key: getattr(config, key) for key in keys}
    return TextShape(head_dim=config.hidden // config.heads, **sizes)


# Shapes of text models, read from the config.json of local checkpoints.


MIXTURE_TYPES = ("mixtral",)
DENSE_TYPES = ("llama", "mistral")
MOST = 100_000_000
MOST_LAYERS = 1_000
MOST_EXPERTS = 10_000
"""Far above any published model: larger numbers mean a broken file."""
SAME = ("hidden", "expert_hidden", "layers", "heads", "kv_heads", "head_dim", "vocabulary", "rope")
"""What dense models must have in common to be merged."""


def refuse_gguf(place: Path) -> None:
    """Raise ValueError for a GGUF file, and for a folder that holds one and no safetensors."""
    is_one = place.suffix == ".gguf" and place.is_file()
    found = [place] if is_one else sorted(place.glob("*.gguf"))
    if found and not any(place.glob("*.safetensors")):
        raise ValueError(
            f"{place}: holds GGUF ({found[0].name}), which cannot be trained; use the model's "
            "safetensors, or convert it: leomix fetch-model smollm2 FOLDER does so for SmolLM2"
        )


def read_config(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's config.json; raise ValueError where there is none that can be read."""
    refuse_gguf(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; name a local folder with config.json")
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder}: no checkpoint (it has no config.json)")
    return read_object(path)


def merged_shape(config: ModelConfig) -> TextShape:
    """Return the shape of dense models whose networks are experts: that of the first, if all fit.

    Each is as many experts as ``config.experts_per_checkpoint``, which are equal.
    """
    checkpoints = config.checkpoints
    if not checkpoints:
        raise ValueError(f"kind {config.kind!r} needs checkpoints: folders of dense models")
    held = len(checkpoints) * config.experts_per_checkpoint, config.top_k
    if config.top_k > held[0]:
        raise ValueError(
            f"learning.model.top_k: got {config.top_k}; {len(checkpoints)} x "
            f"{config.experts_per_checkpoint} experts (checkpoints x experts_per_checkpoint) are "
            f"{held[0]}, and a token goes to no more"
        )
    shapes = [read_shape(Path(place), DENSE_TYPES, held) for place in checkpoints]
    for place, shape in zip(checkpoints, shapes, strict=True):
        for key in SAME:
            first = getattr(shapes[0], key)
            other = getattr(shape, key)
            if first != other:
                raise ValueError(
                    f"{place}: {key} is {other}, but {first} in {checkpoints[0]}; dense models "
                    "must have the same shape to be put together: all of one base model"
                )
    return shapes[0]


def read_shape(
    folder: Path, types: tuple[str, ...], held: tuple[int, int] | None = None
) -> TextShape:
    """Return the shape of a checkpoint; ``held`` are experts and top_k where it is dense."""
    config = read_config(folder)
    kind = config.get("model_type")
    if kind not in types:
        raise ValueError(
            f"{folder}: model_type is {kind!r}; only {' or '.join(types)} is read, others by a "
            "model of your own (docs/your-own.md)"
        )
    for key, plain in (("attention_bias", False), ("mlp_bias", False), ("hidden_act", "silu")):
        if config.get(key, plain) not in (plain, None):
            raise ValueError(f"{folder}: {key} is {config[key]!r}; only {plain!r} is read")
    if config.get("quantization_config") is not None:
        raise ValueError(
            f"{folder / 'config.json'}: quantization_config says that the weights are quantised; "
            "use the checkpoint in bfloat16, float16 or float32"
        )
    number = partial(_number, folder, config)
    hidden = number("hidden_size")
    heads = number("num_attention_heads")
    kv_heads = number("num_key_value_heads", heads)
    mixture = config["model_type"] == "mixtral"
    window = config.get("sliding_window")
    tied = config.get("tie_word_embeddings") or False
    if held is None:
        most = MOST_EXPERTS
        held = number("num_local_experts", 8, most), number("num_experts_per_tok", 2)
    if heads % kv_heads:
        raise ValueError(
            f"{folder / 'config.json'}: num_attention_heads is {heads}; must be a multiple of "
            f"num_key_value_heads, {kv_heads}"
        )
    norm_eps = config.get("rms_norm_eps")
    norm_eps = (1e-5 if mixture else 1e-6) if norm_eps is None else norm_eps
    if not is_positive(norm_eps):
        raise _wrong(folder, "rms_norm_eps", norm_eps, "a number above 0")
    if tied is not True and tied is not False:
        raise _wrong(folder, "tie_word_embeddings", tied, "true or false")
    return TextShape(
        hidden=hidden,
        expert_hidden=number("intermediate_size"),
        layers=number("num_hidden_layers", most=MOST_LAYERS),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=number("head_dim", hidden // heads),
        vocabulary=number("vocab_size"),
        experts=held[0],
        top_k=held[1],
        rope=rope_of(folder, config),
        norm_eps=float(norm_eps),
        positions=number("max_position_embeddings", 131_072),
        window=None if window is None else number("sliding_window"),
        tied=tied,
    )


def _number(
    folder: Path, config: Mapping[str, Any], key: str, default: int | None = None, most: int = MOST
) -> int:
    value = config.get(key)
    value = default if value is None else value
    if type(value) is not int or not 1 <= value <= most:
        raise _wrong(folder, key, value, f"a whole number from 1 to {most}")
    return value


def _wrong(folder: Path, key: str, value: object, wanted: str) -> ValueError:
    return ValueError(f"{folder / 'config.json'}: {key} is {value!r:.60}; must be {wanted}")


# Rotary embeddings, read from the config.json of local checkpoints.


NEEDED = {
    "default": (),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
    "yarn": ("factor",),
}
"""Rotary embeddings whose frequencies do not depend on the length of a text; what each needs."""


def rope_of(folder: Path, config: Mapping[str, Any]) -> Rope:
    """Return rotary parameters, which newer files give as one object, older as theta and scaling.

    Raises :class:`ValueError` for kinds that are not read, and for missing or wrong numbers.
    """
    key = "rope_parameters" if config.get("rope_parameters") is not None else "rope_scaling"
    given = {} if config.get(key) is None else config[key]
    where = f"{folder / 'config.json'}: {key}"
    if not isinstance(given, Mapping):
        raise ValueError(f"{where} is {given!r:.60}; must be an object with rope_type")
    theta = config.get("rope_theta", 1e6 if config["model_type"] == "mixtral" else 1e4)
    found = {"rope_type": given.get("type", "default"), "rope_theta": theta, **given}
    found.pop("type", None)
    kind = found["rope_type"]
    if not isinstance(kind, str) or kind not in NEEDED:
        raise ValueError(f"{folder}: rope_type is {kind!r}; only {', '.join(NEEDED)} are read")
    for name in NEEDED[kind]:
        if found.get(name) is None:
            raise ValueError(f"{where} lacks {name}, which rope_type {kind!r} needs; add it")
    for name in sorted(found.keys() - {"rope_type"}):
        value = found[name]
        counts = name in ("rope_theta", *NEEDED[kind])
        if not is_positive(value) if counts else not isinstance(value, bool | int | float | None):
            place = where if name in given else f"{folder / 'config.json'}"
            wanted = "a number above 0" if counts else "a number"
            raise ValueError(f"{place}: {name} is {value!r:.60}; must be {wanted}")
    return tuple(sorted(found.items()))


def is_positive(value: object) -> bool:
    """Whether a JSON value is a finite number above 0."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < math.inf  # type: ignore[operator]
