"""Code of one's own by content: the files that define ``MODULE:NAME``, without importing them."""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

from learning.files import Fingerprints, fingerprints_under
from learning.own.imports import OURS, find_own

_imported: dict[str, tuple[ModuleSpec, str]] = {}
"""Digests of modules that this process runs, as they were when first seen."""


def code_digest(name: str) -> str:
    """Return a digest of the files that define ``MODULE:NAME``; "" where none is found.

    These are the module's file and those that it imports from the same folder or, where it is
    installed, from the same package.
    """
    files = sorted(_files_of(name.partition(":")[0]))
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
    return [path for _, path in sorted(_files_of(name.partition(":")[0]))]


@cache
def _digest(files: tuple[tuple[str, Path], ...], _when: Fingerprints) -> str:
    if not files:
        return ""
    digest = hashlib.blake2b(digest_size=16)
    for name, path in files:
        content = path.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _files_of(module: str) -> set[tuple[str, Path]]:
    """Return the modules, with their files, that ``module`` is made of."""
    top = module.partition(".")[0]
    known = top in OURS or top in sys.stdlib_module_names
    spec = None if known else find_own(top)
    if spec is None or spec.origin in (None, "built-in", "frozen"):
        return set()
    place = Path(str(spec.origin))
    folder = place.parent.parent if spec.submodule_search_locations else place.parent
    installed = str(folder) in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    found: set[tuple[str, Path]] = set()
    asked = list(_with_parents(module))
    seen = set(asked)
    while asked:
        name = asked.pop()
        path = _file_of(folder, name)
        if path is None:
            continue
        found.add((name, path))
        for other in _imports(path, name, fingerprints_under([str(path)])):
            first = other.partition(".")[0]
            if other not in seen and first not in OURS and (first == top or not installed):
                seen.add(other)
                asked.append(other)
    return found


def _file_of(folder: Path, module: str) -> Path | None:
    """Return the source file of a module below ``folder``; None for a module of elsewhere."""
    place = folder.joinpath(*module.split("."))
    candidates = place / "__init__.py", place.with_name(f"{place.name}.py")
    return next((path for path in candidates if path.is_file()), None)


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
    return tuple(dict.fromkeys(one for name in names if name for one in _with_parents(name)))


def _with_parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[: count + 1]) for count in range(len(parts)))
