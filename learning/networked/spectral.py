"""The spectral contrastive loss (HaoChen et al., 2021), and what clients share of it (FedSC, 2024).

``L(f) = -2 E[f(x)' f(x+)] + E[(f(x)' f(x'))^2]`` over positive pairs (x, x+) and independent
(x, x'). Two estimators on a batch of n pairs are in use, and they differ.
"""

from __future__ import annotations

import torch
from torch import Tensor


def clipped(z: Tensor, radius: float) -> Tensor:
    """Return rows of ``z`` (..., n, d) scaled to the norm sqrt(radius) where they are longer."""
    return z * (z.square().sum(-1, keepdim=True) / radius).clamp_min(1.0).rsqrt()


def correlation(z: Tensor) -> Tensor:
    """Return ``R = z' z / n`` (d, d) of n rows."""
    return z.transpose(-1, -2) @ z / z.shape[-2]


def pairs(z0: Tensor, z1: Tensor, radius: float) -> Tensor:
    """Estimator over pairs of different samples, unbiased, divided by ``radius``.

    ``(-2 mean_i z0_i' z1_i + sum_{i != j} (z0_i' z1_j)^2 / (n (n - 1))) / radius``.
    """
    z0, z1 = clipped(z0, radius), clipped(z1, radius)
    n = z0.shape[-2]
    if n < 2:
        raise ValueError("the estimator 'pairs' needs two samples; raise learning.batch_size")
    products = z0 @ z1.transpose(-1, -2)
    same = products.diagonal(dim1=-2, dim2=-1)
    different = products.square().sum((-2, -1)) - same.square().sum(-1)
    return (-2 * same.mean(-1) + different / (n * (n - 1))) / radius


def shared(
    z0: Tensor, z1: Tensor, radius: float, others: Tensor | None = None, alpha: float = 1.0
) -> Tensor:
    """Estimator through the correlation matrix R of both views, which clients can share.

    ``-2 mean_i z0_i' z1_i + alpha tr(R R) + 2 (1 - alpha) tr(R R_others)``, with ``others`` (d, d)
    the mean correlation of all other clients, a constant. With alpha 1 it is ``|R|_F^2``: pairs of
    a sample with itself count too, which biases it upwards. At alpha = 1 / J the mean gradient of J
    clients of equal R-weight is that of their pooled batch.
    """
    z0, z1 = clipped(z0, radius), clipped(z1, radius)
    own = correlation(torch.cat((z0, z1), -2))
    attraction = -2 * (z0 * z1).sum(-1).mean(-1)
    loss = attraction + alpha * own.square().sum((-2, -1))
    if others is not None:
        loss = loss + 2 * (1 - alpha) * (own * others).sum((-2, -1))
    return loss


def mean_of_others(own: Tensor, total: Tensor, clients: int) -> Tensor:
    """Return ``(sum_i R_i - R_j) / (J - 1)`` for each own R_j (K, d, d); zeros for one client."""
    if clients < 2:
        return torch.zeros_like(own)
    return (total - own) / (clients - 1)
