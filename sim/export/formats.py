"""The formats that a run or sweep is exported to, and how an export is written."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from learning.own.raised import ANYTHING
from learning.registry import Register
from sim.errors import InputError, as_input, custom_line, missing
from sim.execution.folder import POINTS, is_sweep
from sim.execution.result import Result, load
from sim.facts.status import COMPLETE
from sim.files import check_within, folder_at_once, naming
from sim.sweep.folder import Sweep, points_missing, read_sweep
from statements import Code

Writer = Callable[[Any, Path], list[str]]
"""Writes a run (or a sweep) into an empty folder; returns lines that the user should read."""

FORMATS: Register[Writer] = Register(
    "export format",
    "leomix.exports",
    {
        "csv": "sim.export.tables:write_csv",
        "parquet": "sim.export.tables:write_parquet",
        "perfetto": "sim.export.perfetto:write_perfetto",
        "czml": "sim.export.czml:write_czml",
        "tensorboard": "sim.export.curves:write_tensorboard",
        "peft": "sim.export.adapters:write_adapters",
        "dense": "sim.export.dense:write_dense",
        "profile": "sim.export.tables:write_profiles",
    },
)
"""The writer of each format."""

OF_SWEEPS = ("csv", "parquet")
NETWORK_FORMATS = (*OF_SWEEPS, "czml", "profile")
"""Formats of network studies; the others, those of one's own apart, are of runs that learn."""
EXTRAS = ("tensorboard",)
"""Formats whose packages are not always installed."""
PART = ".export.part"
"""In a folder that was there: what is being written into it. No other program has this name."""


@dataclass(frozen=True)
class Exported:
    """What was written, by name of file or folder, and what there is to say about it."""

    paths: list[Path]
    notes: list[str]


def export(folder: Path, to: str, out: Path | None = None) -> Exported:
    """Write the run (or, as tables, the sweep) in ``folder`` as ``to``, a name of ``FORMATS``.

    ``to`` may also be ``MODULE:FUNCTION``, a :data:`Writer` of the user. ``out`` is a new or empty
    folder; if None, ``FOLDER/export/TO``, where an earlier export is replaced. Everything appears
    there at the end, or nothing does, and what a killed export has left is replaced. Raises
    InputError for an unknown format, for a folder that is not a run or lacks what is asked for,
    and where ``out`` is not empty.
    """
    with as_input(option=f"--to {to}"):
        writer = FORMATS.find(to)
    source = read_sweep(folder) if is_sweep(folder) else load(folder)
    if isinstance(source, Sweep) and to not in OF_SWEEPS:
        raise InputError.of_file(
            folder,
            Code.WRONG_FILE,
            f"is a sweep, which --to {' or '.join(OF_SWEEPS)} writes",
            f"for --to {to} name the folder of one of its points, {folder / POINTS}/...",
        )
    is_study = isinstance(source, Result) and source.of_network
    if is_study and to in FORMATS.shipped and to not in NETWORK_FORMATS:
        raise InputError.of_file(
            folder,
            Code.WRONG_FILE,
            f"is a network study, which --to {', '.join(NETWORK_FORMATS)} write",
        )
    place = out or folder / "export" / to.replace(":", ".")
    if out is None:
        check_within(folder, place)
        if place.exists() and not place.is_dir():
            raise InputError.of_file(
                place,
                Code.WRONG_FILE,
                "is no folder",
                "remove it, or name another one by -o",
            )
    # What an export that was killed has left there is replaced.
    elif place.exists() and not (_is_empty(place) or (place / PART).is_dir()):
        raise InputError.of_option(
            f"-o {place}", Code.WRONG_FILE, "is not an empty folder", "name another one"
        )
    with _at_once(place) as part:
        try:
            notes = [*_incomplete(source), *(writer(source, part) or ())]
        except ANYTHING as error:
            if to in EXTRAS and isinstance(error, ImportError):
                raise missing(f"--to {to}", to, error) from None
            if to in FORMATS.shipped or isinstance(error, InputError):
                raise
            what = f"{type(error).__name__}: {error}{custom_line(error)}"
            raise InputError.of_option(
                f"--to {to}", Code.OWN_CODE, "the writer fails: {what}", what=what
            ) from error
        written = sorted(path.name for path in part.iterdir())
    return Exported([place / name for name in written], notes)


def _incomplete(source: Result | Sweep) -> Iterator[str]:
    """Yield how much is missing of what is not complete."""
    if isinstance(source, Sweep):
        yield from points_missing([source.folder])
    elif (status := source.manifest["status"]) != COMPLETE:
        hours = source.manifest["simulated_s"] / 3600
        yield (f"{source.folder}: the run is {status}: this is what it had done by {hours:.2f} h")


def _is_empty(place: Path) -> bool:
    return place.is_dir() and not any(place.iterdir())


@contextmanager
def _at_once(place: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``place`` at the end.

    A ``place`` that is there stays, for a shell may stand in it and files of the user lie there:
    what was written into a folder in it moves up file by file. Killed by then, the next export
    takes both over.
    """
    with naming(place):
        if not place.exists():
            with folder_at_once(place) as part:
                yield part
            return
        part = place / PART
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        try:
            yield part
            for path in part.iterdir():
                earlier = place / path.name
                if earlier.is_dir() and not earlier.is_symlink():
                    shutil.rmtree(earlier)
                path.replace(earlier)
        finally:
            shutil.rmtree(part, ignore_errors=True)
