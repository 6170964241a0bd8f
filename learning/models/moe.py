"""The MoE layer: a gate and one module an expert (EMS-FL, equations (7) to (9) and (43))."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from learning.config import ModelConfig
from learning.models.lora import with_factors


@dataclass(frozen=True)
class Residency:
    """Which experts are in memory (``held``), which of those are trained with LoRA (``tuned``).

    ``dense`` runs every held expert on every row and weights by zero where it was not chosen: the
    same function without shapes that depend on data, as batching over devices needs. ``masked``
    is the logit that experts which are not held get: -inf, or 0 as the paper writes. With
    ``own_reach`` every gate has a buffer ``reach`` (E,), 0 for experts in reach and -inf for the
    others, in which devices of one batch may differ.
    """

    held: tuple[int, ...]
    tuned: tuple[int, ...] = ()
    dense: bool = False
    masked: float = -torch.inf
    own_reach: bool = False


class Routing(NamedTuple):
    """``weight`` (..., E): p of the chosen experts, else 0; ``chosen`` (..., k) expert indices."""

    weight: Tensor
    chosen: Tensor


class Gate(nn.Module):
    """``TopK(softmax(W x))``, equations (7) and (9): what is kept is not normalised again.

    Experts that are not held are masked, equation (43): their logits become -inf, so that they
    take no share of the softmax, and k is at most the number of held experts. With ``masked`` = 0
    they go on taking their share, and rows that choose one get nothing of it.

    With ``normalised`` the kept weights sum to 1, as in Mixtral. A single one is then 1 whatever
    the gate says; it keeps the gradient of p, or the gate could not learn. With ``biased`` the
    logits are W x + b.
    """

    reach: Tensor | None

    def __init__(
        self, config: ModelConfig, here: Residency, normalised: bool = False, biased: bool = False
    ) -> None:
        super().__init__()
        experts, held = config.experts, sorted(set(here.held))
        if not held or held[0] < 0 or held[-1] >= experts:
            raise ValueError(f"held experts are {held}; name one or more of 0 to {experts - 1}")
        if not 1 <= config.top_k <= experts:
            raise ValueError(
                f"model.top_k is {config.top_k}; with {experts} experts: 1 to {experts}"
            )
        self.weight = nn.Parameter(torch.zeros(experts, config.hidden))
        self.bias = nn.Parameter(torch.zeros(experts)) if biased else None
        reach = torch.zeros(experts) if here.own_reach else None
        self.register_buffer("reach", reach, persistent=False)
        self.experts = experts
        self.absent = [expert for expert in range(experts) if expert not in held]
        self.masked = here.masked
        selectable = experts if here.masked == 0.0 else len(held)
        self.k = min(config.top_k, selectable)
        self.normalised = normalised

    def forward(self, x: Tensor) -> Routing:
        """Route ``x`` (..., hidden)."""
        logits = functional.linear(x, self.weight, self.bias)
        if self.reach is not None:
            logits = logits + self.reach
        if self.absent:
            absent = torch.tensor(self.absent, device=logits.device)
            logits = logits.index_fill(-1, absent, self.masked)
        # Sixteen bits would tie experts that differ: routing is decided in single precision.
        share = (logits.float() if logits.dtype == torch.bfloat16 else logits).softmax(-1)
        kept, chosen = share.topk(self.k, -1)
        if self.normalised:
            total = kept.sum(-1, keepdim=True)
            kept = kept / (total.detach() if self.k == 1 else total)
        return Routing(torch.zeros_like(share).scatter(-1, chosen, kept), chosen)


class Expert(nn.Module):
    """One expert's feed-forward network in one layer: down(GELU(up(x)))."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.up = nn.Linear(hidden, inner)
        self.down = nn.Linear(inner, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., hidden) to the same shape."""
        out: Tensor = self.down(functional.gelu(self.up(x)))
        return out


class GatedExpert(nn.Module):
    """The feed-forward network of Llama and Mixtral: down(SiLU(gate(x)) * up(x)), no biases."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate = nn.Linear(hidden, inner, bias=False)
        self.up = nn.Linear(hidden, inner, bias=False)
        self.down = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., hidden) to the same shape."""
        out: Tensor = self.down(functional.silu(self.gate(x)) * self.up(x))
        return out


class MoELayer(nn.Module):
    """``y = sum_e g_e(x) expert_e(x)``, equation (8), over the experts that are here.

    ``expert(hidden, expert_hidden)`` makes one expert: any module that maps the last dimension to
    ``outputs`` numbers (as many as come in, by default).
    """

    def __init__(
        self,
        config: ModelConfig,
        here: Residency,
        expert: Callable[[int, int], nn.Module] = Expert,
        normalised: bool = False,
        biased: bool = False,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        self.gate = Gate(config, here, normalised, biased)
        self.outputs = config.hidden if outputs is None else outputs
        self.experts = nn.ModuleDict()
        for number in here.held:
            made = expert(config.hidden, config.expert_hidden)
            tuned = number in here.tuned and config.lora.rank is not None
            self.experts[str(number)] = with_factors(made, config.lora) if tuned else made
        self.dense = here.dense

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., hidden) to (..., outputs)."""
        routing: Routing = self.gate(x)
        if self.dense:
            return self._everywhere(x, routing)
        return self._where_chosen(x, routing)

    def _everywhere(self, x: Tensor, routing: Routing) -> Tensor:
        out = x.new_zeros(*x.shape[:-1], self.outputs)
        for name, expert in self.experts.items():
            out = out + routing.weight[..., int(name), None].to(x.dtype) * expert(x)
        return out

    def _where_chosen(self, x: Tensor, routing: Routing) -> Tensor:
        out = x.new_zeros(*x.shape[:-1], self.outputs)
        for name, expert in self.experts.items():
            rows = (routing.chosen == int(name)).any(-1).nonzero(as_tuple=True)
            if not len(rows[0]):
                continue
            weight = routing.weight[..., int(name)][rows].unsqueeze(-1).to(x.dtype)
            out = out.index_put(rows, weight * expert(x[rows]), accumulate=True)
        return out
