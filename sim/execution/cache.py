"""What is in the cache, and how it is kept within its bound."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from learning.files import read_regular
from sim.errors import InputError
from sim.execution.shelf import (
    FOLDERS,
    KEPT,
    PART,
    TAG,
    VARIABLE,
    may_become_cache,
)
from sim.files import write_text
from statements import Code, Other

BOUND_BYTES = 5 * 2**30
"""How large the cache may be when a run ends."""
LEFT_BY_TRIMMING = 0.9
"""Share of the bound that is left when it was reached, so that the next runs need not trim."""
TALLY = "size"
"""File with the size of the cache when a run last ended, in bytes."""
BLOCK_BYTES = 4096
STRAY_S = 3600.0
"""Age from which a file that was never finished belongs to no process any more."""


class Entry(NamedTuple):
    """One file: what it takes of the disk, and when it was last used (Unix time, s)."""

    path: Path
    size_bytes: int
    used_s: float


def entries(root: Path) -> Iterator[Entry]:
    """Yield all files of the cache, those too that were never finished."""
    for part in FOLDERS:
        for folder, _, names in os.walk(root / part):
            for name in names:
                path = Path(folder, name)
                if path.suffix not in KEPT and path.suffix != PART:
                    continue
                with suppress(OSError):  # another process may be tidying up
                    stat = path.stat()
                    size = -(-stat.st_size // BLOCK_BYTES) * BLOCK_BYTES
                    yield Entry(path, size, stat.st_mtime)


def size_bytes(root: Path) -> int:
    """Return what the cache takes of the disk; InputError for what is no cache."""
    if root.exists() and not root.is_dir():
        raise InputError.of_file(
            root, Code.WRONG_FILE, "is no folder", Other(said=f"let {VARIABLE} name one")
        )
    if not may_become_cache(root):
        raise InputError.of_file(
            root,
            Code.WRONG_FILE,
            f"is no leomix cache (it has no {TAG} of it)",
            Other(said=f"let {VARIABLE} name one that is, or a new folder"),
        )
    return sum(entry.size_bytes for entry in entries(root) if entry.path.suffix != PART)


def keep_within_bound(root: Path, added_bytes: int, bound_bytes: int) -> None:
    """Trim the cache where, with what was added now, it has outgrown its bound.

    The size is kept in a tally, since reading every file's size takes long where there are many.
    Runs that end at the same moment may miss each other's part; the next trimming corrects it.
    """
    try:
        size = int(read_regular(root / TALLY)) + added_bytes
    except (OSError, ValueError):
        size = bound_bytes + 1  # it is not known
    if size > bound_bytes:
        size = trim(root, int(LEFT_BY_TRIMMING * bound_bytes))
    with suppress(OSError):
        write_text(root / TALLY, str(size))


def trim(root: Path, bound_bytes: int) -> int:
    """Remove what was used longest ago until the rest is within the bound; return its bytes."""
    kept = []
    now = time.time()
    for entry in entries(root):
        if entry.path.suffix != PART:
            kept.append(entry)
        elif now - entry.used_s > STRAY_S:
            _remove(entry.path)
    size = sum(entry.size_bytes for entry in kept)
    for entry in sorted(kept, key=lambda entry: entry.used_s):
        if size <= bound_bytes:
            break
        _remove(entry.path)
        size -= entry.size_bytes
    return size


def _remove(path: Path) -> None:
    """Remove a file, and its folder if it was the last one there."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()
