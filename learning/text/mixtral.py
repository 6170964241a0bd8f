"""Hugging Face's Mixtral with :class:`MoELayer` in place of its fused experts.

Llama's blocks are Mixtral's with one expert, so dense Llama-family models put together are the
same module.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import MixtralConfig, MixtralModel
from transformers.models.mixtral.modeling_mixtral import MixtralRotaryEmbedding

from learning.architecture.kinds import text_shape
from learning.architecture.text_shape import TextShape
from learning.data.samples import InputSpec
from learning.models.moe import GatedExpert, MoELayer, Residency
from learning.models.stacked import in_single
from learning.settings import ModelConfig
from learning.text.blocks import BlockModel, check_vocabulary, recompute

LOGITS_AT_ONCE = 1 << 24
"""Logits of next tokens that are computed together, about, where they are not kept: 64 MiB."""


class MixtralMoE(BlockModel):
    """Attention, norms and embedding of Mixtral around :class:`MoELayer`, and a head.

    ``text``: the hidden state of a text's last token -> linear head, as Hugging Face classifies
    sequences. ``choices``: the score of an option is the mean log-probability of its tokens, given
    all before them (length-normalised log-likelihood); -inf where there is no such option.
    ``next_token``: the mean surprise of a text's tokens, each given all before it, in nats, and the
    share of them that are held for the likeliest: see :mod:`learning.models.objective`.
    Names of tensors are Hugging Face's, apart from the experts and gates.
    """

    def __init__(self, config: ModelConfig, spec: InputSpec, here: Residency) -> None:
        super().__init__()
        shape = text_shape(config)
        assert isinstance(shape, TextShape)
        check_vocabulary(spec, shape)
        self.choices = spec.form == "choices"
        self.continues = spec.form == "next_token"
        # Mixtral without its experts: blocks come with one of width 1, to be replaced.
        thin = hugging_face_config(replace(shape, expert_hidden=1, experts=1, top_k=1))
        self.model = MixtralModel(thin)
        # Its frequencies are in no checkpoint: real even where parameters are not.
        with torch.device("cpu"):
            self.model.rotary_emb = MixtralRotaryEmbedding(thin)
        sized = replace(config, hidden=shape.hidden, expert_hidden=shape.expert_hidden)
        self.dense_layers = shape.dense_layers
        for number, layer in enumerate(self.model.layers):
            if number < shape.dense_layers:
                layer.mlp = GatedExpert(shape.hidden, shape.expert_hidden)
            else:
                layer.mlp = MoELayer(sized, here, GatedExpert, normalised=True)
        self.recompute_blocks(here)
        if spec.form == "text":
            self.score = nn.Linear(shape.hidden, spec.outputs, bias=False)
        elif not shape.tied:
            self.lm_head = nn.Linear(shape.hidden, shape.vocabulary, bias=False)

    @property
    def blocks(self) -> nn.ModuleList:
        """Its blocks, in order."""
        return self.model.layers

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of token ids ``x``, padded with -1.

        (n, classes) of ``text`` (n, T), (n, O) of ``choices`` (n, O, 2, T); (n, 2) of
        ``next_token`` (n, T).
        """
        return self._answers(self._hidden_states(self.model, x), x)

    def before_experts(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return what the blocks without experts make of samples, (n, ..., T, hidden), and these.

        None where all blocks have experts.
        """
        if not self.dense_layers:
            return None
        hidden = self._hidden_states(self._blocks(0, self.dense_layers), x)
        return (hidden.view(*x.shape[:2], *hidden.shape[1:]) if self.choices else hidden), x

    def after_embedding(self, hidden: Tensor, x: Tensor) -> Tensor:
        """Return :meth:`forward` of samples that :meth:`before_experts` has run."""
        above = self._blocks(self.dense_layers, len(self.model.layers))
        return self._answers(self._hidden_states(above, x, hidden), x)

    def _hidden_states(self, blocks: nn.Module, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Return the states (N, T, hidden) of samples' tokens after some blocks.

        Blocks that do not start with the embedding take the states (n, ..., T, hidden) ``given``.
        Attention needs no mask for padding after a text, only for padding before it.
        """
        tokens = self._tokens(x)
        if given is None:
            inputs = {"input_ids": tokens.clamp_min(0)}
        else:
            inputs = {"inputs_embeds": given.reshape(*tokens.shape, -1)}
        mask = _mask(tokens)
        hidden: Tensor = blocks(**inputs, attention_mask=mask, use_cache=False).last_hidden_state
        return hidden

    def _blocks(self, first: int, behind_last: int) -> nn.Module:
        """Return some blocks as a model: what others share with them is theirs too."""
        part = copy(self.model)
        modules: dict[str, Any] = {**self.model._modules}  # noqa: SLF001 - as torch copies one
        modules["layers"] = self.model.layers[first:behind_last]
        if behind_last < len(self.model.layers):
            modules["norm"] = nn.Identity()
        part.__dict__["_modules"] = modules
        part.__dict__.update({n: m for n, m in modules.items() if n in part.__dict__})
        return part

    def _tokens(self, x: Tensor) -> Tensor:
        """Return the token ids (N, T) of samples."""
        return x[:, :, 0].flatten(0, 1) if self.choices else x

    def _answers(self, hidden: Tensor, x: Tensor) -> Tensor:
        """Return :meth:`forward` by the last hidden states (N, T, hidden) of samples."""
        if self.continues:
            return self._mean_of_tokens(hidden, x, x >= 0)[0]
        if self.choices:
            scored = x[:, :, 1].flatten(0, 1) == 1
            mean, count = self._mean_of_tokens(hidden, self._tokens(x), scored)
            return (-mean[:, 0]).masked_fill(count == 0, -torch.inf).reshape(x.shape[:2])
        places = torch.arange(x.shape[1], device=x.device)
        last = torch.where(x >= 0, places, 0).amax(1)
        return self.score(hidden[torch.arange(len(last)), last])

    def keep(self, x: Tensor) -> Tensor:
        """Return which tokens are not padding, (n, T) or (n O, T)."""
        return self._tokens(x) >= 0

    def _mean_of_tokens(
        self, hidden: Tensor, tokens: Tensor, scored: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return surprise and rightness (N, 2), means over the ``scored`` among ``tokens`` (N, T).

        How many these are (N,) comes second: a token without a predecessor has no probability and
        is left out. The head runs only where it predicts a scored token: for all tokens its output
        would be the largest tensor by far.
        """
        real = tokens >= 0
        rows, places = (scored & real)[:, 1:].logical_and(real[:, :-1]).nonzero(as_tuple=True)
        hidden = hidden[rows, places]
        next_ids = tokens[rows, places + 1]
        at_once = max(1, LOGITS_AT_ONCE // self._head.shape[0])
        again = self.recomputed and torch.is_grad_enabled()
        run = partial(recompute, self._predicted) if again else self._predicted
        parts = zip(torch.split(hidden, at_once), torch.split(next_ids, at_once), strict=True)
        found = torch.cat([run(*part) for part in parts])
        total = found.new_zeros(len(tokens), 2).index_add(0, rows, found)
        count = found.new_zeros(len(tokens)).index_add(0, rows, torch.ones_like(found[:, 0]))
        return total / count.clamp_min(1)[:, None], count

    @property
    def _head(self) -> Tensor:
        head = self.lm_head if hasattr(self, "lm_head") else self.model.embed_tokens
        return head.weight

    def _predicted(self, hidden: Tensor, next_ids: Tensor) -> Tensor:
        """Return surprise and rightness (M, 2) of tokens (M,) behind hidden states (M, hidden)."""
        logits = in_single(functional.linear(hidden, self._head))
        surprise = functional.cross_entropy(logits, next_ids, reduction="none")
        right = logits.detach().argmax(-1) == next_ids
        return torch.stack([surprise, right.to(surprise)], -1)


def _mask(tokens: Tensor) -> Tensor | None:
    """Return which tokens (N, T) are not padding if any text has padding before it, else None."""
    real = tokens >= 0
    return real if (real[:, 1:] > real[:, :-1]).any() else None


def hugging_face_config(shape: TextShape) -> MixtralConfig:
    """Return Hugging Face's configuration of a model of this shape."""
    return MixtralConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.expert_hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        num_local_experts=shape.experts,
        num_experts_per_tok=shape.top_k,
        rope_parameters=dict(shape.rope),
        rms_norm_eps=shape.norm_eps,
        max_position_embeddings=shape.positions,
        sliding_window=shape.window,
        tie_word_embeddings=shape.tied,
        bos_token_id=None,
        eos_token_id=None,
        attn_implementation="sdpa",
    )
