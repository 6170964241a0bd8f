"""What is trained: mixtures of experts, their data, and the federated methods over the seam.

Importing this package does not import torch; the functions that need it do.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "Architecture": "learning.costs",
    "Cluster": "learning.method",
    "DataConfig": "learning.config",
    "Learner": "learning.learner",
    "LearningConfig": "learning.config",
    "Method": "learning.method",
    "ModelConfig": "learning.config",
    "World": "learning.method",
    "assign_experts": "learning.assignment",
    "assignment_probability": "learning.assignment",
    "expert_relevance": "learning.relevance",
    "find_method": "learning.method",
    "method_names": "learning.method",
    "own_mass": "learning.assignment",
    "register": "learning.method",
    "stream": "learning.streams",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'learning' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
