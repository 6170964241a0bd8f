"""The ``pyproject.toml`` of an app, looked at before a library parses it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from learning.files import check_size

MOST_BYTES = 1_000_000
"""Of a ``pyproject.toml``; one has some thousand."""


def check_project(folder: Path) -> None:
    """Raise ValueError for a file that is none, too large or too deep; OSError for a missing one.

    What is wrong in it else is up to who reads it.
    """
    path = folder / "pyproject.toml"
    check_size(path, MOST_BYTES)
    try:
        tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path}: is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is no text in UTF-8") from None
    except tomllib.TOMLDecodeError:
        return
