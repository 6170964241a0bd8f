"""`leomix export`: what a folder holds, written for other tools."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from sim.errors import InputError
from sim.exports.source import Source, SweepRows, read_source
from sim.file_trouble import naming
from sim.sweeps.rows import POINTS

FORMATS = {
    "csv": "spreadsheet.write_csv",
    "parquet": "spreadsheet.write_parquet",
    "perfetto": "perfetto.write_perfetto",
    "czml": "czml.write_czml",
    "tensorboard": "scalars.write_tensorboard",
    "peft": "adapters.write_adapters",
}
"""Where the writer of each format lives; it is imported when it is asked for."""

OF_SWEEPS = ("csv", "parquet")
PART = ".part"

Writer = Callable[[Source, Path], list[str]]
"""Writes into an empty folder, and says what the user should know, a line each."""


@dataclass(frozen=True)
class Exported:
    """What was written, by name of file or folder, and what there is to say about it."""

    paths: list[Path]
    notes: list[str]


def export(folder: Path, to: str, out: Path | None = None) -> Exported:
    """Write the run (or, as tables, the sweep) in ``folder`` as ``to``, one of ``FORMATS``.

    ``out`` is a new or empty folder; if None, ``FOLDER/export/TO``, where an earlier export is
    replaced. Everything appears there at the end, or nothing does. Raises InputError for a folder
    that holds no run, has nothing of what is asked for, or where ``out`` is not empty.
    """
    if to not in FORMATS:
        raise InputError(f"--to {to}: no such format; there are {', '.join(FORMATS)}")
    source = read_source(folder)
    if isinstance(source, SweepRows) and to not in OF_SWEEPS:
        raise InputError(
            f"{folder}: is a sweep, which --to {' or '.join(OF_SWEEPS)} writes; for --to {to} name "
            f"the folder of one of its points, {folder / POINTS}/..."
        )
    place = out if out is not None else folder / "export" / to
    if out is None and place.exists() and not place.is_dir():
        raise InputError(f"{place}: is no folder; remove it, or name another one by -o")
    if out is not None and place.exists() and not _is_empty(place):
        raise InputError(f"-o {place}: is not an empty folder; name another one")
    module, name = FORMATS[to].split(".")
    writer: Writer = getattr(import_module(f"sim.exports.{module}"), name)
    with _at_once(place) as part:
        notes = [*source.notes, *writer(source, part)]
        written = sorted(path.name for path in part.iterdir())
    return Exported([place / name for name in written], notes)


def _is_empty(place: Path) -> bool:
    """Whether there is nothing but what a killed export may have left."""
    return place.is_dir() and all(path.name == PART for path in place.iterdir())


@contextmanager
def _at_once(place: Path) -> Iterator[Path]:
    """A folder inside ``place`` to write into; what is there at the end moves up together."""
    new = not place.exists()
    part = place / PART
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        with naming(place):
            yield part
        for path in part.iterdir():
            _move(path, place / path.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if new and not any(place.iterdir()):
            place.rmdir()


def _move(path: Path, to: Path) -> None:
    """Put ``path`` in the place of what an earlier export has left there."""
    if to.is_dir() and not to.is_symlink():
        shutil.rmtree(to)
    path.replace(to)
