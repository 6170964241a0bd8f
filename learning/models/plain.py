"""Plain models, without experts: VectorMLP, ImageCNN and TextMean.

Like the small mixtures they are made of layers that take parameters stacked by device.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from learning.architecture.kinds import check_form
from learning.architecture.shapes import CNN_CHANNELS, places_of
from learning.config import ModelConfig
from learning.data.samples import InputSpec
from learning.models.moe import Residency
from learning.models.stacked import Conv2d, Embedding, Linear


class VectorMLP(nn.Module):
    """``layers`` linear maps of width ``hidden``, a ReLU behind each, and a head."""

    stacks = True

    def __init__(self, config: ModelConfig, spec: InputSpec, here: Residency) -> None:
        super().__init__()
        check_form(config, spec)
        widths = [spec.shape[0]] + [config.hidden] * config.layers
        self.layers = nn.ModuleList(map(Linear, widths, widths[1:]))
        self.head = Linear(config.hidden, spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (..., classes) of features ``x`` (..., d)."""
        for layer in self.layers:
            x = functional.relu(layer(x))
        logits: Tensor = self.head(x)
        return logits


class ImageCNN(nn.Module):
    """Two convolutions of 3 x 3, a ReLU and a pool of 2 x 2 behind each, one hidden map, a head.

    The small convolutional network of McMahan et al. (AISTATS 2017), with smaller kernels.
    """

    stacks = True

    def __init__(self, config: ModelConfig, spec: InputSpec, here: Residency) -> None:
        super().__init__()
        check_form(config, spec)
        first, second = CNN_CHANNELS
        self.first = Conv2d(spec.shape[0], first, 3, padding=1)
        self.second = Conv2d(first, second, 3, padding=1)
        self.hidden = Linear(second * places_of(spec, 4), config.hidden)
        self.head = Linear(config.hidden, spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (..., classes) of images ``x`` (..., channels, height, width)."""
        for convolution in (self.first, self.second):
            x = _pooled(functional.relu(convolution(x)))
        logits: Tensor = self.head(functional.relu(self.hidden(x.flatten(-3))))
        return logits


def _pooled(x: Tensor) -> Tensor:
    """Return the largest of each 2 x 2 places of ``x`` (..., C, H, W); an odd edge is left out."""
    rows = (
        functional.max_pool2d(x.flatten(0, -4), 2) if x.dim() > 4 else functional.max_pool2d(x, 2)
    )
    return rows.view(*x.shape[:-2], *rows.shape[-2:])


class TextMean(nn.Module):
    """The mean of a text's word vectors, of width ``hidden``, and a head.

    Joulin et al., Bag of Tricks for Efficient Text Classification, EACL 2017.
    """

    stacks = True

    def __init__(self, config: ModelConfig, spec: InputSpec, here: Residency) -> None:
        super().__init__()
        check_form(config, spec)
        assert spec.vocabulary is not None  # texts have one
        self.words = Embedding(spec.vocabulary, config.hidden)
        self.head = Linear(config.hidden, spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (..., classes) of token ids ``x`` (..., T), padded with -1."""
        kept = (x >= 0)[..., None]
        vectors = self.words(x.clamp_min(0))
        mean = torch.where(kept, vectors, 0.0).sum(-2) / kept.sum(-2).clamp_min(1)
        logits: Tensor = self.head(mean)
        return logits
