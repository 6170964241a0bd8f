"""Shapes of Llama-like text models, read from a kind, from keys or from a checkpoint's config.json.

Torch-free: what a model costs is known before torch is imported or a weight is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from learning.config import ModelConfig

Rope = tuple[tuple[str, Any], ...]

MIXTURES = ("mixtral", "mixtral-8x7b")
"""Kinds that are mixtures already; a checkpoint is one folder."""
MERGED = ("merged-llama", "llama-3-8b-x3")
"""Kinds whose experts are the feed-forward networks of dense models, one checkpoint each."""
TEXT_KINDS = MIXTURES + MERGED

DENSE_TYPES = ("llama", "mistral")
ROPE_TYPES = ("default", "linear", "llama3", "yarn")
"""Rotary embeddings whose frequencies do not depend on the length of a text."""


@dataclass(frozen=True)
class TextShape:
    """A decoder of ``layers`` blocks of attention and a mixture of gated feed-forward networks.

    ``rope`` holds (name, value) pairs of the rotary embedding, ``window`` the tokens that one
    token looks back on (None: all), ``tied`` whether the language head is the embedding.
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

    @property
    def expert_matrices(self) -> tuple[tuple[int, int], ...]:
        """(in, out) of gate, up and down of one expert in one layer."""
        hidden, inner = self.hidden, self.expert_hidden
        return ((hidden, inner), (hidden, inner), (inner, hidden))

    @property
    def expert_parameters(self) -> int:
        """Weights of one expert over all layers."""
        return self.layers * 3 * self.hidden * self.expert_hidden

    @property
    def gate_parameters(self) -> int:
        """Weights of the gate over all layers."""
        return self.layers * self.hidden * self.experts

    @property
    def backbone_parameters(self) -> int:
        """Weights of embedding, attention and norms: all but experts, gate and head."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = 2 * self.hidden * queries + 2 * self.hidden * keys
        norms = 2 * self.hidden
        return self.layers * (attention + norms) + (self.vocabulary + 1) * self.hidden

    def head_parameters(self, classes: int | None = None) -> int:
        """Weights of the head: of ``classes``, or the language head (none of its own if tied)."""
        if classes is not None:
            return classes * self.hidden
        return 0 if self.tied else self.vocabulary * self.hidden


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
NAMED = {"llama-3-8b-x3": LLAMA_3_8B_X3, "mixtral-8x7b": MIXTRAL_8X7B}
"""Shapes that a kind's name fixes."""


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
        return _mixture(Path(config.checkpoints[0])) if config.checkpoints else _of_keys(config)
    if config.kind == "merged-llama":
        return _merged(config)
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


def read_config(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's config.json; raise ValueError where there is none that can be read."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; name a local folder with config.json")
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder}: no checkpoint (it has no config.json)")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    if not isinstance(said, dict):
        raise ValueError(f"{path}: should be a JSON object")
    return said


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


def _mixture(folder: Path) -> TextShape:
    said = read_config(folder)
    _check_architecture(folder, said, ("mixtral",))
    experts = _number(folder, said, "num_local_experts", 8)
    return _shape(folder, said, experts, _number(folder, said, "num_experts_per_tok", 2))


def _merged(config: ModelConfig) -> TextShape:
    if not config.checkpoints:
        raise ValueError("kind 'merged-llama' needs checkpoints: one folder of a dense model each")
    shapes = []
    for place in config.checkpoints:
        folder = Path(place)
        said = read_config(folder)
        _check_architecture(folder, said, DENSE_TYPES)
        shapes.append(_shape(folder, said, len(config.checkpoints), config.top_k))
    for place, shape in zip(config.checkpoints, shapes, strict=True):
        for key in ("hidden", "expert_hidden", "layers"):
            first, other = getattr(shapes[0], key), getattr(shape, key)
            if first != other:
                raise ValueError(
                    f"{place}: {key} is {other}, but {first} in {config.checkpoints[0]}; dense "
                    "models must have the same shape to be put together"
                )
    return shapes[0]


def _check_architecture(folder: Path, said: Mapping[str, Any], types: tuple[str, ...]) -> None:
    kind = said.get("model_type")
    if kind not in types:
        raise ValueError(f"{folder}: model_type is {kind!r}; only {' or '.join(types)} is read")
    for key, plain in (("attention_bias", False), ("mlp_bias", False), ("hidden_act", "silu")):
        if said.get(key, plain) not in (plain, None):
            raise ValueError(f"{folder}: {key} is {said[key]!r}; only {plain!r} is read")
    rope = dict(_rope(said))["rope_type"]
    if rope not in ROPE_TYPES:
        raise ValueError(f"{folder}: rope_type is {rope!r}; only {', '.join(ROPE_TYPES)} are read")


def _shape(folder: Path, said: Mapping[str, Any], experts: int, top_k: int) -> TextShape:
    hidden = _number(folder, said, "hidden_size")
    heads = _number(folder, said, "num_attention_heads")
    return TextShape(
        hidden=hidden,
        expert_hidden=_number(folder, said, "intermediate_size"),
        layers=_number(folder, said, "num_hidden_layers"),
        heads=heads,
        kv_heads=_number(folder, said, "num_key_value_heads", heads),
        head_dim=_number(folder, said, "head_dim", hidden // heads),
        vocabulary=_number(folder, said, "vocab_size"),
        experts=experts,
        top_k=top_k,
        rope=_rope(said),
        norm_eps=float(said.get("rms_norm_eps", 1e-5 if said["model_type"] == "mixtral" else 1e-6)),
        positions=_number(folder, said, "max_position_embeddings", 131_072),
        window=said.get("sliding_window"),
        tied=bool(said.get("tie_word_embeddings", False)),
    )


def _number(folder: Path, said: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = said.get(key)
    value = default if value is None else value
    if type(value) is not int or value < 1:
        raise ValueError(f"{folder / 'config.json'}: {key} is {value!r}; must be a whole number")
    return value


def _rope(said: Mapping[str, Any]) -> Rope:
    """Rotary parameters as files of either age give them: one object, or theta and a scaling."""
    theta = said.get("rope_theta", 1e6 if said["model_type"] == "mixtral" else 1e4)
    given = said.get("rope_parameters") or said.get("rope_scaling") or {}
    found = {"rope_type": given.get("type", "default"), "rope_theta": theta, **given}
    found.pop("type", None)
    return tuple(sorted(found.items()))
