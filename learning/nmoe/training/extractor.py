"""Stage 1 of NMoE (arXiv 2511.01743): local training of the extractor by FedCE or FedSC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from learning.data.samples import InputSpec
from learning.models.build import initialise
from learning.nmoe.models import Pretext
from learning.nmoe.shapes import VIEWS
from learning.rng import stream
from learning.settings import ModelConfig
from learning.training.recipe import LocalRounds
from learning.training.sgd import (
    Batch,
    Draw,
    Loss,
    Problem,
    Rounds,
    draw_of,
    plain_sgd,
    rows_of_round,
    train,
)
from learning.training.task import Task, in_batches

EXTRACTOR = "extractor."
OTHERS = "others"
ALPHA = "alpha"
"""Names of what is frozen: the mean correlation matrix of all other clients, one's own weight."""
RADIUS = 4.0
"""mu of the spectral loss."""
MOMENTUM, LARGEST_GRADIENT = 0.9, 3.0
"""Of the extractor's SGD, and of central training: the norm that gradients are clipped to."""


@lru_cache(maxsize=8)
def pretext(model: ModelConfig, spec: InputSpec, loss: str) -> Pretext:
    """Return the model of stage 1 without memory, for ``functional_call``."""
    with torch.device("meta"):
        return Pretext(model, spec, loss)


def extractor_in(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the extractor, by their stored names."""
    return {name: tensor for name, tensor in tensors.items() if name.startswith(EXTRACTOR)}


def start_extractor(task: Task, *, loss: str) -> dict[str, Tensor]:
    """Return the extractor as drawn for the task, with a freshly drawn head or projector."""
    model = pretext(task.config.model, task.spec, loss)
    known = extractor_in(task.initial)
    wanted = {name for name, _ in model.named_parameters()} - set(known)
    drawn = initialise(model, task.config.seed, wanted)
    return known | {name: t.to(task.device, task.dtype) for name, t in drawn.items()}


def correlation(
    task: Task,
    server: Mapping[str, Tensor],
    *,
    cluster: str,
    number: int,
) -> dict[str, Tensor]:
    """Return R_j (K, d, d) of each device, from two views of each of its samples."""
    model = pretext(task.config.model, task.spec, "spectral")
    found = []
    for device in range(task.devices(cluster)):
        rng = stream(task.config.seed, "correlation", cluster, device, number)
        parts = in_batches(task.shards[cluster].of(device).x)
        views = [view(x, rng) for x in parts for _ in range(VIEWS)]
        with torch.no_grad():
            z = torch.cat([functional_call(model, dict(server), (x,)) for x in views])
        found.append(correlation_of(clipped(z)))
    return {"matrix": torch.stack(found)}


def total(
    _task: Task, *correlations: Mapping[str, Tensor], who: Sequence[Sequence[bool]]
) -> dict[str, Tensor]:
    """Return the sum of the matrices of the clients in ``who``, and how many these are.

    Raises ValueError if a matrix is not finite.
    """
    whole = torch.cat([part["matrix"] for part in correlations])
    counted = torch.tensor([here for own in who for here in own], device=whole.device)
    if not bool(torch.isfinite(whole[counted]).all()):
        raise ValueError("a client's correlation matrix is not finite; lower learning.step_size")
    return {"matrix": whole[counted].sum(0), "count": counted.sum()}


def train_extractor(
    task: Task,
    server: Mapping[str, Tensor],
    own: Mapping[str, Tensor] | None = None,
    shared: Mapping[str, Tensor] | None = None,
    *,
    local: LocalRounds,
    loss: str,
    step_size_ratio: float = 1.0,
    alpha: float = 1.0,
) -> dict[str, Tensor]:
    """Train all devices of one cluster by ``loss``, each from the server's tensors.

    Where correlation matrices are ``shared``, ``alpha`` is the weight of a device's own.
    """
    devices = task.devices(local.cluster)
    stacked = {name: t.expand(devices, *t.shape) for name, t in server.items()}
    frozen: dict[str, Tensor] = {}
    if own is not None and shared is not None:
        others = shared["matrix"] - own["matrix"]
        frozen[OTHERS] = others / (shared["count"] - 1).clamp_min(1)
        frozen[ALPHA] = torch.full((devices,), alpha, dtype=torch.float64).to(task.device)
    if loss == "ce":
        samples = task.shards[local.cluster].samples
        draw = draw_of(task, local.cluster, samples.x, samples.y)
    else:
        draw = _views_of(task, local.cluster)
    problem = Problem(draw, _loss(task, loss), task.traits.batched, frozen)
    step_size = task.config.step_size * step_size_ratio
    how = plain_sgd(task.config, step_size, MOMENTUM, LARGEST_GRADIENT)
    return train(stacked, problem, how, local.rounds, local.first_round).tensors


def _views_of(task: Task, cluster: str) -> Draw:
    """Return a draw of minibatches of two random views per sample, device by device."""

    def views(device: int, number: int | None) -> Iterator[Batch]:  # samples themselves at rest
        rng = None if number is None else stream(task.config.seed, "views", cluster, device, number)
        drawn = rows_of_round(task, cluster, [device], [number])[0]
        for rows in torch.from_numpy(drawn).to(task.device):
            own = task.shards[cluster].samples.x[rows]
            yield (own, own) if rng is None else (view(own, rng), view(own, rng))

    def draw(devices: Sequence[int], rounds: Rounds) -> Iterator[Batch]:
        for numbers in rounds:
            for own in zip(*map(views, devices, numbers), strict=True):
                yield tuple(torch.stack(parts) for parts in zip(*own, strict=True))

    return draw


def _loss(task: Task, loss: str) -> Loss:
    model = pretext(task.config.model, task.spec, loss)

    def by_labels(tensors: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(model, dict(tensors), (x,)), y)

    def by_contrast(tensors: Mapping[str, Tensor], first: Tensor, second: Tensor) -> Tensor:
        own = {name: tensor for name, tensor in tensors.items() if name not in (OTHERS, ALPHA)}
        z = functional_call(model, own, (torch.cat((first, second)),))
        z0, z1 = z.split(len(first))
        return estimated(z0, z1, tensors.get(OTHERS), tensors.get(ALPHA))

    return by_labels if loss == "ce" else by_contrast


# The spectral contrastive loss ``L(f) = -2 E[f(x)' f(x+)] + E[(f(x)' f(x'))^2]`` of FedSC over
# positive pairs (x, x+) and independent (x, x'): as estimated on a batch of n pairs.


def clipped(z: Tensor) -> Tensor:
    """Return ``z`` (..., n, d) with rows longer than sqrt(RADIUS) scaled to that norm."""
    return z * (z.square().sum(-1, keepdim=True) / RADIUS).clamp_min(1.0).rsqrt()


def correlation_of(z: Tensor) -> Tensor:
    """Return ``R = z' z / n`` (d, d) of n rows."""
    return z.transpose(-1, -2) @ z / z.shape[-2]


def estimated(
    z0: Tensor,
    z1: Tensor,
    others: Tensor | None = None,
    alpha: Tensor | None = None,
) -> Tensor:
    """Estimator by the correlation matrix R of both views, which clients can share.

    ``-2 mean_i z0_i' z1_i + alpha tr(R R) + 2 (1 - alpha) tr(R R_others)``, with ``others`` (d, d)
    the mean correlation of all other clients, a constant. With alpha = 1, as without others, the
    last terms are ``|R|_F^2``: pairs of a sample with itself count too, a bias upwards. Where alpha
    is a client's weight in the mean, the mean gradient of all is that of their pooled batch.
    """
    z0 = clipped(z0)
    z1 = clipped(z1)
    own = correlation_of(torch.cat((z0, z1), -2))
    attraction = -2 * (z0 * z1).sum(-1).mean(-1)
    repulsion = own.square().sum((-2, -1))
    if others is None or alpha is None:
        return attraction + repulsion
    loss = attraction + alpha.to(own.dtype) * repulsion
    return loss + (2 * (1 - alpha)).to(own.dtype) * (own * others).sum((-2, -1))


SMALLEST_PART = {1: 0.6, 3: 0.2}
"""Smallest area of the crop, by channels."""
ASPECT = 4 / 3
STRENGTH = 0.4
"""Largest relative change of brightness and contrast."""
GREY_SHARE = 0.2
MIRROR_SHARE = 0.5
MASKED_SHARE = 0.2
NOISE = 0.1
"""Noise on a feature, in standard deviations of the feature."""
LUMA = (0.299, 0.587, 0.114)


def view(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Return one random view of each sample: images (n, C, H, W), or vectors (n, d)."""
    if x.dim() == 4:
        return _image_view(x, rng)
    noise = _as(x, NOISE * rng.standard_normal(x.shape))
    kept = _as(x, rng.random(x.shape) >= MASKED_SHARE)
    return (x + noise * x.std(0, correction=0)) * kept


def _image_view(x: Tensor, rng: np.random.Generator) -> Tensor:
    count, channels = x.shape[:2]
    # 0 and 1, unless images are normalised.
    low, high = x.amin().clamp(max=0), x.amax().clamp(min=1)
    x = _cropped(x, rng, SMALLEST_PART.get(channels, SMALLEST_PART[3]), mirror=channels == 3)
    bright, contrast = (
        _as(x, rng.uniform(1 - STRENGTH, 1 + STRENGTH, (count, 1, 1, 1))) for _ in range(2)
    )
    x = (x * bright).clamp(low, high)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (mean + contrast * (x - mean)).clamp(low, high)
    if channels == 3:
        grey = (x * _as(x, np.array(LUMA)).view(1, 3, 1, 1)).sum(1, keepdim=True)
        is_grey = _as(x, rng.random((count, 1, 1, 1)) < GREY_SHARE)
        x = torch.where(is_grey.bool(), grey.expand_as(x), x)
    return x


def _cropped(x: Tensor, rng: np.random.Generator, smallest: float, *, mirror: bool) -> Tensor:
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


def _as(x: Tensor, array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.asarray(array)).to(x.device, x.dtype)
