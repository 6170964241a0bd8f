"""Forks: one run up to some time, and another future from there."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {"fork": "sim.forking.forking"}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sim.forking' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
