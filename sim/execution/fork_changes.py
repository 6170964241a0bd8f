"""What a fork may change in a scenario, and what it has changed."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import scenarios
from scenarios.parsing import apply_overrides
from sim.errors import InputError, as_input

CHANGEABLE = (
    "link",
    "compute",
    "faults",
    "stop",
    "learning.step_size",
    "learning.gate_step_size_ratio",
    "learning.rounds",
    "learning.aggregation",
    "learning.evaluate_every_hours",
    "learning.gate_tuning_cycles",
)
"""Keys (and all below them) that are read when something is asked for, and not before."""

Stored = dict[str, Any]
"""A scenario as the manifest has it: JSON that needs no file beside it."""


def changed(stored: Stored, overrides: Mapping[str, Any]) -> Stored:
    """Return a scenario with values by dotted key; InputError for a key or value that cannot be."""
    for key in overrides:
        if not any(key == name or key.startswith(f"{name}.") for name in CHANGEABLE):
            raise InputError(
                f"--set {key}: cannot change within a run; a fork can change "
                f"{', '.join(CHANGEABLE)}"
            )
    result = deepcopy(stored)
    apply_overrides(result, overrides)
    with as_input("--set "):
        return scenarios.from_stored(result, {}).model_dump(mode="json")


def differing(before: Stored, after: Stored) -> dict[str, Any]:
    """Return the values of ``before`` that ``after`` changes, by dotted key."""
    found: dict[str, Any] = {}
    for section in CHANGEABLE:  # of whole sections the keys one level below
        value = _at(before, section)
        keys = [f"{section}.{name}" for name in value] if isinstance(value, dict) else []
        for key in keys or [section]:
            if (old := _at(before, key)) != _at(after, key):
                found[key] = old
    return found


def _at(stored: Stored, key: str) -> Any:
    value: Any = stored
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
