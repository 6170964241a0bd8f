"""Models of real_data.py: a mixture of experts for texts, and a small CNN."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from learning.models import MoELayer


class WordMixture(nn.Module):
    """The mean of a text's word vectors, a residual layer of experts, and a head."""

    def __init__(self, config: Any, spec: Any, here: Any) -> None:
        super().__init__()
        self.words = nn.Embedding(spec.vocabulary, config.hidden)
        self.mixture = MoELayer(config, here)
        self.head = nn.Linear(config.hidden, spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, classes) of token ids (n, T), padded with -1."""
        kept = (x >= 0)[..., None]
        mean = torch.where(kept, self.words(x.clamp_min(0)), 0).sum(-2) / kept.sum(-2).clamp_min(1)
        logits: Tensor = self.head(mean + self.mixture(mean))
        return logits


class StridedCNN(nn.Module):
    """Two strided convolutions and a head."""

    def __init__(self, spec: Any) -> None:
        super().__init__()
        channels, height, width = spec.shape
        self.first = nn.Conv2d(channels, 8, 5, stride=2, padding=2)
        self.second = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.head = nn.Linear(16 * (height // 4) * (width // 4), spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, classes) of images (n, channels, height, width)."""
        x = torch.relu(self.second(torch.relu(self.first(x))))
        logits: Tensor = self.head(x.flatten(1))
        return logits
