"""What the tokens of a text model take while they run, in bytes, counted along its blocks.

Counted are the tensors of :mod:`learning.models.mixtral` and :mod:`learning.models.encoder` as
torch keeps them: nothing is fitted.
Weights that are frozen keep no inputs; norms and the loss are computed in single precision.
"""

from __future__ import annotations

from dataclasses import dataclass

from learning.architecture.dense import BlockShape

SINGLE_BYTES = 4
"""Bytes of a number in single precision."""
ATTENTION = 4
"""Queries, keys and values as they are compared, repeated for all heads, and what comes out."""
WIDE_AT_ONCE = 4
"""Of one that keeps nothing: the gate, and another map with what its factors add to it."""
NARROW_AT_ONCE = 4
"""In a block that keeps nothing: its input, that as normed, as routed, and the sum of outputs."""
LOGITS_AT_ONCE = 1 << 24
"""Logits of next tokens that are computed together, about, where they are not kept: 64 MiB."""
PARTS_OF_LOSS = 2
"""Copies of the logits that are computed together: as they are, and in single precision, or
what these are in the loss and its gradient."""


@dataclass(frozen=True)
class TextMemory:
    """Bytes of a text model of a ``shape`` whose numbers have ``number_bytes``.

    Tokens run through ``active`` experts in each block with experts; blocks are ``recomputed`` in
    the backward pass, or keep what it needs.
    """

    shape: BlockShape
    number_bytes: int
    active: int
    recomputed: bool = False

    def step(self, tokens: int, *, blocks: int | None = None) -> float:
        """Return what a forward pass of so many ``tokens`` keeps, and its gradient takes.

        So many of the last ``blocks`` keep anything: those with experts, unless others are named.
        """
        shape = self.shape
        count = shape.layers - shape.dense_layers if blocks is None else blocks
        narrow = self.active * 2 * shape.hidden  # what an expert is given, and what it answers
        wide = self.active * shape.kept_wide * shape.expert_hidden
        norms = 2 * shape.hidden * max(self.number_bytes, SINGLE_BYTES)
        block = norms + (ATTENTION * shape.attention_width + narrow + wide) * self.number_bytes
        if self.recomputed:
            return tokens * (count * shape.hidden * self.number_bytes + block) + self.passing(
                tokens
            )
        return tokens * count * block + self.passing(tokens)

    def passing(self, tokens: int) -> float:
        """Return what so many ``tokens`` take in a block that keeps nothing."""
        shape = self.shape
        numbers = WIDE_AT_ONCE * shape.expert_hidden + NARROW_AT_ONCE * shape.hidden
        return float(tokens * numbers * self.number_bytes)

    def kept_logits(self, predicted: int) -> float:
        """Return what the logits of so many ``predicted`` tokens take in a step.

        Those that are recomputed are kept while their gradient is computed, part by part.
        """
        numbers = predicted * self.shape.vocabulary
        if self.recomputed:
            numbers = min(numbers, LOGITS_AT_ONCE)
        return numbers * SINGLE_BYTES + self.passing_logits(predicted)

    def passing_logits(self, predicted: int) -> float:
        """Return what the logits take of which none is kept."""
        numbers = min(predicted * self.shape.vocabulary, LOGITS_AT_ONCE)
        native = self.number_bytes if self.number_bytes < SINGLE_BYTES else 0
        return float(numbers * (PARTS_OF_LOSS * SINGLE_BYTES + native))
