"""Mixture-of-experts models: plain torch modules, and Hugging Face models behind one interface."""

from __future__ import annotations

from learning.models.interface import MODELS, Maker, MoEModel
from learning.models.moe import Expert, Gate, GatedExpert, MoELayer, Residency

__all__ = [
    "Expert",
    "MODELS",
    "Gate",
    "GatedExpert",
    "Maker",
    "MoELayer",
    "MoEModel",
    "Residency",
]
