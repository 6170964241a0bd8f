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
from functools import cache
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from sysconfig import get_path
from types import ModuleType

OURS = frozenset({"channel", "learning", "leomix", "orbit", "scenarios", "sim", "statements"})
"""Packages of leomix."""
HANDED_ON = "LEOMIX_OWN_MODULES"
"""Environment variable that hands the folders of own modules, as JSON, to processes of these."""
PATH = tuple(sys.path)
"""Where Python looked for modules before code of the user's could change that."""
INSTALLED = ("site-packages", "dist-packages")
"""Folders of packages that are known by their versions."""
HOME = Path(__file__).resolve().parents[2]
"""The folder that holds all packages of leomix."""
LIBRARY = {
    *(Path(get_path(name)) for name in ("stdlib", "platstdlib", "scripts")),
    *(HOME / name for name in OURS),
    HOME / "leomix.py",
}
"""Folders of Python's own library, of commands that were installed, and of leomix."""


@cache
def is_own_file(file: str) -> bool:
    """Whether a file of code is the user's: no library's, not leomix's, not installed."""
    path = Path(file)
    if file.startswith("<") or any(folder in path.parts for folder in INSTALLED):
        return False
    return not any(path.is_relative_to(folder) for folder in LIBRARY)


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


_FIRST, _LAST = OwnModules(), OwnModules()


def _name_folders(finder: OwnModules, folders: dict[str, str]) -> None:
    finder.named |= folders
    if finder not in sys.meta_path:
        sys.meta_path.insert(0 if finder is _FIRST else len(sys.meta_path), finder)


def import_own(module: str) -> ModuleType:
    """Import a module that the user has named; it may lie in the current folder."""
    top = module.partition(".")[0]
    here = str(Path.cwd())
    is_moved = top in _LAST.named and PathFinder.find_spec(top, [here]) is None
    if top not in OURS and not is_moved:  # code of the user's may have gone to another folder
        _name_folders(_LAST, {top: here})
    return import_module(module)


def take_file(path: Path) -> None:
    """Let a file that the user has named be imported by its stem, whatever else is called so."""
    _name_folders(_FIRST, {path.stem: str(path.resolve().parent)})


if HANDED_ON in os.environ:
    _name_folders(_LAST, json.loads(os.environ[HANDED_ON]))


def find_own(top: str) -> ModuleSpec | None:
    """Return where :func:`import_own` would find a module outside packages; it is not imported."""
    first = [_FIRST.named[top]] if top in _FIRST.named else []
    last = _LAST.named.get(top, "")
    found = PathFinder.find_spec(top, [*first, *sys.path, os.getcwd(), last])
    return found if found is not None and found.origin is not None else find_on_path(top) or found


@cache
def find_on_path(top: str) -> ModuleSpec | None:
    """Return where a module outside packages is found by what was installed, or is on ``PATH``."""
    found = PathFinder.find_spec(top, PATH)
    if found is not None and found.origin is not None:
        return found
    for finder in sys.meta_path:  # those of packages that are installed to be edited
        find = None if finder is PathFinder else getattr(finder, "find_spec", None)
        if find is not None and not isinstance(finder, OwnModules):
            spec: ModuleSpec | None = find(top, None)
            if spec is not None:
                return spec
    return found
