"""Operations by place: a function of a module is named ``MODULE:FUNCTION``, and imported when used.

A run that trains nothing must start without torch: whoever asks for a value names the function that
makes it. It is called with the task, the parents' tensors and the arguments by name, which are
JSON, arrays, or frozen dataclasses of these.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from operator import attrgetter
from typing import Any

import numpy as np

OURS = "learning."
"""Prefix of leomix's own places, whose source files are part of every key."""
KIND = "="
"""Key of the place of a dataclass, beside its fields."""


def place_of(function: str | Callable[..., Any]) -> str:
    """Return where a function or class of a module is found again, as it is if that is given.

    Raises TypeError for any other: a run that is resumed could not find it.
    """
    if isinstance(function, str):
        return function
    name = getattr(function, "__qualname__", "<unknown>")
    if "<" in name:
        raise TypeError(f"{function!r} is no function of a module; define it there, with a name")
    return f"{function.__module__}:{name}"


def found_at(place: str) -> Callable[..., Any]:
    """Import the function or class at a place."""
    module, _, name = place.partition(":")
    found: Callable[..., Any] = attrgetter(name)(import_module(module))
    return found


def text_of(arguments: Mapping[str, Any]) -> str:
    """Return arguments as JSON: the same for the same ones, and a copy of arrays."""
    return _ENCODER.encode(arguments)


def arguments_in(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as a function takes them, of those that :func:`text_of` has made plain."""
    return {
        name: found_at(value[KIND])(**{k: v for k, v in value.items() if k != KIND})
        if isinstance(value, dict) and KIND in value
        else value
        for name, value in given.items()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, range):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {
            KIND: place_of(type(value)),
            **{f.name: getattr(value, f.name) for f in fields(value)},
        }
    raise TypeError(f"an argument of an operation must be JSON, not {type(value).__name__}")


_ENCODER = json.JSONEncoder(sort_keys=True, default=_plain)
