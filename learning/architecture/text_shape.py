"""Shapes of text models: published ones, and those of a config.json with its rope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from learning.architecture.dense import (
    MOST_EXPERTS,
    MOST_LAYERS,
    BlockShape,
    DenseFamily,
    is_positive,
    number_in,
    positive,
    read_config,
    refuse_other,
    refuse_type,
    wrong_value,
)
from learning.architecture.shapes import ModelTensors, Shape
from learning.settings import ModelConfig

Rope = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class TextShape(BlockShape):
    """A decoder, whose feed-forward networks are gated.

    ``rope`` holds (name, value) pairs of the rotary embedding, ``window`` the tokens that one
    token looks back on (None: all), ``tied`` whether the language head is the embedding.
    """

    head_dim: int
    rope: Rope = (("rope_theta", 1e6), ("rope_type", "default"))
    norm_eps: float = 1e-5
    positions: int = 131_072
    window: int | None = None
    tied: bool = False

    kept_wide = 4
    """The gate before and after SiLU, what it meets, and their product."""

    def tensors(self, classes: int | None) -> ModelTensors:
        """Return its tensors: of a classifier, or of a language model for None."""
        return text_tensors(self, classes)


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


NETWORK = ("gate.weight", "down.weight", "up.weight")
"""Tensors of a feed-forward network."""
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
    with_experts = range(shape.dense_layers, shape.layers)
    paths = tuple(f"model.layers.{layer}.mlp" for layer in with_experts)
    return ModelTensors(paths, expert, (shape.experts, hidden), backbone, tuple(expert))


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
SAME = ("hidden", "expert_hidden", "layers", "heads", "kv_heads", "head_dim", "vocabulary", "rope")
"""What dense models must have in common to be merged."""


def read_shape(
    folder: Path, types: tuple[str, ...], held: tuple[int, int] | None = None
) -> TextShape:
    """Return the shape of a checkpoint; ``held`` are experts and top_k where it is dense."""
    config = read_config(folder)
    refuse_type(folder, config, types)
    refuse_other(folder, config, {"attention_bias": False, "mlp_bias": False, "hidden_act": "silu"})
    number = partial(number_in, folder, config)
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
    norm_eps = positive(folder, "rms_norm_eps", norm_eps)
    if tied is not True and tied is not False:
        raise wrong_value(folder, "tie_word_embeddings", tied, "true or false")
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
        norm_eps=norm_eps,
        positions=number("max_position_embeddings", 131_072),
        window=None if window is None else number("sliding_window"),
        tied=tied,
    )


def dense_name(name: str) -> str:
    """Return what a stored tensor, of its block, is called in a dense model's files."""
    match name.split("."):
        case ["expert", _, layer, matrix, "weight"]:
            return f"model.layers.{layer}.mlp.{matrix}_proj.weight"
        case ["model", "layers", layer, "mlp", matrix, "weight"]:
            return f"model.layers.{layer}.mlp.{matrix}_proj.weight"
        case _:
            return name


LLAMAS = DenseFamily(
    DENSE_TYPES,
    lambda folder, held: read_shape(folder, DENSE_TYPES, held),
    SAME,
    NETWORK,
    lambda name: (dense_name(name),),
)
"""Llama and what has its shape."""


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
