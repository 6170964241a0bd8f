"""Files that are there as a whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NO_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""What file systems say that cannot sync a folder."""


@contextmanager
def at_once(path: Path, own: str = "", durable: bool = True) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; what is written there gets its name at the end.

    By then it is on the disk, and unless ``durable`` is False so is its name. Processes that may
    write the same file at the same time have an ``own`` word each. Raises OSError; what was there
    before then stays.
    """
    part = path.with_name(".".join(["", path.name, *([own] if own else []), "part"]))
    try:
        yield part
        _sync(part)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in ``folder`` are on the disk, where the system can do that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        _sync(folder)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


def write_bytes(path: Path, data: bytes, durable: bool = True) -> None:
    """Write ``data`` to ``path`` at once."""
    with at_once(path, durable=durable) as part:
        part.write_bytes(data)


def is_stray(name: str) -> bool:
    """Whether a file of this name was being written when its process ended."""
    return name.startswith(".") and name.endswith(".part")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
