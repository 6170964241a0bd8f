"""Shapes of encoders of text: BERT, as the config.json of a local checkpoint says it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from learning.architecture.dense import (
    MOST_LAYERS,
    BlockShape,
    DenseFamily,
    number_in,
    positive,
    read_config,
    refuse_other,
    refuse_type,
    wrong_value,
)
from learning.architecture.shapes import ModelTensors, Shape, with_biases

TYPES = ("bert",)
USUAL = {
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}
"""What is read of keys that would make another function of the same tensors."""
USUAL_CLASSES = 2
"""Classes of a text where the data are not there to be asked."""
HEAD = "score"
"""What the head is called: the only part of the backbone that is ever trained."""


@dataclass(frozen=True, kw_only=True)
class EncoderShape(BlockShape):
    """A BERT (Devlin et al., NAACL 2019), whose texts have so many ``token_types``: [CLS] a [SEP]
    is of the first, b [SEP] of the second."""

    token_types: int
    norm_eps: float

    kept_wide = 2
    """What is before and after GELU."""

    def tensors(self, classes: int | None) -> ModelTensors:
        """Return its tensors, with a head for so many classes."""
        hidden, inner = self.hidden, self.expert_hidden
        up: dict[str, Shape] = {"up": (inner, hidden)}
        down: dict[str, Shape] = {"down": (hidden, inner)}
        tables: dict[str, Shape] = {
            "bert.embeddings.word_embeddings.weight": (self.vocabulary, hidden),
            "bert.embeddings.position_embeddings.weight": (self.positions, hidden),
            "bert.embeddings.token_type_embeddings.weight": (self.token_types, hidden),
        }
        maps: dict[str, Shape] = {"bert.embeddings.LayerNorm": (hidden,)}
        for layer in range(self.layers):
            block = f"bert.encoder.layer.{layer}"
            for name in ("query", "key", "value"):
                maps[f"{block}.attention.self.{name}"] = (hidden, hidden)
            maps[f"{block}.attention.output.dense"] = (hidden, hidden)
            maps[f"{block}.attention.output.LayerNorm"] = (hidden,)
            if layer < self.dense_layers:
                maps[f"{block}.intermediate.dense"] = (inner, hidden)
                maps[f"{block}.output.dense"] = (hidden, inner)
            maps[f"{block}.output.LayerNorm"] = (hidden,)
        frozen = {**tables, **with_biases(maps)}
        head = with_biases({HEAD: (USUAL_CLASSES if classes is None else classes, hidden)})
        with_experts = range(self.dense_layers, self.layers)
        return ModelTensors(
            tuple(f"bert.encoder.layer.{layer}.intermediate" for layer in with_experts),
            with_biases(up | down),
            (self.experts, hidden),
            frozen | head,
            ("up.weight", "down.weight"),
            frozen=frozenset(frozen),
        )


def read_encoder(folder: Path, held: tuple[int, int]) -> EncoderShape:
    """Return the shape of a checkpoint with so many experts and top_k; ValueError for others."""
    config = read_config(folder)
    refuse_type(folder, config, TYPES)
    refuse_other(folder, config, USUAL)
    number = partial(number_in, folder, config)
    hidden = number("hidden_size")
    heads = number("num_attention_heads")
    if hidden % heads:
        text = f"a multiple of num_attention_heads, {heads}"
        raise wrong_value(folder, "hidden_size", hidden, text)
    norm_eps = positive(folder, "layer_norm_eps", config.get("layer_norm_eps", 1e-12))
    experts, top_k = held
    return EncoderShape(
        hidden=hidden,
        expert_hidden=number("intermediate_size"),
        layers=number("num_hidden_layers", most=MOST_LAYERS),
        heads=heads,
        kv_heads=heads,
        vocabulary=number("vocab_size"),
        experts=experts,
        top_k=top_k,
        positions=number("max_position_embeddings", 512),
        token_types=number("type_vocab_size", 2),
        norm_eps=norm_eps,
    )


def file_names(name: str) -> tuple[str, ...]:
    """Return what files call a stored tensor, of its block: those of an encoder, or with a head."""
    match name.split("."):
        case ["expert", _, layer, "up", part]:
            plain = f"encoder.layer.{layer}.intermediate.dense.{part}"
        case ["expert", _, layer, "down", part]:
            plain = f"encoder.layer.{layer}.output.dense.{part}"
        case _:
            plain = name.removeprefix("bert.")
    return plain, f"bert.{plain}"


BERTS = DenseFamily(
    TYPES,
    read_encoder,
    (
        *("hidden", "expert_hidden", "layers", "heads", "vocabulary"),
        *("positions", "token_types", "norm_eps"),
    ),
    ("up.weight", "up.bias", "down.weight", "down.bias"),
    file_names,
)
"""BERT and what has its shape."""
