"""Shapes of text models, of a kind's name, of keys or of a checkpoint's config.json.

Torch-free: what a model costs is known before torch is imported or a weight is read.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from learning.checkpoint_shapes import merged_shape, mixture_shape, read_config
from learning.config import ModelConfig
from learning.text_shape import NAMED, TextShape

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
