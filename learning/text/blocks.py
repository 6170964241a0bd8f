"""What models of Hugging Face's blocks have in common: how they are trained and recomputed."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any, Self

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from learning.architecture.dense import BlockShape
from learning.data.samples import InputSpec
from learning.models.interface import MoEModel
from learning.models.moe import Residency

recompute = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
"""Runs a block, which draws nothing, and again in the backward pass."""


class BlockModel(MoEModel):
    """A model of blocks of attention and a feed-forward network, or a mixture of them."""

    # Attention's rows differ in length and routing picks rows: trained device by device.
    batched = False
    embeds_always = True
    recomputed = False

    @property
    @abstractmethod
    def blocks(self) -> nn.ModuleList:
        """Its blocks, in order."""

    @abstractmethod
    def before_experts(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return what the blocks without experts make of samples (n, ...), and these.

        None where all blocks have experts.
        """

    def recompute_blocks(self, here: Residency) -> None:
        """Keep only the inputs of blocks for the backward pass, if that is asked for."""
        self.recomputed = here.recomputed
        blocks: Any = self.blocks
        for block in blocks:
            block.gradient_checkpointing = here.recomputed
            block._gradient_checkpointing_func = recompute  # noqa: SLF001 - no public name

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - as torch calls it
        """Set the mode, but that of blocks: they are recomputed only while they are trained."""
        super().train(mode)
        for block in self.blocks:
            block.training = True
        return self


def check_vocabulary(spec: InputSpec, shape: BlockShape) -> None:
    """Raise ValueError for a tokenizer that knows more tokens than the model."""
    if spec.vocabulary is not None and spec.vocabulary > shape.vocabulary:
        raise ValueError(
            f"the tokenizer knows {spec.vocabulary} tokens, the model {shape.vocabulary}; use "
            "the checkpoint's tokenizer or a larger vocabulary"
        )
