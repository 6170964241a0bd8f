"""The scenario of a run as text that `leomix run` takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml


def scenario_yaml(stored: Mapping[str, Any]) -> str:
    """Return the scenario as YAML, without the keys that have no value."""
    told = _without_empty(stored)
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=100)


def _without_empty(value: object) -> object:
    if not isinstance(value, dict):
        return value
    inner = ((key, _without_empty(part)) for key, part in value.items())
    return {key: part for key, part in inner if part not in (None, {}, [])}
