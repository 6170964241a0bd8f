"""Operations: the functions that make values, which are imported when a value is computed.

A function is declared where it stands, by ``@operation(version=2)``. Who must start without torch
refers to it through deferred modules (``learning.training.operations``): for type checkers and
editors ``operations.local.train`` is the function itself, and at run time an :class:`Operation`.
What is declared of a function beyond the defaults is also stated in that module, so that a run
whose values are all known is named without torch; the import of a function compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache, cached_property
from importlib import import_module
from operator import attrgetter
from typing import Any, TypeVar

OURS = "learning."
"""Prefix of the places of leomix's own operations, whose source files are part of a cache's key."""

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Operation:
    """A function that makes a value from tensors: ``place`` is ``module:function``.

    It is called with the task, the parents' tensors and the arguments, and is imported when a
    value is first needed. ``version`` is raised when its results change. An operation that
    ``trains`` takes gradient steps: its results are counted, and kept for other runs, as they take
    far longer to compute than to read. One that is ``guarded`` is checked to change no tensor of
    its first parent but those of its argument ``experts`` and, with ``gate``, what is shared; the
    text names it in an error, with its arguments filled in. That parent is a state of devices where
    the operation is ``of_state``, else a server's model. ``calls`` is the place of a function that
    its arguments name, which it calls; empty if there is none.
    """

    place: str
    version: int = 1
    trains: bool = False
    guarded: str = ""
    of_state: bool = False
    calls: str = ""

    @cached_property
    def name(self) -> str:
        """Name of the function."""
        return self.place.rpartition(":")[2]

    @cached_property
    def foreign(self) -> str:
        """Place outside leomix that it runs, empty if there is none."""
        own = (place for place in (self.place, self.calls) if place)
        return next((place for place in own if not place.startswith(OURS)), "")

    @cached_property
    def key(self) -> str:
        """How the text of a key begins, which is a list in JSON."""
        return json.dumps([self.place, self.version])[:-1]

    def function(self) -> Callable[..., Any]:
        """Import the function.

        Raises TypeError where leomix's own function is declared as no operation, or any function as
        another one than this.
        """
        module, _, name = self.place.partition(":")
        function: Callable[..., Any] = attrgetter(name)(import_module(module))
        declared = getattr(function, "operation", None)
        if declared is None and self.place.startswith(OURS):
            raise TypeError(f"{self.place} is no operation; declare it by @operation()")
        own = replace(self, calls="") if self.calls else self  # nearly never
        if declared is not None and declared != own:
            raise TypeError(f"{self.place} is declared as {declared}, but referred to as {self}")
        return function

    def __call__(
        self, task: Any, parents: Sequence[Mapping[str, Any]], arguments: dict[str, Any]
    ) -> Any:
        """Call the function with the parents' tensors and flat ``arguments``, some in groups."""
        return self.function()(task, *parents, **self.grouped(arguments))

    def grouped(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return flat ``arguments`` as the function takes them, some in dataclasses."""
        grouped = dict(arguments)
        for name, kind in getattr(self.function(), "groups", {}).items():
            grouped[name] = kind(**{part: grouped.pop(part) for part in _parts_of(kind) or ()})
        return grouped


def operation(
    *,
    version: int = 1,
    trains: bool = False,
    guarded: str = "",
    of_state: bool = False,
    **groups: type,
) -> Callable[[Function], Function]:
    """Declare that a function is an :class:`Operation`; it can be called as before.

    ``groups`` are the types of parameters that are frozen dataclasses: their fields are arguments
    of their own in the names of values, and in the text of ``guarded``.
    """

    def declare(function: Function) -> Function:
        declared = Operation(place_of(function), version, trains, guarded, of_state)
        function.operation = declared  # type: ignore[attr-defined]
        function.groups = groups  # type: ignore[attr-defined]
        return function

    return declare


def operation_of(function: Operation | Callable[..., Any]) -> Operation:
    """Return a function of a module as the operation that it is declared as, else as a plain one.

    Raises TypeError for what is no function of a module.
    """
    if isinstance(function, Operation):
        return function
    declared = getattr(function, "operation", None)
    return declared if isinstance(declared, Operation) else Operation(place_of(function))


def place_of(function: Callable[..., Any]) -> str:
    """Return where a function of a module is found again, ``module:name``.

    Raises TypeError for any other: a run that is resumed could not find it.
    """
    name = getattr(function, "__qualname__", "<unknown>")
    if "<" in name:
        raise TypeError(f"{function!r} is no function of a module; define it there, with a name")
    return f"{function.__module__}:{name}"


def flat_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with the fields of dataclasses in place of these, as they name values."""
    flat: dict[str, Any] = {}
    for name, value in arguments.items():
        parts = _parts_of(type(value))  # type: ignore[arg-type]  # mypy takes the instance's hash
        if parts is None:
            flat[name] = value
        else:
            flat.update((part, getattr(value, part)) for part in parts)
    return flat


@cache
def _parts_of(kind: type[Any]) -> tuple[str, ...] | None:
    """Return the names of the fields of a dataclass, None for any other class."""
    return tuple(part.name for part in fields(kind)) if is_dataclass(kind) else None


class _DeferredModule:
    """A module whose functions are operations; it is imported when one of them is computed."""

    def __init__(self, name: str, declared: Mapping[str, Operation]) -> None:
        self._name = name
        self._declared = declared

    def __getattr__(self, function: str) -> Operation:
        if function.startswith("__"):
            raise AttributeError(function)
        place = f"{self._name}:{function}"
        made = self._declared.get(place) or Operation(place)
        setattr(self, function, made)
        return made


def deferred(
    package: str, declared: Sequence[Operation], known: dict[str, Any]
) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a module, which gives the modules of ``package`` unimported.

    Functions that are not among the ``declared`` are operations with the defaults. ``known`` are
    the globals of that module, where each module of ``package`` is found from its second use on.
    """
    by_place = {operation.place: operation for operation in declared}

    def module(name: str) -> _DeferredModule:
        if name.startswith("__"):
            raise AttributeError(name)
        return known.setdefault(name, _DeferredModule(f"{package}.{name}", by_place))

    return module
