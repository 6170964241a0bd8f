"""Low-rank adaptation of the linear maps of an expert (EMS-FL, Remark 1)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from learning.config import LoraConfig


class LoraLinear(nn.Linear):
    """``y = x (W + scale B A)' + bias`` with ``a`` (r, in) and ``b`` (out, r)."""

    def __init__(self, plain: nn.Linear, lora: LoraConfig) -> None:
        super().__init__(plain.in_features, plain.out_features, plain.bias is not None)
        assert lora.rank is not None  # without a rank no factors are asked for
        self.scale = lora.scale
        self.a = nn.Parameter(torch.zeros(lora.rank, plain.in_features))
        self.b = nn.Parameter(torch.zeros(plain.out_features, lora.rank))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., in) to (..., out)."""
        low_rank = functional.linear(functional.linear(x, self.a), self.b)
        return functional.linear(x, self.weight, self.bias) + self.scale * low_rank


def with_factors(expert: nn.Module, lora: LoraConfig) -> nn.Module:
    """Return ``expert`` with factors beside every linear map that ``lora`` targets.

    Raises :class:`ValueError` where a target is no linear map of the expert.
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
