"""Operations: the functions that make values, declared where they stand and imported at first use.

A function is declared by ``@operation(version=2)``. Who must start without torch refers to it
through deferred modules (``learning.training.operations``): for type checkers and editors
``operations.local.train`` is the function itself, and at run time a :class:`Reference` that knows
its place. A value is named by what the source of its operation declares, so that a run whose values
are all known starts without torch too; the function is imported when a value is computed.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

OURS = "learning."
"""Prefix of the places of leomix's own operations, whose source files are part of a cache's key."""

DECLARED = re.compile(r"^@operation\((.*?)\)\ndef (\w+)", re.MULTILINE | re.DOTALL)
"""A declaration in the source of a module: its arguments, and the name of the function."""

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
    its arguments name, which it calls; empty if there is none. ``groups`` are the types of
    parameters that are frozen dataclasses: their fields are arguments of their own in the names of
    values, and in that text.
    """

    place: str
    version: int = 1
    trains: bool = False
    guarded: str = ""
    of_state: bool = False
    calls: str = ""
    groups: Mapping[str, type] = field(default_factory=dict)

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

    @property
    def declared(self) -> Operation:
        """The operation itself, as :attr:`Reference.declared`."""
        return self

    @property
    def resolved(self) -> Operation:
        """The operation itself, as :attr:`Reference.resolved`."""
        return self

    def function(self) -> Callable[..., Any]:
        """Import the function."""
        module, _, name = self.place.partition(":")
        return attrgetter(name)(import_module(module))

    def __call__(
        self, task: Any, parents: Sequence[Mapping[str, Any]], arguments: dict[str, Any]
    ) -> Any:
        """Call the function with the parents' tensors and flat ``arguments``, some in groups."""
        return self.function()(task, *parents, **self.grouped(arguments))

    def grouped(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return flat ``arguments`` as the function takes them."""
        own = dict(arguments)
        for name, kind in self.groups.items():
            own[name] = kind(**{part: own.pop(part) for part in _parts_of(kind) or ()})
        return own


@dataclass(frozen=True)
class Reference:
    """An operation of leomix by its ``place``, which is not imported before it is needed."""

    place: str
    calls: str = ""

    @cached_property
    def name(self) -> str:
        """Name of the function."""
        return Operation(self.place).name

    @cached_property
    def foreign(self) -> str:
        """Place outside leomix that it runs, empty if there is none."""
        return Operation(self.place, calls=self.calls).foreign

    @cached_property
    def declared(self) -> Operation:
        """The operation as its source declares it: all but its ``groups``, and not imported.

        Raises TypeError where the function is declared as none.
        """
        module, _, name = self.place.partition(":")
        options = _declarations(module).get(name)
        if options is None:
            raise TypeError(f"{self.place} is no operation; declare it by @operation()")
        return Operation(self.place, **options, calls=self.calls)

    @cached_property
    def resolved(self) -> Operation:
        """The operation, imported; TypeError where the function is declared as none."""
        declared = getattr(Operation(self.place).function(), "operation", None)
        if not isinstance(declared, Operation):
            raise TypeError(f"{self.place} is no operation; declare it by @operation()")
        return replace(declared, calls=self.calls)


@cache
def _declarations(module: str) -> dict[str, dict[str, Any]]:
    """Return what the source of a module declares of its operations but groups, by name."""
    spec = find_spec(module)
    source = Path(spec.origin).read_bytes() if spec is not None and spec.origin else b""
    found: dict[str, dict[str, Any]] = {}
    # The tree of a whole module is so many objects that the next full collection comes sooner.
    for arguments, name in DECLARED.findall(source.decode()):
        call = ast.parse(f"operation({arguments})", mode="eval").body
        assert isinstance(call, ast.Call)  # that is what was written
        found[name] = {
            keyword.arg: ast.literal_eval(keyword.value)
            for keyword in call.keywords
            if keyword.arg in ("version", "trains", "guarded", "of_state")
        }
    return found


def operation(
    *,
    version: int = 1,
    trains: bool = False,
    guarded: str = "",
    of_state: bool = False,
    **groups: type,
) -> Callable[[Function], Function]:
    """Declare that a function is an :class:`Operation`; it can be called as before."""

    def declare(function: Function) -> Function:
        declared = Operation(place_of(function), version, trains, guarded, of_state, groups=groups)
        function.operation = declared  # type: ignore[attr-defined]
        return function

    return declare


def operation_of(function: Operation | Reference | Callable[..., Any]) -> Operation | Reference:
    """Return a function of a module as the operation that it is declared as, else as a plain one.

    Raises TypeError for what is no function of a module.
    """
    if isinstance(function, Operation | Reference):
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
    """A module whose functions are references; it is imported when one of them is needed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, function: str) -> Reference:
        if function.startswith("__"):
            raise AttributeError(function)
        made = Reference(f"{self._name}:{function}")
        setattr(self, function, made)
        return made


def deferred(package: str, known: dict[str, Any]) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a module, which gives the modules of ``package`` unimported.

    ``known`` are the globals of that module, where each is found from its second use on.
    """

    def module(name: str) -> _DeferredModule:
        if name.startswith("__"):
            raise AttributeError(name)
        return known.setdefault(name, _DeferredModule(f"{package}.{name}"))

    return module
