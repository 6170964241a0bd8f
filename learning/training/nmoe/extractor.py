"""Stage 1 of NMoE (arXiv 2511.01743): local training of the extractor by FedCE or FedSC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from learning.architecture.nmoe import VIEWS
from learning.config import ModelConfig, OptimizerConfig
from learning.data.samples import InputSpec
from learning.models.build import initialise
from learning.models.nmoe import Pretext
from learning.rng import stream
from learning.training.nmoe import contrast
from learning.training.nmoe.contrast import view
from learning.training.sgd import Batch, Descent, Draw, Loss, draw_of, each, rows_of_round, train
from learning.training.task import Task, in_batches

EXTRACTOR = "extractor."
OTHERS = "others"
"""Name of the mean correlation matrix of all other clients, which is frozen."""


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
    noise: float,
    radius: float,
) -> dict[str, Tensor]:
    """Return R_j (K, d, d) of each device, from two views of each of its samples.

    Each entry gets Gaussian noise of the standard deviation ``noise``.
    """
    model = pretext(task.config.model, task.spec, "spectral")
    found = []
    for device in range(task.devices(cluster)):
        rng = stream(task.config.seed, "correlation", cluster, device, number)
        parts = in_batches(task.shards[cluster].of(device).x)
        views = [view(x, rng) for x in parts for _ in range(VIEWS)]
        with torch.no_grad():
            z = torch.cat([functional_call(model, dict(server), (x,)) for x in views])
        matrix = contrast.correlation(contrast.clipped(z, radius))
        if noise:
            noisy = stream(task.config.seed, "correlation noise", cluster, device, number)
            drawn = noise * noisy.standard_normal(matrix.shape)
            matrix = matrix + torch.from_numpy(drawn).to(matrix)
        found.append(matrix)
    return {"matrix": torch.stack(found)}


def total(
    task: Task, *correlations: Mapping[str, Tensor], who: Sequence[Sequence[bool]] | None
) -> dict[str, Tensor]:
    """Return the sum of the matrices of all clients in ``who``, and the number of these.

    Raises ValueError for a matrix that is not finite.
    """
    matrices = [part["matrix"] for part in correlations]
    if who is not None:
        pairs = zip(matrices, who, strict=True)
        matrices = [part[torch.tensor(here, device=part.device)] for part, here in pairs]
    whole = torch.cat(matrices)
    if not bool(torch.isfinite(whole).all()):
        raise ValueError("a client's correlation matrix is not finite; lower learning.step_size")
    return {"matrix": whole.sum(0), "clients": torch.tensor(len(whole))}


def train_extractor(
    task: Task,
    server: Mapping[str, Tensor],
    own: Mapping[str, Tensor] | None = None,
    shared: Mapping[str, Tensor] | None = None,
    *,
    cluster: str,
    rounds: Sequence[int],
    first_round: Sequence[int],
    loss: str,
    alpha: float,
    estimator: str,
    radius: float,
    momentum: float,
    largest_gradient: float | None,
    step_size_ratio: float = 1.0,
) -> dict[str, Tensor]:
    """Train all devices of one cluster, each from the server's tensors."""
    devices = task.devices(cluster)
    stacked = {name: t.expand(devices, *t.shape) for name, t in server.items()}
    others = None
    if own is not None and shared is not None:
        clients = int(shared["clients"])
        others = contrast.mean_of_others(own["matrix"], shared["matrix"], clients)
        alpha = alpha if clients > 1 else 1.0
    samples, step_size = task.shards[cluster].samples, task.config.step_size * step_size_ratio
    by_labels = loss == "ce"
    return train(
        stacked,
        draw_of(task, cluster, samples.x, samples.y) if by_labels else _views_of(task, cluster),
        _loss(task, loss, estimator, radius, alpha),
        Descent(step_size, OptimizerConfig(momentum=momentum), largest_gradient),
        rounds,
        first_round,
        together=task.traits.batched,
        frozen=None if others is None else {OTHERS: others},
    )


def _views_of(task: Task, cluster: str) -> Draw:
    """Return a draw of minibatches of two random views per sample, device by device."""

    def views(device: int, number: int | None) -> Iterator[Batch]:  # samples themselves at rest
        rng = None if number is None else stream(task.config.seed, "views", cluster, device, number)
        drawn = rows_of_round(task, cluster, [device], [number])[0]
        for rows in torch.from_numpy(drawn).to(task.device):
            own = task.shards[cluster].samples.x[rows]
            yield (own, own) if rng is None else (view(own, rng), view(own, rng))

    def draw(devices: Sequence[int], numbers: Sequence[int | None]) -> Iterator[Batch]:
        for own in zip(*map(views, devices, numbers), strict=True):
            yield tuple(torch.stack(parts) for parts in zip(*own, strict=True))

    return draw


def _loss(task: Task, loss: str, estimator: str, radius: float, alpha: float) -> Loss:
    model = pretext(task.config.model, task.spec, loss)

    def by_labels(tensors: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(model, dict(tensors), (x,)), y)

    def by_contrast(tensors: Mapping[str, Tensor], first: Tensor, second: Tensor) -> Tensor:
        own = {name: tensor for name, tensor in tensors.items() if name != OTHERS}
        z = functional_call(model, own, (torch.cat((first, second)),))
        z0, z1 = z.split(len(first))
        if estimator == "pairs":
            return contrast.pairs(z0, z1, radius)
        return contrast.shared(z0, z1, radius, tensors.get(OTHERS), alpha)

    return each(by_labels if loss == "ce" else by_contrast, task.traits.batched)
