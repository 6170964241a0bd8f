"""Spectral contrastive loss of FedSC, and random views of samples.

``L(f) = -2 E[f(x)' f(x+)] + E[(f(x)' f(x'))^2]`` over positive pairs (x, x+) and independent
(x, x'). There are two estimators of it on a batch of n pairs.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def clipped(z: Tensor, radius: float) -> Tensor:
    """Return ``z`` (..., n, d) with rows longer than sqrt(radius) scaled to that norm."""
    return z * (z.square().sum(-1, keepdim=True) / radius).clamp_min(1.0).rsqrt()


def correlation(z: Tensor) -> Tensor:
    """Return ``R = z' z / n`` (d, d) of n rows."""
    return z.transpose(-1, -2) @ z / z.shape[-2]


def pairs(z0: Tensor, z1: Tensor, radius: float) -> Tensor:
    """Unbiased estimator over pairs of different samples, divided by ``radius``.

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
    """Estimator by the correlation matrix R of both views, which clients can share.

    ``-2 mean_i z0_i' z1_i + alpha tr(R R) + 2 (1 - alpha) tr(R R_others)``, with ``others`` (d, d)
    the mean correlation of all other clients, a constant. With alpha = 1 the last terms are
    ``|R|_F^2``: pairs of a sample with itself count too, a bias upwards. With alpha = 1 / J the
    mean gradient of J clients of equal weight in R is that of their pooled batch.
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
    return (total - own) / (clients - 1) if clients > 1 else torch.zeros_like(own)


# Random views of samples, drawn from a generator of their own.


SMALLEST_PART = {1: 0.6, 3: 0.2}
"""Smallest area of the crop, by channels."""
ASPECT = 4 / 3
STRENGTH = 0.4
"""Largest relative change of brightness and contrast."""
GREY_SHARE, MIRROR_SHARE, MASKED_SHARE = 0.2, 0.5, 0.2
NOISE = 0.1
"""Noise on a feature, in standard deviations of the feature."""
LUMA = (0.299, 0.587, 0.114)


def view(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Return one random view of each sample: images (n, C, H, W) in 0..1, or vectors (n, d)."""
    return _image_view(x, rng) if x.dim() == 4 else _vector_view(x, rng)


def _image_view(x: Tensor, rng: np.random.Generator) -> Tensor:
    count, channels = x.shape[:2]
    x = _cropped(x, rng, SMALLEST_PART.get(channels, SMALLEST_PART[3]), mirror=channels == 3)
    bright, contrast = (
        _as(x, rng.uniform(1 - STRENGTH, 1 + STRENGTH, (count, 1, 1, 1))) for _ in range(2)
    )
    x = (x * bright).clamp(0, 1)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (mean + contrast * (x - mean)).clamp(0, 1)
    if channels == 3:
        grey = (x * _as(x, np.array(LUMA)).view(1, 3, 1, 1)).sum(1, keepdim=True)
        is_grey = _as(x, rng.random((count, 1, 1, 1)) < GREY_SHARE)
        x = torch.where(is_grey.bool(), grey.expand_as(x), x)
    return x


def _cropped(x: Tensor, rng: np.random.Generator, smallest: float, mirror: bool) -> Tensor:
    """Crop a random part of each image and resize it bilinearly to the size of the image."""
    count = len(x)
    area = rng.uniform(smallest, 1.0, count)
    aspect = np.exp(rng.uniform(-np.log(ASPECT), np.log(ASPECT), count) / 2)
    height, width = (np.minimum(np.sqrt(area) * r, 1.0) for r in (aspect, 1 / aspect))
    down, right = ((1 - side) * rng.uniform(-1, 1, count) for side in (height, width))
    if mirror:
        width = np.where(rng.random(count) < MIRROR_SHARE, -width, width)
    zero = np.zeros(count)
    rows = np.stack((np.stack((width, zero, right), 1), np.stack((zero, height, down), 1)), 1)
    grid = functional.affine_grid(_as(x, rows), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _vector_view(x: Tensor, rng: np.random.Generator) -> Tensor:
    noise = _as(x, NOISE * rng.standard_normal(x.shape))
    kept = _as(x, rng.random(x.shape) >= MASKED_SHARE)
    return (x + noise * x.std(0, correction=0)) * kept


def _as(x: Tensor, array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.asarray(array)).to(x.device, x.dtype)
