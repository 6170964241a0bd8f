"""The scenario of a point, with everything checked that can be without its contacts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sim.errors import InputError
from sim.yaml_text import as_yaml

if TYPE_CHECKING:
    from scenarios import Scenario

_UNKNOWN = re.compile(r"(\S+)\.[^.\s]+: is not a known key; did you mean '([^'.]+)'\?")
"""Of a key within a section, for which a key beside it is suggested."""


def load_point(
    read: Callable[[Mapping[str, Any]], Scenario],
    overrides: Mapping[str, Any],
    values: Mapping[str, Any],
) -> Scenario:
    """Return what is ``read`` with the overrides; ``values`` are those that are swept, by key.

    Raises InputError for what is wrong, which begins with ``-p KEY`` where a swept key is.
    """
    from sim.build import method_of

    try:
        scenario = read(overrides)
        method_of(scenario)
    except ValueError as error:
        raise InputError(_of_the_sweep(str(error), values)) from None
    return scenario


def _of_the_sweep(text: str, values: Mapping[str, Any]) -> str:
    """Say `-p KEY` for a key that is swept; elsewhere add which point it is that is wrong."""
    plain = text.removeprefix("--set ")
    for key in values:
        if plain.startswith((f"{key}:", f"{key}.")):
            return f"-p {_with_whole_keys(plain)}"
    point = ", ".join(f"{key}={as_yaml(value)}" for key, value in values.items())
    return f"{text} (at {point})"


def _with_whole_keys(text: str) -> str:
    """Return the text with the section before a suggested key, as `-p` needs it."""
    from scenarios import Scenario

    found = _UNKNOWN.fullmatch(text)
    if found is None or found[2] in Scenario.model_fields:
        return text
    return text.replace(f"'{found[2]}'?", f"'{found[1]}.{found[2]}'?")
