"""Names of inner modules that tests use, a module for each package that has them.

Each is imported when a test first asks for it: what a module hands on may be gone, and the tests of
all others still run.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def late(kit: dict[str, Any], modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module of the kit, whose ``globals()`` are given.

    ``modules`` has the names that each module hands on, ``own=theirs`` where the kit calls one
    otherwise, and ``own=.`` for the module itself.
    """
    places: dict[str, tuple[str, str]] = {}
    for module, names in modules.items():
        for name in names.split():
            own, _, theirs = name.partition("=")
            places[own] = module, theirs or own

    def found(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {kit['__name__']!r} has no attribute {name!r}")
        module, theirs = places[name]
        there = import_module(module)
        kit[name] = there if theirs == "." else getattr(there, theirs)
        return kit[name]

    return found
