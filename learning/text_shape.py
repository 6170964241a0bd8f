"""The sizes of a Llama-like text model, and those of published ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

Rope = tuple[tuple[str, Any], ...]


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
