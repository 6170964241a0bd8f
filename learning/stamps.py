"""Whether local files are still those that something was made of."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from learning.config import LearningConfig

Stamps = tuple[tuple[str, int, int], ...]


MOST_ENTRIES = 20_000
"""Files and folders up to which a folder is taken for data or weights, not for half a disk."""


def files_under(name: str) -> list[Path]:
    """Return the file of that name, or all files in the folder of that name, sorted.

    Raises ValueError for a folder with very many.
    """
    path = Path(name)
    if path.is_file():
        return [path]
    found: list[Path] = []
    seen: set[Path] = set()
    entries = 0
    for folder, inner, names in os.walk(path, followlinks=True):
        entries += len(inner) + len(names)
        if entries > MOST_ENTRIES:
            raise ValueError(f"{name}: holds more than {MOST_ENTRIES} files; name a smaller folder")
        inner[:] = [one for one in inner if _is_new(Path(folder, one), seen)]
        found += [file for one in names if (file := Path(folder, one)).is_file()]
    return sorted(found)


def _is_new(folder: Path, seen: set[Path]) -> bool:
    """Whether a folder, reached by a link perhaps, has not been gone into before."""
    real = folder.resolve()
    if real in seen:
        return False
    seen.add(real)
    return True


def stamps(config: LearningConfig) -> Stamps:
    """Return (path, bytes, nanoseconds of the last change) of every file that a task is made of."""
    data, model = config.data, config.model
    named = [data.path, *(path for _, path in data.paths), *model.checkpoints]
    named += [model.tokenizer, model.adapter]
    return stamps_under([name for name in named if name is not None])


def stamps_under(names: Iterable[str]) -> Stamps:
    """Return path, bytes and time of the last change of all files of these names, or in them."""
    seen = [(str(file), file.stat()) for name in names for file in files_under(name)]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in seen)


def source_stamps(package: Path) -> Stamps:
    """Return path, bytes and time of the last change of every Python file under ``package``."""
    seen = []
    for folder, _, names in os.walk(package):
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                stat = os.stat(path)
                seen.append((os.path.relpath(path, package), stat.st_size, stat.st_mtime_ns))
    return tuple(sorted(seen))


SOURCE = source_stamps(Path(__file__).parent)
"""This package's source files as they were when the program began."""
