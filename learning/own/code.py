"""Code of one's own by content: the files that define ``MODULE:NAME``, without importing them.

What is installed is known by its version, and the library by that of Python. All else that a module
imports is code of the user's, wherever it lies: beside it, in a package that is installed to be
edited, or in a folder that the code itself looks into.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path

from learning.files import Fingerprints, fingerprints_under
from learning.own.imports import (
    OURS,
    asked_for,
    find_on_path,
    find_own,
    is_own_file,
    watch_imports,
)

_imported: dict[str, tuple[ModuleSpec, str]] = {}
"""Digests of modules that this process runs, as they were when first seen."""
_contents: dict[str, tuple[ModuleSpec, str]] = {}
"""Digests of the file of each of them, as it was when first seen."""
ENDINGS = (".py", *EXTENSION_SUFFIXES)


def code_digest(name: str) -> str:
    """Return a digest of the files that define ``MODULE:NAME``; "" where none is found.

    These are the module's file and all code of the user's that it imports, as far as that is found
    without running any.
    """
    files = sorted(_files_of(name.partition(":")[0]).items())
    return _digest(tuple(files), fingerprints_under(str(path) for _, path in files))


def running_code_digest(name: str) -> str:
    """Return the digest of the code that this process runs as ``MODULE:NAME``.

    A module keeps the digest that it had when this was first asked for, as it keeps its code, until
    it is imported anew.
    """
    module = name.partition(":")[0]
    spec = getattr(sys.modules.get(module), "__spec__", None)
    if spec is None:
        return code_digest(name)
    if (known := _imported.get(module)) is None or known[0] is not spec:
        known = _imported[module] = spec, code_digest(name)
    return known[1]


def files_of(name: str) -> list[Path]:
    """Return the files that ``MODULE:NAME`` is made of, in order, but for those of packages."""
    return [path for _, path in sorted(_files_of(name.partition(":")[0]).items())]


Seen = dict[str, tuple[str, str]]
"""Digests and paths of modules, by their names."""


def packages_of(name: str) -> set[str]:
    """Return the names of all that the files of ``MODULE:NAME`` import and that are not of it."""
    files = _files_of(name.partition(":")[0])
    asked = (_imports(path, own, fingerprints_under([str(path)])) for own, path in files.items())
    return {other.partition(".")[0] for names in asked for other in names if other not in files}


class RunningCode:
    """Modules of the user's that take part where code of ``names``, ``MODULE:NAME``, is run.

    These are also modules that were imported by a name or from a folder that only the running code
    knows. They are known by their contents.
    """

    def __init__(self, names: Iterable[str]) -> None:
        watch_imports()
        self._modules = [name.partition(":")[0] for name in names]
        self._count = -1
        self._seen: dict[str, Seen] = {}

    def digests(self) -> dict[str, str]:
        """Return the digests of the modules that have taken part by now, by their names."""
        return {name: digest for name, (digest, _) in self._part().items()}

    def seen(self) -> dict[str, Seen]:
        """Return the modules that took ``part``, and those ``beside`` them in this process.

        Code may get at a module that is there already without being seen to ask for it.
        """
        if self._count != len(sys.modules):
            self._count = len(sys.modules)
            part = self._part()
            files = {name: _running_file(name) for name in list(sys.modules) if name not in part}
            beside = _contents_of({name: path for name, path in files.items() if path is not None})
            self._seen = {"part": part, "beside": beside}
        return self._seen

    def changed(self, before: Mapping[str, Seen], *, here: bool) -> list[str]:
        """Return which modules are not those that were :meth:`seen` ``before``.

        Where none is, those that took part count as asked for in this process as well. ``here``
        says that it was seen from the same folder: a module that is not imported yet, and that
        nobody knows to find, is then looked for where it was, and none ``beside`` counts.
        """
        modules = before["part"] if here else before["part"] | before["beside"]
        changed = []
        for name, (digest, file) in modules.items():
            path = self._file_now(name)
            if path is None and here and Path(file).is_file():
                path = Path(file)
            if path is None or _content(name, path) != digest:
                changed.append(name)
        if not changed:
            for path in filter(None, map(self._file_now, self._modules)):
                asked_for[str(path)] |= before["part"].keys()
        return changed

    def differing(self, before: Mapping[str, str]) -> list[str]:
        """Return which modules do not have the :meth:`digests` that they had ``before``.

        Of one that is not imported yet, and that nobody knows to find, that is not known.
        """
        now = ((name, self._file_now(name)) for name in before)
        return [name for name, path in now if path and _content(name, path) != before[name]]

    def _part(self) -> Seen:
        files: dict[str, Path] = {}
        for module in self._modules:
            files |= _files_of(module, running=True)
        return _contents_of(files)

    def _file_now(self, name: str) -> Path | None:
        if name in sys.modules:
            return _running_file(name)
        folders = filter(None, map(_folder_of, self._modules))
        return next(filter(None, (_found_file(name, folder) for folder in folders)), None)


def _contents_of(files: Mapping[str, Path]) -> Seen:
    return {name: (_content(name, path), str(path)) for name, path in sorted(files.items())}


@cache
def _digest(files: tuple[tuple[str, Path], ...], _when: Fingerprints) -> str:
    if not files:
        return ""
    digest = hashlib.blake2b(digest_size=16)
    for name, path in files:
        content = path.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _content(module: str, path: Path) -> str:
    """Return a digest of a module's file; of one that this process runs as when first seen."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    known = _contents.get(module)
    if spec is not None and known is not None and known[0] is spec:
        return known[1]
    found = _digest(((module, path),), fingerprints_under([str(path)]))
    if spec is not None:
        _contents[module] = spec, found
    return found


def _files_of(module: str, *, running: bool = False) -> dict[str, Path]:
    """Return the files of the modules that ``module`` is made of, by the names of these.

    Of what is ``running`` the files are those that were imported, and the modules also those that
    were asked for by a name that no file tells.
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
        others = _imports(path, name, fingerprints_under([str(path)]))
        late = asked_for.get(str(path), ()) if running else ()
        more = (own for name in late for own in _with_parents(name))
        for other in (*others, *more):
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
