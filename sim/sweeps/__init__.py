"""Sweeps: many runs of one scenario with some of its keys varied, one folder a point."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {"Sweep": "sim.sweeps.folder", "read_sweep": "sim.sweeps.folder"}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sim.sweeps' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
