"""The MoE layer: a gate and one module an expert (EMS-FL, equations (7) to (9) and (43))."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from learning.config import ModelConfig
from learning.models.lora import LoraLinear


@dataclass(frozen=True)
class Residency:
    """Which experts are in memory (``held``), which of those carry LoRA factors (``tuned``).

    ``dense`` runs every held expert on every row and weights by zero where it was not chosen: the
    same function without shapes that depend on data, as batching over devices needs.
    """

    held: tuple[int, ...]
    tuned: tuple[int, ...] = ()
    dense: bool = False


class Routing(NamedTuple):
    """``weight`` (..., E): p of the chosen experts, else 0; ``chosen`` (..., k) expert indices."""

    weight: Tensor
    chosen: Tensor


class Gate(nn.Module):
    """``TopK(softmax(W x))``, equations (7) and (9): what is kept is not normalised again.

    Experts that are not ``held`` are masked, equation (43): their logits become -inf, so that
    they take no share of the softmax, and k is at most the number of held experts.
    """

    def __init__(self, hidden: int, experts: int, top_k: int, held: Iterable[int]) -> None:
        super().__init__()
        here = sorted(set(held))
        if not here or here[0] < 0 or here[-1] >= experts:
            raise ValueError(f"held experts are {here}; name one or more of 0 to {experts - 1}")
        if not 1 <= top_k <= experts:
            raise ValueError(f"model.top_k is {top_k}; with {experts} experts: 1 to {experts}")
        self.weight = nn.Parameter(torch.zeros(experts, hidden))
        self.experts = experts
        self.absent = [expert for expert in range(experts) if expert not in here]
        self.k = min(top_k, len(here))

    def forward(self, x: Tensor) -> Routing:
        """Route ``x`` (..., hidden)."""
        logits = functional.linear(x, self.weight)
        if self.absent:
            logits = logits.index_fill(-1, torch.tensor(self.absent), -torch.inf)
        share = logits.softmax(-1)
        kept, chosen = share.topk(self.k, -1)
        return Routing(torch.zeros_like(share).scatter(-1, chosen, kept), chosen)


class Expert(nn.Module):
    """One expert's feed-forward network in one layer: down(GELU(up(x)))."""

    def __init__(self, hidden: int, inner: int, lora_rank: int | None) -> None:
        super().__init__()
        self.up = _linear(hidden, inner, lora_rank)
        self.down = _linear(inner, hidden, lora_rank)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., hidden) to the same shape."""
        out: Tensor = self.down(functional.gelu(self.up(x)))
        return out


def _linear(in_features: int, out_features: int, lora_rank: int | None) -> nn.Linear:
    if lora_rank is None:
        return nn.Linear(in_features, out_features)
    return LoraLinear(in_features, out_features, lora_rank)


class MoELayer(nn.Module):
    """``y = sum_e g_e(x) expert_e(x)``, equation (8), over the experts that are here."""

    def __init__(self, config: ModelConfig, here: Residency) -> None:
        super().__init__()
        self.gate = Gate(config.hidden, config.experts, config.top_k, here.held)
        self.experts = nn.ModuleDict(
            {
                str(e): Expert(
                    config.hidden,
                    config.expert_hidden,
                    config.lora_rank if e in here.tuned else None,
                )
                for e in here.held
            }
        )
        self.dense = here.dense

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., hidden) to the same shape."""
        routing: Routing = self.gate(x)
        if self.dense:
            return self._everywhere(x, routing)
        return self._where_chosen(x, routing)

    def _everywhere(self, x: Tensor, routing: Routing) -> Tensor:
        out = torch.zeros_like(x)
        for name, expert in self.experts.items():
            out = out + routing.weight[..., int(name), None] * expert(x)
        return out

    def _where_chosen(self, x: Tensor, routing: Routing) -> Tensor:
        out = torch.zeros_like(x)
        for name, expert in self.experts.items():
            rows = (routing.chosen == int(name)).any(-1).nonzero(as_tuple=True)
            weight = routing.weight[..., int(name)][rows].unsqueeze(-1)
            out = out.index_put(rows, weight * expert(x[rows]), accumulate=True)
        return out
