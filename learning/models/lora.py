"""Low-rank adaptation of one linear map (EMS-FL, Remark 1)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

#: alpha / r of low-rank adaptation, with alpha = 2 r.
LORA_SCALE = 2.0


class LoraLinear(nn.Linear):
    """``y = x (W + scale B A)' + bias`` with ``a`` (r, in) and ``b`` (out, r)."""

    def __init__(self, in_features: int, out_features: int, rank: int) -> None:
        super().__init__(in_features, out_features)
        if rank < 1:
            raise ValueError(f"model.lora_rank is {rank}; it must be at least 1")
        self.a = nn.Parameter(torch.zeros(rank, in_features))
        self.b = nn.Parameter(torch.zeros(out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., in) to (..., out)."""
        low_rank = functional.linear(functional.linear(x, self.a), self.b)
        return functional.linear(x, self.weight, self.bias) + LORA_SCALE * low_rank


def fresh_a(rank: int, in_features: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw ``A`` ~ N(0, 1/in), shape (rank, in); with ``B = 0`` the map starts unchanged."""
    draw = rng.standard_normal((rank, in_features)) / np.sqrt(in_features)
    return np.asarray(draw, dtype=np.float32)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return ``scale B A`` of factors with any common leading shape, (..., out, in)."""
    return LORA_SCALE * (b @ a)
