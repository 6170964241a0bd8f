"""The clock: runs a method over contacts and links, records traces, and shows them.

Importing this package is cheap; :func:`run` imports what a run needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "InputError": "sim.errors",
    "Interrupted": "sim.errors",
    "InvariantError": "sim.errors",
    "Result": "sim.result",
    "SimulationError": "sim.errors",
    "compare": "sim.comparison",
    "fork": "sim.forking.forking",
    "load": "sim.result",
    "run": "sim.running",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sim' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
