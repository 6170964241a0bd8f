"""Small models: VectorMoE and ImageMoE, and without experts VectorMLP, ImageCNN and TextMean."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from learning.architecture.shapes import CNN_CHANNELS, STEM_CHANNELS, places_of
from learning.data.samples import InputSpec
from learning.models.interface import MoEModel
from learning.models.moe import MoELayer, Residency
from learning.settings import ModelConfig


class _ResidualMoE(MoEModel):
    """What embeds a sample, L residual MoE layers, each after a LayerNorm, LayerNorm and head."""

    def _add_layers(self, config: ModelConfig, here: Residency, classes: int) -> None:
        self.moe = nn.ModuleList(MoELayer(config, here) for _ in range(config.layers))
        self.norms = nn.ModuleList(nn.LayerNorm(config.hidden) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.hidden)
        self.head = nn.Linear(config.hidden, classes)

    def embedded(self, x: Tensor) -> Tensor:
        """Return samples as the residual stream (..., hidden)."""
        raise NotImplementedError

    def before_experts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the residual stream of ``x``, and what the first layer's experts get of it."""
        hidden = self.embedded(x)
        return hidden, self.norms[0](hidden)

    def after_embedding(self, hidden: Tensor, normed: Tensor) -> Tensor:
        """Return logits (..., classes) of what :meth:`before_experts` gives."""
        for layer, norm in zip(self.moe, [*self.norms, self.norm][1:], strict=True):
            hidden = hidden + layer(normed)
            normed = norm(hidden)
        return self.head(self.pooled(normed))

    def pooled(self, hidden: Tensor) -> Tensor:
        """Return a sample's vector (..., hidden)."""
        return hidden

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (..., classes) of samples ``x``."""
        return self.after_embedding(*self.before_experts(x))


class VectorMoE(_ResidualMoE):
    """embed -> GELU -> L residual MoE layers -> LayerNorm -> head."""

    def __init__(self, config: ModelConfig, spec: InputSpec, here: Residency) -> None:
        super().__init__()
        self.embed = nn.Linear(spec.shape[0], config.hidden)
        self._add_layers(config, here, spec.outputs)

    def embedded(self, x: Tensor) -> Tensor:
        """Return features ``x`` (..., d) as the residual stream."""
        return functional.gelu(self.embed(x))


class ImageMoE(_ResidualMoE):
    """Two strided convolutions -> tokens -> L residual MoE layers -> mean of tokens -> head.

    Each convolution halves height and width and is followed by GELU; a token is one place of the
    resulting map, ``hidden`` wide. Experts serve each token.
    """

    def __init__(self, config: ModelConfig, spec: InputSpec, here: Residency) -> None:
        super().__init__()
        self.stem = nn.Conv2d(spec.shape[0], STEM_CHANNELS, 3, stride=2, padding=1)
        self.embed = nn.Conv2d(STEM_CHANNELS, config.hidden, 3, stride=2, padding=1)
        self._add_layers(config, here, spec.outputs)

    def embedded(self, x: Tensor) -> Tensor:
        """Return images ``x`` (..., channels, height, width) as one row a token."""
        places = functional.gelu(self.embed(functional.gelu(self.stem(x))))
        return places.flatten(-2).transpose(-1, -2)

    def pooled(self, hidden: Tensor) -> Tensor:
        """Return the mean of an image's tokens."""
        return hidden.mean(-2)


# Plain models.


class VectorMLP(nn.Module):
    """``layers`` linear maps of width ``hidden``, a ReLU behind each, and a head."""

    def __init__(self, config: ModelConfig, spec: InputSpec, here: Residency) -> None:
        super().__init__()
        widths = [spec.shape[0]] + [config.hidden] * config.layers
        self.layers = nn.ModuleList(map(nn.Linear, widths, widths[1:]))
        self.head = nn.Linear(config.hidden, spec.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (..., classes) of features ``x`` (..., d)."""
        for layer in self.layers:
            x = functional.relu(layer(x))
        return self.head(x)


class ImageCNN(nn.Module):
    """Two convolutions of 3 x 3, a ReLU and a pool of 2 x 2 behind each, one hidden map, a head.

    The small convolutional network of McMahan et al. (AISTATS 2017), with smaller kernels.
    """

    def __init__(self, config: ModelConfig, spec: InputSpec, here: Residency) -> None:
        super().__init__()
        first, second = CNN_CHANNELS
        self.first = nn.Conv2d(spec.shape[0], first, 3, padding=1)
        self.second = nn.Conv2d(first, second, 3, padding=1)
        self.hidden = nn.Linear(second * places_of(spec, 4), config.hidden)
        self.head = nn.Linear(config.hidden, spec.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (..., classes) of images ``x`` (..., channels, height, width)."""
        for convolution in (self.first, self.second):
            x = _pooled(functional.relu(convolution(x)))
        return self.head(functional.relu(self.hidden(x.flatten(-3))))


def _pooled(x: Tensor) -> Tensor:
    """Return the largest of each 2 x 2 places of ``x`` (..., C, H, W); an odd edge is left out."""
    rows = functional.max_pool2d(x.flatten(0, -4), 2)
    return rows.view(*x.shape[:-2], *rows.shape[-2:])


class TextMean(nn.Module):
    """The mean of a text's word vectors, of width ``hidden``, and a head.

    Joulin et al., Bag of Tricks for Efficient Text Classification, EACL 2017.
    """

    def __init__(self, config: ModelConfig, spec: InputSpec, here: Residency) -> None:
        super().__init__()
        assert spec.vocabulary is not None  # texts have one
        self.words = nn.Embedding(spec.vocabulary, config.hidden)
        self.head = nn.Linear(config.hidden, spec.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (..., classes) of token ids ``x`` (..., T), padded with -1."""
        kept = (x >= 0)[..., None]
        vectors = self.words(x.clamp_min(0))
        mean = torch.where(kept, vectors, 0.0).sum(-2) / kept.sum(-2).clamp_min(1)
        return self.head(mean)
