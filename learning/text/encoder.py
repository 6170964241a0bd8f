"""Hugging Face's BERT with :class:`MoELayer` in place of feed-forward networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel
from transformers.masking_utils import create_bidirectional_mask

from learning.architecture.encoder_shape import EncoderShape
from learning.architecture.kinds import text_shape
from learning.data.samples import InputSpec
from learning.models.moe import Expert, MoELayer, Residency
from learning.settings import ModelConfig
from learning.text.blocks import BlockModel, check_vocabulary


class BertMoE(BlockModel):
    """Embeddings, attention and norms of BERT around :class:`MoELayer`, and a head.

    ``text``: the mean of the last hidden states of a text's tokens, [CLS] and [SEP] among them ->
    linear head. The mean is what sentence encoders such as MiniLM are trained with (Reimers and
    Gurevych, EMNLP 2019); their state of [CLS] was never asked for anything. Experts are the
    networks of BERT, with GELU and biases. Weights of chosen experts sum to 1, so that equal
    experts are the dense model. Of the backbone the head alone can be trained. Nothing is dropped
    out. Names of tensors are those of Hugging Face's classifiers, apart from experts, gates, head.
    """

    def __init__(self, config: ModelConfig, spec: InputSpec, here: Residency) -> None:
        super().__init__()
        shape = text_shape(config)
        assert isinstance(shape, EncoderShape)
        check_vocabulary(spec, shape)
        if spec.shape[-1] > shape.positions:
            raise ValueError(
                f"learning.data.tokens: got {spec.shape[-1]}; the model has seen no text of more "
                f"than {shape.positions}"
            )
        self.separator = spec.separator
        self.token_types = shape.token_types
        self.dense_layers = shape.dense_layers
        self.bert = BertModel(hugging_face_config(shape), add_pooling_layer=False)
        self.bert.requires_grad_(requires_grad=False)
        # Constants that are in no checkpoint; both are given with each text.
        for constant in ("position_ids", "token_type_ids"):
            self.bert.embeddings.register_buffer(constant, None, persistent=False)
        sized = replace(config, hidden=shape.hidden, expert_hidden=shape.expert_hidden)
        for block in self.bert.encoder.layer[shape.dense_layers :]:
            # Its output is dense(intermediate(x)), added to x and normalised.
            block.intermediate = MoELayer(sized, here, Expert, normalised=True)
            block.output.dense = nn.Identity()
        self.recompute_blocks(here)
        self.score = nn.Linear(shape.hidden, spec.outputs)

    @property
    def blocks(self) -> nn.ModuleList:
        """Its blocks, in order."""
        return self.bert.encoder.layer

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, classes) of token ids (n, T), padded with -1."""
        return self.after_embedding(self._below(x), x)

    def before_experts(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return what the blocks without experts make of samples, (n, T, hidden), and these.

        None where all blocks have experts.
        """
        return (self._below(x), x) if self.dense_layers else None

    def after_embedding(self, hidden: Tensor, x: Tensor) -> Tensor:
        """Return :meth:`forward` of samples that :meth:`before_experts` has run."""
        hidden = self._run(hidden, x, slice(self.dense_layers, None))
        real = self.keep(x)[..., None]
        return self.score((hidden * real).sum(1) / real.sum(1))

    def keep(self, x: Tensor) -> Tensor:
        """Return which tokens are not padding, (n, T)."""
        return x >= 0

    def _below(self, x: Tensor) -> Tensor:
        """Return what embeddings and blocks without experts make of samples (n, T)."""
        places = torch.arange(x.shape[1], device=x.device)
        embedded = self.bert.embeddings(
            input_ids=x.clamp_min(0), token_type_ids=self._types(x), position_ids=places[None]
        )
        return self._run(embedded, x, slice(self.dense_layers))

    def _run(self, hidden: Tensor, x: Tensor, which: slice) -> Tensor:
        """Run some blocks; no token looks at padding."""
        mask: Any = create_bidirectional_mask(
            config=self.bert.config, inputs_embeds=hidden, attention_mask=self.keep(x)
        )
        for block in self.blocks[which]:
            hidden = block(hidden, mask)
        return hidden

    def _types(self, x: Tensor) -> Tensor:
        """Return the types (n, T) of tokens: 1 behind the separator of a pair, else 0."""
        if self.separator is None or self.token_types == 1:
            return torch.zeros_like(x)
        separates = (x == self.separator).long()
        return ((separates.cumsum(1) > separates) & self.keep(x)).long()


def hugging_face_config(shape: EncoderShape) -> BertConfig:
    """Return Hugging Face's configuration of a dense model of this shape."""
    return BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.expert_hidden,
        max_position_embeddings=shape.positions,
        type_vocab_size=shape.token_types,
        layer_norm_eps=shape.norm_eps,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="sdpa",
    )
