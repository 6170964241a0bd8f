"""Options that belong together: a command receives them as one frozen value."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints


def spread_out(command: Callable[..., None]) -> Callable[..., None]:
    """Return ``command`` with the options of its groups in place of the groups, as typer reads it.

    A group is a parameter whose type is a dataclass. Its fields become options in their order,
    those of a group within it as well. Names of options must differ between groups.
    """
    groups = {
        name: hint
        for name, hint in get_type_hints(command, include_extras=True).items()
        if _is_group(hint)
    }

    @functools.wraps(command)
    def spread(**given: Any) -> None:
        gathered = {name: _gathered(group, given) for name, group in groups.items()}
        alone = {name: given[name] for name in signature(command).parameters if name not in groups}
        command(**alone, **gathered)

    options = list(_options(command))
    spread.__signature__ = Signature(options)  # type: ignore[attr-defined]
    spread.__annotations__ = {option.name: option.annotation for option in options}
    return spread


def _is_group(hint: Any) -> bool:
    return isinstance(hint, type) and is_dataclass(hint)


def _options(command: Callable[..., None]) -> Iterator[Parameter]:
    hints = get_type_hints(command, include_extras=True)
    for parameter in signature(command).parameters.values():
        hint = hints[parameter.name]
        if _is_group(hint):
            yield from _options_of(hint)
        else:
            yield parameter.replace(annotation=hint, kind=Parameter.KEYWORD_ONLY)


def _options_of(group: type) -> Iterator[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        hint = hints[field.name]
        if _is_group(hint):
            yield from _options_of(hint)
            continue
        default = Parameter.empty if field.default is MISSING else field.default
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _gathered(group: type, given: Mapping[str, Any]) -> Any:
    """Return a group with the options that were given."""
    hints = get_type_hints(group, include_extras=True)
    values = {
        name: _gathered(hint, given) if _is_group(hint) else given[name]
        for name, hint in hints.items()
    }
    return group(**values)
