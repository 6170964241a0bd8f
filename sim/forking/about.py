"""A fork in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def fork_text(fork: Mapping[str, Any]) -> str:
    """Return one line on what the manifest says of a fork: of whom, from when on, with what."""
    changes = ", ".join(f"{key}={value}" for key, value in fork["set"].items())
    parent = f"{fork['parent']['folder']} from {fork['at_s'] / 3600:.2f} h on"
    return f"{parent}, {changes or 'nothing changed'}"
