"""The change of a matrix as a product of two factors of low rank.

An expert that several devices have tuned and several rounds have merged differs from its start by
a matrix of higher rank than any device's factors. It is cut by a singular value decomposition,
W' - W = U S V' ~ (U S^1/2) (S^1/2 V') = B A, where the rest is no more than rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Factors:
    """``b`` (out, r) times ``a`` (r, in) is a change but for ``left_out``, a share of its norm."""

    a: Tensor
    b: Tensor
    left_out: float

    @property
    def rank(self) -> int:
        """The number of columns of ``b``."""
        return len(self.a)


def factorise(start: Tensor, final: Tensor, rank: int | None = None) -> Factors:
    """Return the factors of ``final - start`` (out, in), of ``rank`` or of its numerical rank.

    Numerical rank counts singular values above those of rounding: entries off by e |w| make a
    matrix of spectral norm at most about e rms(w) (sqrt(out) + sqrt(in)).
    """
    eps = torch.finfo(final.dtype).eps
    change = final.double() - start.double()
    u, s, v = torch.linalg.svd(change, full_matrices=False)
    rounding = eps * final.double().square().mean().sqrt() * sum(n**0.5 for n in change.shape)
    kept = max(1, min(len(s), int((s > rounding).sum()) if rank is None else rank))
    root = s[:kept].sqrt()
    left_out = float(s[kept:].norm() / s.norm()) if s.any() else 0.0
    dtype = torch.float64 if final.dtype == torch.float64 else torch.float32
    return Factors((root[:, None] * v[:kept]).to(dtype), (u[:, :kept] * root).to(dtype), left_out)
