"""Where a report goes, and what it must not overwrite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sim.errors import InputError
from sim.reports.page import MARK

NAME = "report.html"
HEAD_BYTES = 512
"""A report says within this what it is."""


def checked(folders: Sequence[Path], out: Path | None) -> Path:
    """Return the path to write to; raise InputError if a report cannot or must not go there."""
    path = (folders[0] / NAME if len(folders) == 1 else Path(NAME)) if out is None else out
    if path.is_dir():
        raise InputError(f"-o {path}: is a folder; name a file")
    if path.suffix not in (".html", ".htm"):
        raise InputError(f"-o {path}: the file's name must end in .html")
    if out is not None and not path.parent.is_dir():
        raise InputError(f"-o {path}: there is no folder {path.parent}; make it first")
    if path.exists() and not _is_report(path):
        raise InputError(f"-o {path}: is there already and no report of leomix; name another file")
    return path


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return f'content="{MARK}"'.encode() in file.read(HEAD_BYTES)
