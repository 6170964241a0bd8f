"""The form of a training: what trainings that are computed by the same calls have in common."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from learning.data.samples import InputSpec
from learning.models.moe import Residency
from learning.models.stacked import Tensors
from learning.settings import ModelConfig
from learning.training.recipe import Recipe

COPIES = 4
"""Of each tensor of a training and of each layer's outputs, while it is stacked."""

Layout = tuple[tuple[str, tuple[int, ...], torch.dtype], ...]
"""Names, shapes and formats of tensors."""


class Form(NamedTuple):
    """What trainings have in common that can be stacked.

    The model with the experts in memory, the recipe, and the tensors that are trained, that are
    frozen and each device's own, and that all devices share.
    """

    model: ModelConfig
    data: InputSpec
    here: Residency
    recipe: Recipe
    gates: tuple[str, ...]
    embedded: bool
    devices: int
    trained: Layout
    own: Layout
    shared: Layout

    @property
    def bytes(self) -> int:
        """Memory that one training takes, roughly."""
        rows = self.devices * self.recipe.batch_size
        total = 0
        for _, shape, kind in (*self.trained, *self.own, *self.shared):
            outputs = rows * shape[-2] if len(shape) > 1 else 0
            total += (math.prod(shape) + outputs) * kind.itemsize
        return COPIES * total


def layout(tensors: Tensors) -> Layout:
    """Return the layout of tensors, in the order of their names."""
    named = sorted(tensors.items())
    return tuple((name, tuple(tensor.shape), tensor.dtype) for name, tensor in named)
