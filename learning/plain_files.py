"""Files that others may have written, checked before they are opened or taken apart."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

LARGEST_JSON_BYTES = 100_000_000
"""A tokenizer with a vocabulary of a million tokens has less."""


def check_regular(path: str | Path) -> int:
    """Return the bytes of a regular file.

    A pipe would wait for ever and a device may have no end: raises :class:`ValueError` for those
    and for folders, :class:`OSError` for what is not there.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device"
        raise ValueError(f"{path}: is {kind}; name a regular file")
    return found.st_size


def check_size(path: str | Path, most: int) -> None:
    """Raise :class:`ValueError` for a file of more than ``most`` bytes, or no regular one."""
    size = check_regular(path)
    if size > most:
        raise ValueError(f"{path}: has {size} bytes; at most {most} are read")


def read_object(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file; raise :class:`ValueError` for anything else, in one line.

    Raises :class:`OSError` for a file that cannot be read.
    """
    check_size(path, LARGEST_JSON_BYTES)
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    if not isinstance(said, dict):
        raise ValueError(f"{path}: should be a JSON object")
    return said
