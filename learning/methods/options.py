"""Options of methods: declared with their bounds, read from a scenario, refused in one line.

A method's module declares its own: ``@dataclass(frozen=True, config=CHECKED)`` of pydantic, each
option with its default, what it is and its bounds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass, is_pydantic_dataclass

CHECKED = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
"""How pydantic checks options: no other keys, no other types, no infinities."""

Share = Annotated[float, Field(ge=0, le=1)]


def option(default: Any, description: str, **bounds: Any) -> Any:
    """Declare an option; ``bounds`` are pydantic's, beside those of its type."""
    return Field(default, description=description, **bounds)


@dataclass(frozen=True, config=CHECKED)
class NoOptions:
    """Options of a method that has none."""


# From a scenario's `learning.options` to an object, or a line that says what is allowed.


def read_options(options: type, given: Mapping[str, Any]) -> Any:
    """Return a method's ``Options`` filled from a scenario.

    Options without any of pydantic are checked by the types of their defaults. Raises ValueError
    in one line with the key, the value and what is allowed.
    """
    known = [field.name for field in dataclasses.fields(options)]
    for key in given:
        if key not in known:
            allowed = ", ".join(known) or "none"
            raise ValueError(f"{key}: unknown option; this method's options are: {allowed}")
    checked = _checked_by_pydantic(options)
    if checked is None:
        _check_types(options(), given)
    try:
        return (checked or options)(**given)
    except ValidationError as error:
        raise ValueError(_line(error)) from None


@cache
def _checked_by_pydantic(options: type) -> type | None:
    """Return options that pydantic checks; None where neither they nor a base are pydantic's.

    A plain dataclass that extends the options of a shipped method has inherited declarations in
    place of defaults: a subclass in which pydantic has read them takes its place.
    """
    if is_pydantic_dataclass(options):
        return options
    if not any(map(is_pydantic_dataclass, options.__mro__)):
        return None
    names = {"__module__": options.__module__, "__doc__": options.__doc__}
    return dataclass(frozen=True, config=CHECKED)(type(options.__name__, (options,), names))


def _check_types(defaults: object, given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        wanted = type(getattr(defaults, key))
        number = wanted is float and type(value) is int
        if wanted not in (type(None), type(value)) and not number:
            raise ValueError(f"{key}: {value!r} should be a {wanted.__name__}")


def _line(error: ValidationError) -> str:
    """Return the first finding of pydantic as one line."""
    found = error.errors(include_url=False)[0]
    if not found["loc"]:
        return str(found["ctx"]["error"])
    text = f"{found['input']!r} {found['msg'].removeprefix('Input ')}"
    if found["type"] == "value_error":
        text = str(found["ctx"]["error"])
    return f"{found['loc'][0]}: {text}"
