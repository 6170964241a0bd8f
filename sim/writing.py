"""Files written at once, where trouble names the file and not its temporary name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from learning.files import at_once
from sim.file_trouble import naming


@contextmanager
def written(path: Path, own: str = "") -> Iterator[Path]:
    """Yield a temporary name for ``path``, as :func:`learning.files.at_once` does."""
    with naming(path), at_once(path, own) as part:
        yield part


def write_text(path: Path, text: str) -> None:
    """Write ``path`` at once, in UTF-8."""
    with written(path) as part:
        part.write_text(text, encoding="utf-8")
