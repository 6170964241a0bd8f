"""Registers of methods, models and data sets by name: shipped, added here, or installed."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, distributions
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from learning.own.imports import import_own
from learning.own.raised import ANYTHING, cause_of, place_of

Thing = TypeVar("Thing")


def installed(group: str) -> dict[str, EntryPoint]:
    """Return what installed packages add to a group, by name.

    The current folder, which Python puts first for ``python -c`` and ``python -m``, holds no
    installed packages: somebody else's files may lie there.
    """
    first = sys.path[:1]
    if not sys.flags.safe_path:
        with suppress(OSError):  # it may have been removed
            first = [entry for entry in first if entry != os.getcwd()]
    return _installed(group, tuple(filter(None, (*first, *sys.path[1:]))))


@lru_cache(64)
def _installed(group: str, path: tuple[str, ...]) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for distribution in distributions(path=list(path)):
        for point in distribution.entry_points:
            if point.group == group:
                found.setdefault(point.name, point)
    return found


class Register(Generic[Thing]):
    """Objects of one sort by name.

    ``sort`` is what messages call one of them, ``group`` the entry points of other packages, and
    ``shipped`` names are ``module:attribute``, imported on demand. They are functions or, with a
    ``base``, whole classes derived from it; ``what`` says so to whoever names something else.
    """

    def __init__(
        self,
        sort: str,
        group: str,
        shipped: Mapping[str, str],
        what: str = "a function",
        base: type | None = None,
    ) -> None:
        self.sort, self.group, self.shipped, self.what, self.base = sort, group, shipped, what, base
        self._added: dict[str, Thing] = {}

    def add(self, name: str) -> Callable[[Thing], Thing]:
        """Decorator: register an object as ``name`` in this process.

        Raises ValueError for a shipped name, TypeError for what is none of this sort.
        """
        if name in self.shipped:
            raise ValueError(
                f"{name!r} is a shipped {self.sort}; register yours under another name"
            )

        def added(thing: Thing) -> Thing:
            if not self._is_one(thing):
                raise TypeError(f"{thing!r} is no {self.sort}; make it {self.what}")
            self._added[name] = thing
            return thing

        return added

    def names(self) -> list[str]:
        """Names of all objects."""
        return sorted({*self.shipped, *self._added, *installed(self.group)})

    def find(self, name: str) -> Thing:
        """Return what is called ``name``; ``module:attribute`` names one in a Python module.

        Such a module may lie in the current folder: who names it consents. Raises ValueError for an
        unknown name, and for what is none of this sort or lacks a method.
        """
        thing = self._found(name)
        if not self._is_one(thing):
            raise ValueError(f"{name!r} is no {self.sort}; make it {self.what}")
        if missing := sorted(getattr(thing, "__abstractmethods__", ())):
            raise ValueError(f"{name!r} has no method {missing[0]}; write one")
        return thing

    def known(self, name: str) -> str:
        """Return a name that something is found by; errors as of :meth:`find`."""
        self.find(name)
        return name

    def _is_one(self, thing: Thing) -> bool:
        if self.base is None:
            return callable(thing)
        return isinstance(thing, type) and issubclass(thing, self.base)

    def _found(self, name: str) -> Thing:
        if name in self._added:
            return self._added[name]
        if name in self.shipped:
            return self._imported(name, self.shipped[name], import_module)
        if ":" in name:
            return self._imported(name, name, import_own)
        if point := installed(self.group).get(name):
            return self._imported(name, f"{point.module}:{point.attr}", import_module)
        known = self.names()
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ", or MODULE:NAME for one of your own"
        if not known:
            raise ValueError(
                f"no {self.sort} {name!r}; none is shipped, name your own: MODULE:NAME"
            )
        raise ValueError(f"no {self.sort} {name!r}; known are {', '.join(known)}{hint}")

    def _imported(self, name: str, place: str, importer: Callable[[str], ModuleType]) -> Thing:
        module, _, attribute = place.partition(":")
        try:
            found = importer(module)
        except ANYTHING as error:  # a custom module may raise anything
            raise ValueError(self._why_not_imported(name, place, error)) from None
        try:
            return attrgetter(attribute)(found)
        except ANYTHING as error:
            if name in self.shipped:
                raise ValueError(f"{self.sort} {name!r} cannot be used: {broken(error)}") from None
            why, cure = _read_from(module, found)
            raise ValueError(
                f"{self.sort} {place!r} cannot be imported ({error}{why}); {cure}"
            ) from None

    def _why_not_imported(self, name: str, place: str, error: BaseException) -> str:
        """Say what keeps a module from being imported, and what to mend: its name, or the code."""
        what = f"{self.sort} {place!r} cannot be imported"
        module = place.partition(":")[0]
        if name in self.shipped:
            return f"{self.sort} {name!r} cannot be used: {broken(error)}"
        missing = error.name if isinstance(error, ModuleNotFoundError) and error.name else None
        absent = missing is not None and f"{module}.".startswith(f"{missing}.")
        if absent or not all(part.isidentifier() for part in module.split(".")):
            return f"{what} ({error}); name it MODULE:NAME"
        if not place_of(error) and name != place:
            return f"{what}: {broken(error)}"
        cure = "mend it there" if missing is None else f"install {missing}, or mend the import"
        return f"{what} ({cause_of(error)}); {cure}"


def _read_from(name: str, module: ModuleType) -> tuple[str, str]:
    """Say which file a module was read from, and how to name what it has, or to be read at all."""
    file = getattr(module, "__file__", None)
    said = f", read from {file}" if file else ", which is no file"
    mine = Path(*name.split(".")).with_suffix(".py")
    if not mine.is_file() or (file and Path(file).resolve() == mine.resolve()):
        return said, "name it MODULE:NAME"
    return said, f"give {mine} of this folder another name, which no other module has"


def broken(error: BaseException) -> str:
    """Say that a package of the environment cannot be imported, and what was the first to fail."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return (
        f"a package of this environment cannot be imported ({type(error).__name__}: {error}); "
        "packages that do not fit each other are often the cause: install it anew, or remove it"
    )
