"""The scenario of a point, with everything checked that can be without its contacts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sim.errors import InputError

if TYPE_CHECKING:
    from scenarios import Scenario


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
            return f"-p {plain}"
    point = ", ".join(f"{key}={value}" for key, value in values.items())
    return f"{text} (at {point})"
