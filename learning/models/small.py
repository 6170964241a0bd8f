"""Small models: VectorMoE and ImageMoE."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from learning.architecture.kinds import check_form
from learning.architecture.shapes import STEM_CHANNELS
from learning.config import ModelConfig
from learning.data.samples import InputSpec
from learning.models.feed_forward import ExpertsAtOnce
from learning.models.interface import MoEModel
from learning.models.moe import Residency
from learning.models.stacked import Conv2d, LayerNorm, Linear


class _ResidualMoE(MoEModel):
    """L residual MoE layers, each after a LayerNorm, then LayerNorm and head."""

    stacks = True

    def _add_layers(self, config: ModelConfig, here: Residency, classes: int) -> None:
        self.moe = nn.ModuleList(ExpertsAtOnce(config, here) for _ in range(config.layers))
        self.norms = nn.ModuleList(LayerNorm(config.hidden) for _ in range(config.layers))
        self.norm = LayerNorm(config.hidden)
        self.head = Linear(config.hidden, classes)

    def _through_layers(self, hidden: Tensor) -> Tensor:
        for norm, layer in zip(self.norms, self.moe, strict=True):
            hidden = hidden + layer(norm(hidden))
        out: Tensor = self.norm(hidden)
        return out


class VectorMoE(_ResidualMoE):
    """embed -> GELU -> L residual MoE layers -> LayerNorm -> head."""

    def __init__(self, config: ModelConfig, spec: InputSpec, here: Residency) -> None:
        super().__init__()
        check_form(config, spec)
        self.embed = Linear(spec.shape[0], config.hidden)
        self._add_layers(config, here, spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (..., classes) of features ``x`` (..., d)."""
        logits: Tensor = self.head(self._through_layers(functional.gelu(self.embed(x))))
        return logits


class ImageMoE(_ResidualMoE):
    """Two strided convolutions -> tokens -> L residual MoE layers -> mean of tokens -> head.

    Each convolution halves height and width and is followed by GELU; a token is one place of the
    resulting map, ``hidden`` wide. Experts serve each token.
    """

    def __init__(self, config: ModelConfig, spec: InputSpec, here: Residency) -> None:
        super().__init__()
        check_form(config, spec)
        self.stem = Conv2d(spec.shape[0], STEM_CHANNELS, 3, stride=2, padding=1)
        self.embed = Conv2d(STEM_CHANNELS, config.hidden, 3, stride=2, padding=1)
        self._add_layers(config, here, spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (..., classes) of images ``x`` (..., channels, height, width)."""
        places = functional.gelu(self.embed(functional.gelu(self.stem(x))))
        hidden = places.flatten(-2).transpose(-1, -2)
        logits: Tensor = self.head(self._through_layers(hidden).mean(-2))
        return logits
