"""Where a report goes, and what it must not overwrite."""

from collections.abc import Sequence
from pathlib import Path

from sim.errors import InputError
from sim.files import check_file, check_not_a_pipe, check_within
from sim.report.page import MARK

NAME = "report.html"
HEAD_BYTES = 512
"""A report says within this what it is."""


def checked(folders: Sequence[Path], out: Path | None) -> Path:
    """Return the path to write to; raise InputError if a report cannot or must not go there."""
    path = (folders[0] / NAME if len(folders) == 1 else Path(NAME)) if out is None else out
    if out is not None or path.parent.is_dir():
        check_file(path, ".html", ".htm")
    check_not_a_pipe(path)
    check_within(path.parent, path.with_name(f".{path.name}.part"))  # written first: see at_once
    if path.exists():
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if f'content="{MARK}"'.encode() not in head:
            raise InputError(
                f"-o {path}: is there already and no report of leomix; name another file"
            )
    return path
