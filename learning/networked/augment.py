"""Random views of samples, drawn from a generator of their own.

A view of an image is a part of it, resized, of another brightness and contrast; of a colour image
perhaps its mirror image, and perhaps grey. Grey images are left unmirrored and lose less: they may
be of writing. A view of a vector has noise on its features, and some of them masked.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

SMALLEST_PART = {1: 0.6, 3: 0.2}
"""Smallest area of the part that is seen, by channels."""
ASPECT = 4 / 3
STRENGTH = 0.4
"""Brightness and contrast change by up to this factor."""
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
    """Cut a random part out of each image and resize it to the whole, bilinearly."""
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
