"""The run folder: claimed, written, read."""

import functools
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa

from learning.files import is_stray, read_object, write_bytes
from sim import files
from sim.errors import InputError, SimulationError
from sim.execution.checkpoint import CHECKPOINT
from sim.files import check_not_a_pipe, check_out, check_within, naming, write_text, written
from sim.trace.parquet import LARGE, described, write_table
from sim.trace.schema import APPENDED, COLUMNS, OPTIONAL
from sim.trace.tables import Tables

RUN_LOG, MANIFEST = "run.log", "manifest.json"
SWEEP, POINTS = "sweep.json", "points"
"""In a sweep folder: what the sweep is, and the folder of its points' runs."""

COMPLETE, FAILED, CRASHED, REFUSED = "complete", "failed", "crashed", "refused"
"""How a run or a point of a sweep ends: done; failed; its process died; its input is wrong."""

INTERRUPTED = "interrupted"
"""Status of what was asked to stop: its state is saved."""

NEEDED = (
    *("status", "method", "seed", "scenario", "identity", "trace_sha256"),
    *("start_utc", "simulated_s"),
)
"""Keys without which a manifest is not that of a run."""
LIBRARIES = ("leomix", "torch", "numpy", "scipy", "skyfield", "sgp4", "simpy", "pyarrow", "pandas")


def write_tables(folder: Path, tables: Mapping[str, pa.Table]) -> None:
    """Write ``NAME.parquet`` for every table; one that is a file already is moved there."""
    folder.mkdir(parents=True, exist_ok=True)
    files = tables.files if isinstance(tables, Tables) else {}
    for name in tables:
        path = folder / f"{name}.parquet"
        if name in files:
            with naming(path):
                files[name] = files[name].replace(path)
        else:
            with written(path) as part:
                table = tables[name]
                own = {field.name: field.type for field in table.schema}
                write_table(part, COLUMNS[name] | own, [table])


def write_model(
    folder: Path, weights: bytes | None, about: dict[str, Any], payloads: list[dict[str, Any]]
) -> None:
    """Write the final weights, if any (a safetensors file), what they are, and ``payloads``."""
    place = folder / "model"
    place.mkdir(parents=True, exist_ok=True)
    if weights is not None:
        from safetensors import safe_open

        path = place / "model.safetensors"
        write_bytes(path, weights)
        with safe_open(path, framework="numpy") as file:
            shapes = {key: list(file.get_slice(key).get_shape()) for key in sorted(file.keys())}
        about = {**about, "tensors": shapes}
    write_text(place / "model.json", json.dumps(about, indent=2))
    write_text(place / "payloads.json", json.dumps(payloads, indent=2))


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write ``manifest.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / MANIFEST, json.dumps(manifest, indent=2))


def is_sweep(folder: Path) -> bool:
    """Whether ``folder`` is that of a sweep."""
    return (folder / SWEEP).is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a run folder; raise InputError if it is none."""
    path = folder / MANIFEST
    if is_sweep(folder) and not path.is_file():
        raise InputError(
            f"{folder}: is a sweep; use leomix compare, report or export, or name one of its "
            f"points, {folder / POINTS}/..."
        )
    if (folder / CHECKPOINT).exists() and not path.exists():
        raise InputError(
            f"{folder}: the run in it has not ended (it was killed, or still goes on); finish it: "
            f"leomix run SCENARIO --resume -o {folder}"
        )
    if not path.is_file():
        raise InputError(f"{folder}: no run folder (it has no {MANIFEST})")
    try:
        manifest = read_object(path)
    except ValueError as error:
        raise InputError(f"{error}; the run has to be done again") from None
    missing = [key for key in NEEDED if key not in manifest]
    if missing:
        raise InputError(f"{path}: no manifest of a run (it has no {missing[0]!r})")
    return manifest


def read_tables(folder: Path) -> Tables:
    """Return the tables of a run folder, read when asked for; raise InputError for a broken one."""
    tables = Tables()
    for name in COLUMNS:
        path = folder / f"{name}.parquet"
        if name in OPTIONAL and not path.exists():
            continue
        rows, schema = described(path)
        found = {field.name: field.type for field in schema}
        absent = {column: COLUMNS[name][column] for column in APPENDED.get(name, ())}
        lacking = [
            column for column, kind in COLUMNS[name].items() if (absent | found).get(column) != kind
        ]
        if lacking:
            raise InputError(
                f"{path}: is not the table of a run (it has no {lacking[0]!r} of its type)"
            )
        tables.files[name] = path
        if rows <= LARGE:
            tables.small.add(name)
    return tables


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide a result, without importing them."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


# Where a run may begin, and the lock on its folder.


def check_place(place: Path, resume: bool) -> None:
    """Refuse to write over anything but a run to be resumed, and out of the folder by a link."""
    check_out(place)
    for name in (*WITHIN, RUN_LOG):
        check_within(place, place / name)
    check_not_a_pipe(place / RUN_LOG)
    if is_free(place):
        return
    if not resume:
        raise InputError(
            f"-o {place}: is not empty; name another folder, or go on with its run by --resume"
        )
    if not (place / MANIFEST).exists() and not (place / CHECKPOINT).exists():
        raise InputError(f"-o {place}: holds no run that could be resumed; name another folder")


@contextmanager
def locked(place: Path | None) -> Iterator[None]:
    """Make ``place`` and lock it against other processes; leftovers of a killed one are removed.

    Raises InputError while another process runs there, SimulationError for trouble with the disk.
    """
    if place is None:
        yield
        return
    busy = f"-o {place}: another process is running in it; wait for it"
    is_new = not place.exists()
    try:
        with ExitStack() as held:
            with as_run_failure(place):
                _make(place)
                held.enter_context(files.locked(place, busy))
            remove_leftovers(place)
            yield
    finally:
        if is_new:
            with suppress(OSError):  # it is not empty
                place.rmdir()


def _make(place: Path) -> None:
    """Make a folder; InputError where none can be made, OSError for trouble with the disk."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if files.of_the_disk(error):
            raise
        why = f"cannot be made ({error.strerror}); name another folder"
        raise InputError(f"-o {place}: {why}") from error


def check_writable(place: Path) -> None:
    """Raise InputError for a folder that may not be written to."""
    if not os.access(place, os.W_OK):
        raise InputError(f"-o {place}: cannot be written to; name another folder")


@contextmanager
def as_run_failure(place: Path | None) -> Iterator[None]:
    """Turn an OSError of the run folder into the failure of the run."""
    try:
        yield
    except OSError as error:
        where = error.filename or place
        raise SimulationError(f"{where}: {error.strerror or error}") from error


SPILLED = ".spilled"
"""Folder of rows that have left memory; useless without the process that wrote them."""
WITHIN = ("", "model", "checkpoint", "checkpoint/values")


def is_leftover(path: Path) -> bool:
    """Whether a file or folder in a run folder is useless without the process that wrote it."""
    return is_stray(path.name) or path.name == SPILLED


def is_free(place: Path) -> bool:
    """Whether a run can begin in a folder: it has nothing but a log and leftovers."""
    if not place.exists():
        return True
    return all(path.name == RUN_LOG or is_leftover(path) for path in place.iterdir())


def remove_leftovers(place: Path) -> None:
    """Remove what a killed process has left in a run folder."""
    for folder in (place / name for name in WITHIN):
        for path in folder.iterdir() if folder.is_dir() else ():
            if not is_leftover(path):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()


DAMAGE = (
    *(LookupError, TypeError, AttributeError, ArithmeticError),
    *(NotImplementedError, RecursionError),
)
"""Errors from a missing key, or from a value of another type, wherever it is used."""


@contextmanager
def as_written(folders: Sequence[Path]) -> Iterator[None]:
    """Turn the errors of a damaged, foreign or much older folder into InputError."""
    try:
        yield
    except DAMAGE as error:
        names = ", ".join(map(str, folders))
        what = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{names}: manifest or tables are not as this version of leomix writes them ({what}); "
            "run the scenario anew"
        ) from error
