"""What a process that was killed leaves in a run folder: files that are not whole."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from learning.files import is_stray
from sim.run_log import RUN_LOG

SPILLED = ".spilled"
"""Folder of rows that have left memory; of no use without the process that wrote them."""
WITHIN = ("", "model", "checkpoint", "checkpoint/values")


def is_left_over(path: Path) -> bool:
    """Whether something in a run folder means nothing without the process that wrote it."""
    return is_stray(path.name) or path.name == SPILLED


def is_free(place: Path) -> bool:
    """Whether a run can begin in a folder: nothing in it is worth keeping."""
    if not place.exists():
        return True
    return all(path.name == RUN_LOG or is_left_over(path) for path in place.iterdir())


def sweep_strays(place: Path) -> None:
    """Remove what is left over in a run folder."""
    for folder in (place / name for name in WITHIN):
        for path in folder.iterdir() if folder.is_dir() else ():
            if not is_left_over(path):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()
