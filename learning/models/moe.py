"""The mixture-of-experts layer: gates, experts, LoRA, and how its routing is watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from learning.models.stacked import in_single
from learning.settings import Lora, ModelConfig

# The MoE layer: a gate and one module per expert (EMS-FL, equations (7) to (9) and (43)).


@dataclass(frozen=True)
class Residency:
    """Which experts are in memory (``held``), which of those are trained with LoRA (``tuned``).

    ``dense`` runs every held expert on every row, with weight zero where it was not chosen: the
    same function without shapes that depend on data, as batching over devices needs. ``masked``
    is the logit of experts that are not held: -inf, or 0 as the paper writes. With ``own_reach``
    every gate has a buffer ``reach`` (E,) that is added to its logits: 0 for experts that it may
    choose and -inf for the others, which may differ between the devices of one batch. The layers
    of a text model that are ``recomputed`` keep no activations for the backward pass.
    """

    held: tuple[int, ...]
    tuned: tuple[int, ...] = ()
    dense: bool = False
    masked: float = -torch.inf
    own_reach: bool = False
    recomputed: bool = False


class Routing(NamedTuple):
    """``weight`` (..., E): p of the chosen experts, else 0; ``chosen`` (..., k) expert indices."""

    weight: Tensor
    chosen: Tensor


class Gate(nn.Module):
    """``TopK(softmax(W x))``, equations (7) and (9): what is kept is not normalised again.

    Experts that are not held are masked, equation (43): their logits become -inf, so that they
    have no share of the softmax, and k is at most the number of held experts. With ``masked`` = 0
    they keep a share, and rows that choose one get no output from it.

    With ``normalised`` the kept weights sum to 1, as in Mixtral. For k = 1 the weight is always 1,
    but has the gradient of log p, or the gate could not learn. With ``biased`` the logits are
    W x + b.

    Where one expert has the whole softmax, ``only``, its weight is 1 and the gate's gradient 0
    whatever the logits are, which are not computed then.
    """

    reach: Tensor | None

    def __init__(
        self,
        config: ModelConfig,
        here: Residency,
        *,
        normalised: bool = False,
        biased: bool = False,
    ) -> None:
        super().__init__()
        experts = config.experts
        held = sorted(set(here.held))
        if config.top_k > experts:  # as a checkpoint may say
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
        self.only = held[0] if selectable == 1 else None
        self.normalised = normalised

    def forward(self, x: Tensor) -> Routing:
        """Route ``x`` (..., hidden)."""
        if self.only is not None:
            one = [float(expert == self.only) for expert in range(self.experts)]
            weight = torch.tensor(one, dtype=x.dtype, device=x.device)
            chosen = torch.tensor(self.only, device=x.device)
            return Routing(weight.expand(*x.shape[:-1], -1), chosen.expand(*x.shape[:-1], 1))
        logits = functional.linear(x, self.weight, self.bias)
        if self.reach is not None:
            logits = logits + self.reach
        if self.absent:
            absent = torch.tensor(self.absent, device=logits.device)
            logits = logits.index_fill(-1, absent, self.masked)
        # In sixteen bits different experts would tie: routing is decided in single precision.
        share = in_single(logits).softmax(-1)
        kept, chosen = share.topk(self.k, -1)
        if self.normalised:
            total = kept.sum(-1, keepdim=True)
            kept = kept / (total.detach() if self.k == 1 else total)
        return Routing(torch.zeros_like(share).scatter(-1, chosen, kept), chosen)


class Expert(nn.Module):
    """One expert's feed-forward network in one layer: down(GELU(up(x)))."""

    def __init__(self, hidden: int, inner: int, outputs: int | None = None) -> None:
        super().__init__()
        self.up = nn.Linear(hidden, inner)
        self.down = nn.Linear(inner, hidden if outputs is None else outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., hidden) to (..., outputs), by default as many."""
        return self.down(functional.gelu(self.up(x)))


class GatedExpert(nn.Module):
    """The feed-forward network of Llama and Mixtral: down(SiLU(gate(x)) * up(x)), no biases."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate = nn.Linear(hidden, inner, bias=False)
        self.up = nn.Linear(hidden, inner, bias=False)
        self.down = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., hidden) to the same shape."""
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class MoELayer(nn.Module):
    """``y = sum_e g_e(x) expert_e(x)``, equation (8), over the held experts.

    ``expert(hidden, expert_hidden)`` makes one expert: any module that maps the last dimension to
    ``outputs`` numbers (as many as come in, by default).
    """

    def __init__(
        self,
        config: ModelConfig,
        here: Residency,
        expert: Callable[[int, int], nn.Module] = Expert,
        *,
        normalised: bool = False,
        biased: bool = False,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        self.gate = Gate(config, here, normalised=normalised, biased=biased)
        self.outputs = config.hidden if outputs is None else outputs
        self.experts = nn.ModuleDict()
        for number in here.held:
            made = expert(config.hidden, config.expert_hidden)
            tuned = number in here.tuned and config.lora.rank is not None
            self.experts[str(number)] = with_factors(made, config.lora) if tuned else made
        self.dense = here.dense
        self.scale = config.lora.scale

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., hidden) to (..., outputs)."""
        routing: Routing = self.gate(x)
        if self.gate.only is not None:
            return self.experts[str(self.gate.only)](x)
        out = x.new_zeros(*x.shape[:-1], self.outputs)
        for name, expert in self.experts.items():
            weight = routing.weight[..., int(name), None].to(x.dtype)
            if self.dense:
                out = out + weight * expert(x)
                continue
            rows = (routing.chosen == int(name)).any(-1).nonzero(as_tuple=True)
            if len(rows[0]):
                out = out.index_put(rows, weight[rows] * expert(x[rows]), accumulate=True)
        return out


def gates_of(model: nn.Module) -> list[Gate]:
    """Return the gates of ``model`` in the order of its layers; none of a plain model."""
    return [module for module in model.modules() if isinstance(module, Gate)]


def tokens_of(model: nn.Module, x: Tensor) -> Tensor | None:
    """Return which tokens of ``x`` are not padding, in the gates' shape; None for all."""
    keep: Callable[[Tensor], Tensor | None] | None = getattr(model, "keep", None)
    return None if keep is None else keep(x)


def answers(model: nn.Module, given: Sequence[Tensor]) -> Tensor:
    """Return a model's answers to samples: as they are, or behind what was made of them before."""
    run: Any = model
    found: Tensor = run(*given) if len(given) == 1 else run.after_embedding(*given)
    return found


def forward_with_routing(model: nn.Module, *given: Tensor) -> tuple[Tensor, list[Routing]]:
    """Return the :func:`answers` of a model and the routing of every MoE layer in it."""
    with watching(gates_of(model)) as seen:
        found = answers(model, given)
    return found, [routing for _, routing in seen]


@contextmanager
def watching(gates: Sequence[nn.Module]) -> Iterator[list[tuple[Tensor, Routing]]]:
    """Yield a list of what each gate is given as it is run meanwhile, and how it routes that."""
    seen: list[tuple[Tensor, Routing]] = []

    def record(_gate: nn.Module, given: tuple[Tensor, ...], routing: Routing) -> None:
        seen.append((given[0], routing))

    hooks = [gate.register_forward_hook(record) for gate in gates]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


# Low-rank adaptation of the linear maps of an expert (EMS-FL, Remark 1).


class LoraLinear(nn.Linear):
    """``y = x (W + scale B A)' + bias``, if there are ``a`` (r, in) and ``b`` (out, r)."""

    def __init__(self, plain: nn.Linear, lora: Lora) -> None:
        super().__init__(plain.in_features, plain.out_features, plain.bias is not None)
        assert lora.rank is not None  # without a rank no factors are asked for
        self.scale = lora.scale
        self.a = nn.Parameter(torch.zeros(lora.rank, plain.in_features))
        self.b = nn.Parameter(torch.zeros(plain.out_features, lora.rank))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., in) to (..., out)."""
        out = functional.linear(x, self.weight, self.bias)
        if self.a.is_meta:  # run with tensors that hold no factors of this map
            return out
        return out + self.scale * functional.linear(functional.linear(x, self.a), self.b)


def factored_in(model: nn.Module) -> list[str]:
    """Return the paths of the linear maps in ``model`` that have factors, in order."""
    return [path for path, part in model.named_modules() if isinstance(part, LoraLinear)]


def with_factors(expert: nn.Module, lora: Lora) -> nn.Module:
    """Return ``expert`` with factors for every linear map that ``lora`` targets.

    Raises :class:`ValueError` for a target that is not a linear map of the expert.
    """
    maps = {path: m for path, m in expert.named_modules() if isinstance(m, nn.Linear)}
    lora.check_targets({path.split(".")[-1] for path in maps})
    for path, plain in maps.items():
        parent, _, name = path.rpartition(".")
        if lora.is_target(name):
            setattr(expert.get_submodule(parent), name, LoraLinear(plain, lora))
    return expert


def fresh_a(rank: int, in_features: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw ``A`` ~ N(0, 1/in), shape (rank, in); with ``B = 0`` the map starts unchanged."""
    draw = rng.standard_normal((rank, in_features)) / np.sqrt(in_features)
    return np.asarray(draw, dtype=np.float32)


def product(a: Tensor, b: Tensor, scale: float) -> Tensor:
    """Return ``scale B A`` of factors with any common leading shape, (..., out, in)."""
    return scale * (b @ a)
