"""Networked experts: extractors, the personal expert, the whole mixture, mixing of answers.

``vector-nmoe`` runs over feature vectors, ``image-nmoe`` over images.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from learning.data.samples import InputSpec
from learning.models.interface import MoEModel
from learning.models.moe import Expert, MoELayer, Residency
from learning.nmoe.shapes import (
    PROJECTOR_EXPANSION,
    blocks_of,
    norm_groups,
    stage_widths,
)
from learning.settings import ModelConfig

BATCHED_PLACES = 256
"""The largest image, in pixels, that is trained on all devices at once (measured on one core)."""


class VectorExtractor(nn.Module):
    """``layers`` linear maps to ``hidden``, each followed by a ReLU; features are standardised."""

    def __init__(self, config: ModelConfig, spec: InputSpec) -> None:
        super().__init__()
        widths = [spec.shape[0]] + [config.hidden] * config.layers
        self.layers = nn.ModuleList(map(nn.Linear, widths, widths[1:]))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (..., d) to features (..., hidden)."""
        for layer in self.layers:
            x = functional.relu(layer(x))
        return standardised(x)


class Block(nn.Module):
    """Two 3 x 3 convolutions with a shortcut around them; the first one may halve the image."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.first_norm = _norm(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = _norm(after)
        changes = before != after
        self.shortcut = nn.Conv2d(before, after, 1, stride, bias=False) if changes else None
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (n, before, H, W) to (n, after, H / stride, W / stride)."""
        inner = functional.relu(self.first_norm(self.first(x)))
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return functional.relu(self.second_norm(self.second(inner)) + shortcut)


class ImageExtractor(nn.Module):
    """A small residual network: three stages with group norms, then the mean over all positions.

    A stage has ``layers`` blocks; stages are ``hidden`` / 4, / 2 and ``hidden`` wide. Group norms
    keep no statistics of batches, which clients could not share. Features are standardised.
    """

    def __init__(self, config: ModelConfig, spec: InputSpec) -> None:
        super().__init__()
        first = stage_widths(config.hidden)[0]
        self.stem = nn.Conv2d(spec.shape[0], first, 3, padding=1, bias=False)
        self.norm = _norm(first)
        stages: list[list[nn.Module]] = [[], [], []]
        for name, before, after, stride in blocks_of(config):
            stages[int(name.split(".")[1])].append(Block(before, after, stride))
        self.stages = nn.ModuleList(nn.Sequential(*blocks) for blocks in stages)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``x`` (n, C, H, W) to features (n, hidden)."""
        x = functional.relu(self.norm(self.stem(x)))
        for stage in self.stages:
            x = stage(x)
        return standardised(x.mean((-2, -1)))


def standardised(features: Tensor) -> Tensor:
    """Return each row of ``features`` (..., hidden) with mean 0 and variance 1.

    One step size of experts and gates then suits every loss of the extractor.
    """
    return functional.layer_norm(features, features.shape[-1:])


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(norm_groups(channels), channels)


def make_extractor(config: ModelConfig, spec: InputSpec) -> nn.Module:
    """Return the extractor of a kind."""
    made = VectorExtractor if spec.form == "vector" else ImageExtractor
    return made(config, spec)


class PersonalExpert(Expert):
    """One client's expert: features -> expert_hidden -> probabilities of classes."""

    def forward(self, h: Tensor) -> Tensor:
        """Map features ``h`` (..., hidden) to (..., classes)."""
        return super().forward(h).softmax(-1)


class Pretext(nn.Module):
    """The extractor in stage 1, with a linear ``head`` or a ``projector``."""

    def __init__(self, config: ModelConfig, spec: InputSpec, loss: str) -> None:
        super().__init__()
        self.extractor = make_extractor(config, spec)
        if loss == "ce":
            self.head = nn.Linear(config.hidden, spec.outputs)
        if loss == "spectral":
            hidden = config.hidden
            inner = PROJECTOR_EXPANSION * config.hidden
            up = nn.Linear(hidden, inner)
            down = nn.Linear(inner, hidden)
            self.projector = nn.Sequential(OrderedDict(up=up, relu=nn.ReLU(), down=down))
        self.loss = loss

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, classes) or projections (n, hidden) of ``x``."""
        features = self.extractor(x)
        return self.head(features) if self.loss == "ce" else self.projector(features)


class NetworkedMoE(MoEModel):
    """``y = log sum_e g_e(h) H_e(h)`` with features h = F(x), a gate g and experts H.

    Convolutions over large images are trained device by device, which is faster for these.
    """

    def __init__(self, config: ModelConfig, spec: InputSpec, here: Residency) -> None:
        super().__init__()
        self.extractor = make_extractor(config, spec)
        self.batched = spec.form == "vector" or math.prod(spec.shape[1:]) <= BATCHED_PLACES
        expert = partial(PersonalExpert, outputs=spec.outputs)
        self.moe = MoELayer(
            config, here, expert, normalised=True, biased=True, outputs=spec.outputs
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the log-probabilities (n, classes) of ``x``."""
        mixed: Tensor = self.moe(self.extractor(x))
        return answer(mixed)


# One answer from those of several experts.


def mixed(weights: Tensor, outputs: Tensor) -> Tensor:
    """Return ``sum_e g_e H_e`` of weights (..., N) and outputs (..., N, C).

    An expert of weight 0 does not contribute, even if its outputs are not finite.
    """
    shares = weights.unsqueeze(-2)
    counted = torch.where(shares.mT == 0, 0.0, outputs)
    return (shares @ counted).squeeze(-2)


def answer(mixture: Tensor) -> Tensor:
    """Return the logs (..., C) of mixed probabilities.

    A probability of zero counts as the smallest positive number, so that its log is finite.
    """
    return mixture.clamp_min(torch.finfo(mixture.dtype).tiny).log()


def losses(log_shares: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy (...,) of an answer (..., C)."""
    return -log_shares.gather(-1, y.unsqueeze(-1)).squeeze(-1)
