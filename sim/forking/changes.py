"""What a fork may change in a scenario, and what it has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import scenarios
from scenarios.parsing import apply_overrides
from sim.errors import InputError

CHANGEABLE = (
    *("link", "compute", "faults", "stop"),
    "learning.step_size",
    "learning.gate_step_size_ratio",
    "learning.rounds",
    "learning.aggregation",
    "learning.evaluate_every_hours",
    "learning.gate_tuning_cycles",
)
"""Keys (and all below them) that are read when something is asked for, and not before."""

Said = dict[str, Any]
"""A scenario as the manifest has it: JSON that needs no file beside it."""


def changed(said: Said, overrides: Mapping[str, Any]) -> Said:
    """Return a scenario with values of ``overrides`` by dotted key.

    Raises InputError for a key that a fork cannot change, and for what is wrong with a value.
    """
    for key in overrides:
        if not any(key == name or key.startswith(f"{name}.") for name in CHANGEABLE):
            raise InputError(
                f"--set {key}: cannot change within a run; a fork can change "
                f"{', '.join(CHANGEABLE)}"
            )
    result = deepcopy(said)
    apply_overrides(result, overrides)
    try:
        return scenarios.from_stored(result, {}).model_dump(mode="json")
    except ValueError as error:
        raise InputError(f"--set {error}") from None


def differing(before: Said, after: Said) -> dict[str, Any]:
    """Return what of ``before`` is otherwise in ``after``, by dotted key."""
    values = ((key, _at(before, key), _at(after, key)) for key in _parts(before))
    return {key: old for key, old, new in values if old != new}


def as_before(after: Said, was: Mapping[str, Any]) -> Said:
    """Return the scenario that differs from ``after`` by what it ``was``."""
    result = deepcopy(after)
    for key, value in was.items():
        scenarios.set_key(result, key, deepcopy(value))
    return result


def _parts(said: Said) -> Iterator[str]:
    """Changeable keys, one level below those of whole sections."""
    for key in CHANGEABLE:
        value = _at(said, key)
        if isinstance(value, dict) and value:
            yield from (f"{key}.{name}" for name in value)
        else:
            yield key


def _at(said: Said, key: str) -> Any:
    value: Any = said
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
