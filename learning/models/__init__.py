"""Mixture-of-experts models: plain torch modules, and Hugging Face models behind one interface."""

from __future__ import annotations

from learning.models.interface import Maker, MoEModel
from learning.models.moe import Expert, Gate, GatedExpert, MoELayer, Residency
from learning.models.register import MODELS

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
