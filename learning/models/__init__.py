"""Mixture-of-experts models, made of plain torch modules."""

from __future__ import annotations

from collections.abc import Callable

from learning.models.moe import MoELayer, Residency
from learning.models.vector import MoEModel, VectorMoE

#: Kind of model -> its class; see :class:`learning.models.vector.VectorMoE` for the arguments.
MODELS: dict[str, Callable[..., MoEModel]] = {"vector-moe": VectorMoE}

__all__ = ["MODELS", "MoELayer", "MoEModel", "Residency", "VectorMoE"]
