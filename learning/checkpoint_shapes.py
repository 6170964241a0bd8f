"""Shapes of text models, read from the config.json of local checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from learning.checkpoint_rope import is_positive, rope_of
from learning.plain_files import read_object
from learning.text_shape import TextShape

DENSE_TYPES = ("llama", "mistral")
MOST, MOST_LAYERS, MOST_EXPERTS = 100_000_000, 1_000, 10_000
"""Far above any published model: numbers beyond are a broken file."""
SAME = ("hidden", "expert_hidden", "layers", "heads", "kv_heads", "head_dim", "vocabulary", "rope")
"""What dense models that are put together have in common."""


def read_config(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's config.json; raise ValueError where there is none that can be read."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; name a local folder with config.json")
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder}: no checkpoint (it has no config.json)")
    return read_object(path)


def mixture_shape(folder: Path) -> TextShape:
    """Return the shape of a Mixtral checkpoint."""
    said = read_config(folder)
    _check_architecture(folder, said, ("mixtral",))
    experts = _number(folder, said, "num_local_experts", 8, most=MOST_EXPERTS)
    return _shape(folder, said, experts, _number(folder, said, "num_experts_per_tok", 2))


def merged_shape(checkpoints: Sequence[str], top_k: int) -> TextShape:
    """Return the shape of dense models put together, an expert each: the first's, if they fit."""
    if not checkpoints:
        raise ValueError("kind 'merged-llama' needs checkpoints: one folder of a dense model each")
    shapes = []
    for place in checkpoints:
        folder = Path(place)
        said = read_config(folder)
        _check_architecture(folder, said, DENSE_TYPES)
        shapes.append(_shape(folder, said, len(checkpoints), top_k))
    for place, shape in zip(checkpoints, shapes, strict=True):
        for key in SAME:
            first, other = getattr(shapes[0], key), getattr(shape, key)
            if first != other:
                raise ValueError(
                    f"{place}: {key} is {other}, but {first} in {checkpoints[0]}; dense models "
                    "must have the same shape to be put together: all of one base model"
                )
    return shapes[0]


def _check_architecture(folder: Path, said: Mapping[str, Any], types: tuple[str, ...]) -> None:
    kind = said.get("model_type")
    if kind not in types:
        raise ValueError(f"{folder}: model_type is {kind!r}; only {' or '.join(types)} is read")
    for key, plain in (("attention_bias", False), ("mlp_bias", False), ("hidden_act", "silu")):
        if said.get(key, plain) not in (plain, None):
            raise ValueError(f"{folder}: {key} is {said[key]!r}; only {plain!r} is read")
    if said.get("quantization_config") is not None:
        raise ValueError(
            f"{folder / 'config.json'}: quantization_config says that the weights are quantised; "
            "use the checkpoint in bfloat16, float16 or float32"
        )


def _shape(folder: Path, said: Mapping[str, Any], experts: int, top_k: int) -> TextShape:
    hidden = _number(folder, said, "hidden_size")
    heads = _number(folder, said, "num_attention_heads")
    kv_heads = _number(folder, said, "num_key_value_heads", heads)
    mixture, window = said["model_type"] == "mixtral", said.get("sliding_window")
    tied = said.get("tie_word_embeddings") or False
    if heads % kv_heads:
        raise ValueError(
            f"{folder / 'config.json'}: num_attention_heads is {heads}; must be a multiple of "
            f"num_key_value_heads, {kv_heads}"
        )
    if tied is not True and tied is not False:
        raise _wrong(folder, "tie_word_embeddings", tied, "true or false")
    return TextShape(
        hidden=hidden,
        expert_hidden=_number(folder, said, "intermediate_size"),
        layers=_number(folder, said, "num_hidden_layers", most=MOST_LAYERS),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=_number(folder, said, "head_dim", hidden // heads),
        vocabulary=_number(folder, said, "vocab_size"),
        experts=experts,
        top_k=top_k,
        rope=rope_of(folder, said),
        norm_eps=_positive(folder, said, "rms_norm_eps", 1e-5 if mixture else 1e-6),
        positions=_number(folder, said, "max_position_embeddings", 131_072),
        window=None if window is None else _number(folder, said, "sliding_window"),
        tied=tied,
    )


def _number(
    folder: Path,
    said: Mapping[str, Any],
    key: str,
    default: int | None = None,
    most: int = MOST,
) -> int:
    value = said.get(key)
    value = default if value is None else value
    if type(value) is not int or not 1 <= value <= most:
        raise _wrong(folder, key, value, f"a whole number from 1 to {most}")
    return value


def _positive(folder: Path, said: Mapping[str, Any], key: str, default: float) -> float:
    value = said.get(key)
    value = default if value is None else value
    if not is_positive(value):
        raise _wrong(folder, key, value, "a number above 0")
    return float(value)


def _wrong(folder: Path, key: str, value: object, wanted: str) -> ValueError:
    return ValueError(f"{folder / 'config.json'}: {key} is {value!r:.60}; must be {wanted}")
