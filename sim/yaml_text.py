"""Values of a scenario as its author would write them."""

from __future__ import annotations

import json
from typing import Any

LARGEST_WHOLE = 1e15
"""Below it a whole number is written with all of its digits."""


def as_yaml(value: Any) -> str:
    """Return a value as one line of YAML: 500 and not 500.0, null, false, lists in brackets."""
    return value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Return the value with floats that are whole as whole numbers."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_WHOLE
    return int(value) if whole else value
