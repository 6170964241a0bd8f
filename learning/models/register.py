"""The register of models by kind."""

from __future__ import annotations

from learning.models.interface import Maker
from learning.registers import Register

MODELS: Register[Maker] = Register(
    "model",
    "leomix.models",
    {
        "vector-moe": "learning.models.vector:VectorMoE",
        "image-moe": "learning.models.image:ImageMoE",
        "vector-nmoe": "learning.models.networked:NetworkedMoE",
        "image-nmoe": "learning.models.networked:NetworkedMoE",
        "mixtral": "learning.models.mixtral:MixtralMoE",
        "mixtral-8x7b": "learning.models.mixtral:MixtralMoE",
        "merged-llama": "learning.models.mixtral:MixtralMoE",
        "llama-3-8b-x3": "learning.models.mixtral:MixtralMoE",
    },
)
"""Kinds of ``learning.model.kind``, each with its :data:`~learning.models.interface.Maker`."""
