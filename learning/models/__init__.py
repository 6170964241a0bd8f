"""Mixture-of-experts models: plain torch modules, and Hugging Face models behind one interface."""

from __future__ import annotations

from learning.models.interface import Maker, MoEModel
from learning.models.moe import Expert, Gate, GatedExpert, MoELayer, Residency
from learning.models.register import find_model, model_names, register_model

__all__ = [
    "Expert",
    "Gate",
    "GatedExpert",
    "Maker",
    "MoELayer",
    "MoEModel",
    "Residency",
    "find_model",
    "model_names",
    "register_model",
]
