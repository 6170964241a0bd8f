"""Imports of code of one's own: ``MODULE:NAME``, and what it imports, from the folder it lies in.

The current folder is not where Python looks for modules: somebody else's files may lie in it, and a
package that misses an optional one, ``pytz``, would run a file that is called like it. A module is
found there if the user has named it, or if a module asks that was found there itself, at once or
later, as in a function. Packages never find anything there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

OURS = frozenset({"channel", "learning", "leomix", "orbit", "scenarios", "sim", "statements"})
"""Packages of leomix."""
HANDED_ON = "LEOMIX_OWN_MODULES"
"""Environment variable that hands the folders of own modules, as JSON, to processes of these."""


class OwnModules(MetaPathFinder):
    """Finds modules outside packages in the folders of those that were ``named``, and of these."""

    def __init__(self) -> None:
        self.named: dict[str, str] = {}
        self._found: dict[str, str] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, _target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Return where a module lies; None for one of a package, which knows its own place."""
        if path is not None:
            return None
        folder = self._found.get(_asking()) or self.named.get(name)
        spec = None if folder is None else PathFinder.find_spec(name, [folder])
        if folder is not None and spec is not None:
            self._found[name] = folder
            known = json.loads(os.environ.get(HANDED_ON, "{}"))
            os.environ[HANDED_ON] = json.dumps({**known, name: folder})
        return spec


def _asking() -> str:
    """Return the name, outside its package, of the module whose code asks for an import."""
    frame = sys._getframe(2)  # noqa: SLF001 (there is no other way to know)
    while frame.f_back is not None and _name(frame.f_globals) == "importlib":
        frame = frame.f_back
    return _name(frame.f_globals)


def _name(names: dict[str, object]) -> str:
    return str(names.get("__name__")).partition(".")[0]


_BEFORE_ALL, _BEHIND_ALL = OwnModules(), OwnModules()


def import_own(module: str) -> ModuleType:
    """Import a module that the user has named; it may lie in the current folder."""
    top = module.partition(".")[0]
    if top not in OURS:
        _take({top: str(Path.cwd())})
    return import_module(module)


def _take(folders: dict[str, str]) -> None:
    _BEHIND_ALL.named |= folders
    if _BEHIND_ALL not in sys.meta_path:
        sys.meta_path.append(_BEHIND_ALL)


if HANDED_ON in os.environ:
    _take(json.loads(os.environ[HANDED_ON]))


def take_file(path: Path) -> None:
    """Let a file that the user has named be imported by its stem, whatever else is called so."""
    _BEFORE_ALL.named[path.stem] = str(path.resolve().parent)
    if _BEFORE_ALL not in sys.meta_path:
        sys.meta_path.insert(0, _BEFORE_ALL)


def find_own(top: str) -> ModuleSpec | None:
    """Return where :func:`import_own` would find a module outside packages; it is not imported."""
    before = _BEFORE_ALL.named.get(top)
    first = [] if before is None else [before]
    return PathFinder.find_spec(top, [*first, *sys.path, str(Path.cwd())])
