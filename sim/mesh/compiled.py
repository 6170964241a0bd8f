"""The functions of the search, compiled by numba: the same source, much faster.

The functions are copied, and in the copies each calls compiled ones. numba keeps what it has
compiled on disk, in a folder of its own for each state of the source.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from math import inf
from pathlib import Path
from types import FunctionType
from typing import Any

from sim.mesh import free_times, search

MODULES = (free_times, search)
"""What the search is made of."""


def can_compile() -> bool:
    """Whether numba can be imported, which takes half a second: a mesh alone asks this."""
    try:
        import_module("numba")
    except ImportError:  # not installed, or not made for this numpy
        return False
    return True


def _never_asked(_book: Any, _row: int, _begin_s: float, _bits: float) -> tuple[float, float]:
    """Stand in for what asks a function: no compiled search has such contacts."""
    return inf, inf


class OfOneKind:
    """A compiled function whose arguments are always of the types that they have at first.

    They are looked at once: to look at those of all arrays of a search takes as long as the search.
    """

    def __init__(self, function: Any) -> None:
        self._function = function
        self._entry: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        """Call the function."""
        if self._entry is None:
            numba = import_module("numba")
            self._entry = self._function.compile(tuple(map(numba.typeof, args)))
        return self._entry(*args)


def functions_of_search(*, compiled: bool) -> Mapping[str, Callable[..., Any]]:
    """Return the functions of the search by their names, as they are or compiled.

    Those that are compiled are for one book: they get the same types of arrays each time.
    """
    functions = _functions(compiled=compiled)
    if not compiled:
        return functions
    return {name: OfOneKind(function) for name, function in functions.items()}


@cache
def _functions(*, compiled: bool) -> Mapping[str, Callable[..., Any]]:
    functions = {
        name: value
        for module in MODULES
        for name, value in vars(module).items()
        if isinstance(value, FunctionType) and value.__module__ == module.__name__
    }
    return _compiled(functions) if compiled else functions


def _compiled(functions: Mapping[str, FunctionType]) -> Mapping[str, Callable[..., Any]]:
    """Return functions that are compiled when they are called first."""
    numba = import_module("numba")
    replaced: Mapping[str, Any] = {**functions, "asked": _never_asked}
    known: dict[str, Any] = {}
    before = numba.config.CACHE_DIR
    folder = _cache_folder(before)
    numba.config.CACHE_DIR = before if folder is None else str(folder)
    try:
        # None of them makes an array. To count who refers to arrays would take most of the time.
        jit = numba.njit(cache=folder is not None, error_model="numpy", _nrt=False)
        for name, function in replaced.items():
            # Its names are looked up when it is called first: then those below are among them.
            names = dict(function.__globals__)
            known[name] = jit(FunctionType(function.__code__, names, name))
    finally:
        numba.config.CACHE_DIR = before
    for one in known.values():
        names = one.py_func.__globals__
        names.update({name: other for name, other in known.items() if name in names})
    return known


def _cache_folder(given: str) -> Path | None:
    """Return where code is kept that was compiled from this source; None for nowhere.

    That is in the folder that numba was ``given``, beside the modules, or in the user's cache.
    """
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for module in MODULES:
        digest.update(Path(module.__file__ or "").read_bytes())
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    places = [Path(__file__).parent / "__pycache__", Path(base).expanduser() / "leomix"]
    for place in [Path(given)] if given else places:
        folder = place / f"search-{digest.hexdigest()[:16]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None
