"""Code of one's own by content: the files that define ``MODULE:NAME``, without importing them.

What is installed is known by its version, and the library by that of Python. All else that a module
imports is code of the user's, wherever it lies: beside it, in a package that is installed to be
edited, or in a folder that the code itself looks into.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path

from learning.files import Fingerprints, fingerprints_under
from learning.own.imports import OURS, find_on_path, find_own, is_own_file

ENDINGS = (".py", *EXTENSION_SUFFIXES)


def code_digest(name: str, *, running: bool = False) -> str:
    """Return a digest of the files that define ``MODULE:NAME``; "" where none is found.

    These are the module's file and all code of the user's that it imports, as far as that is found
    without running any. A module that this process is ``running`` counts as it was when first seen.
    """
    files = _files_of(_module(name))
    said = {own: _content(path, own if running else "") for own, path in sorted(files.items())}
    return hashlib.blake2b(json.dumps(said).encode(), digest_size=16).hexdigest() if said else ""


def files_of(name: str) -> list[Path]:
    """Return the files that ``MODULE:NAME`` is made of, in order, but for those of packages."""
    return [path for _, path in sorted(_files_of(_module(name)).items())]


def packages_of(name: str) -> set[str]:
    """Return the names of all that the files of ``MODULE:NAME`` import and that are not of it."""
    files = _files_of(_module(name))
    asked = (_imports(path, own, fingerprints_under([str(path)])) for own, path in files.items())
    return {other.partition(".")[0] for names in asked for other in names if other not in files}


def running_modules(names: Iterable[str]) -> dict[str, str]:
    """Return digests of the modules that ``names``, ``MODULE:NAME``, import, as this process has
    them.
    """
    files: dict[str, Path] = {}
    for name in names:
        files |= _files_of(_module(name), running=True)
    return {own: _content(path, own) for own, path in sorted(files.items())}


def changed_modules(names: Iterable[str], before: Mapping[str, str]) -> list[str]:
    """Return which :func:`running_modules` are not as they were ``before``.

    Of one that is not imported yet, and that nobody knows to find, that is not known.
    """
    folders = _folders_of(names)
    now = ((name, _file_now(name, folders)) for name in before)
    return [name for name, path in now if path and _content(path, name) != before[name]]


Imported = dict[str, tuple[str, str]]
"""Digests and paths of modules of the user's, by their names."""


class RunningCode:
    """The user's modules that this process has imported while code of ``names`` is run.

    Code may get at any of them, by whatever name or path.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = [*names]
        self._count = -1
        self._imported: Imported = {}

    def imported(self) -> Imported:
        """Return all that are imported by now."""
        if self._count != len(sys.modules):
            self._count = len(sys.modules)
            files = {name: path for name in [*sys.modules] if (path := _running_file(name))}
            self._imported = {
                name: (_content(path, name), str(path)) for name, path in sorted(files.items())
            }
        return self._imported

    def changed(self, before: Imported, *, here: bool) -> list[str]:
        """Return which modules are not as they were when they were :meth:`imported` ``before``.

        ``here`` says that it was seen from the same folder: a module that is not imported yet, and
        that nobody knows to find, is then looked for where it was.
        """
        folders = _folders_of(self._names)
        changed = []
        for name, (digest, file) in before.items():
            path = _file_now(name, folders) or (Path(file) if here else None)
            if path is None or not path.is_file() or _content(path, name) != digest:
                changed.append(name)
        return changed


def _module(name: str) -> str:
    return name.partition(":")[0]


def _folders_of(names: Iterable[str]) -> list[Path]:
    return [folder for name in names if (folder := _folder_of(_module(name)))]


def _file_now(name: str, folders: Iterable[Path]) -> Path | None:
    if name in sys.modules:
        return _running_file(name)
    return next(filter(None, (_found_file(name, folder) for folder in folders)), None)


_first_seen: dict[Path, tuple[ModuleSpec, str]] = {}
"""Digests of files of modules that this process runs, as they were when first seen."""


def _content(path: Path, running: str = "") -> str:
    """Return a digest of a file; of one that is ``running`` as this module as when first seen."""
    spec = getattr(sys.modules.get(running), "__spec__", None)
    known = _first_seen.get(path)
    if spec is not None and known is not None and known[0] is spec:
        return known[1]
    found = _digest(path, fingerprints_under([str(path)]))
    if spec is not None:
        _first_seen[path] = spec, found
    return found


@cache
def _digest(path: Path, _when: Fingerprints) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _files_of(module: str, *, running: bool = False) -> dict[str, Path]:
    """Return the files of the modules that ``module`` is made of, by the names of these.

    Of what is ``running`` the files are those that were imported.
    """
    top = module.partition(".")[0]
    folder = _folder_of(module)
    if folder is None:
        return {}
    found: dict[str, Path] = {}
    asked = list(_with_parents(module))
    seen = set(asked)
    while asked:
        name = asked.pop()
        is_there = running and name in sys.modules
        path = _running_file(name) if is_there else _found_file(name, folder, but_for=top)
        if path is None:
            continue
        found[name] = path
        for other in _imports(path, name, fingerprints_under([str(path)])):
            if other not in seen and other.partition(".")[0] not in OURS:
                seen.add(other)
                asked.append(other)
    return found


def _folder_of(module: str) -> Path | None:
    """Return the folder that a module, or the package that it is in, lies in; None for no file."""
    top = module.partition(".")[0]
    if top in OURS or top in sys.stdlib_module_names:
        return None
    spec = find_own(top)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).parent
    return None if spec.origin in (None, "built-in", "frozen") else Path(str(spec.origin)).parent


def _running_file(name: str) -> Path | None:
    """Return the file of a module of the user's that this process has imported; else None."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if not isinstance(file, str) or name.partition(".")[0] in {*OURS, "__main__"}:
        return None
    return Path(file) if is_own_file(file) and Path(file).is_file() else None


def _found_file(name: str, folder: Path, but_for: str = "") -> Path | None:
    """Return the file of a module of the user's, in a folder or else where Python looks for it.

    Of a package that is installed, only what is ``but_for`` that is of its own.
    """
    top, _, rest = name.partition(".")
    path = _file_in([folder], name)
    if path is None and top not in sys.stdlib_module_names:
        spec = find_on_path(top)
        if spec is not None and not rest and not spec.submodule_search_locations:
            path = Path(str(spec.origin))
        elif spec is not None:
            within = map(Path, spec.submodule_search_locations or ())
            path = _file_in(within, rest)
    if path is None or top == but_for or is_own_file(str(path)):
        return path
    return None


def _file_in(folders: Iterable[Path], module: str) -> Path | None:
    """Return the file of a module below folders; None for a module of elsewhere."""
    for folder in folders:
        place = folder.joinpath(*module.split(".")) if module else folder
        files = [place / "__init__.py", *(place.with_name(place.name + end) for end in ENDINGS)]
        for path in files if module else files[:1]:
            if path.is_file():
                return path
    return None


@cache
def _imports(path: Path, module: str, _when: Fingerprints) -> tuple[str, ...]:
    """Return what a source file may import, by whole names; nothing of a file that is no Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join(part for part in (*above, base) if part)
            names += [base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)]
    return tuple(dict.fromkeys(own for name in names if name for own in _with_parents(name)))


def _with_parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[: count + 1]) for count in range(len(parts)))
