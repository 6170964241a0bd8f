"""The run folder: what its files are called, written and read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from learning.files import read_object
from sim.errors import InputError, helped
from sim.execution.checkpoint import CHECKPOINT
from sim.files import naming, write_text, written
from sim.trace.parquet import LARGE, described, plain_schema, write_table
from sim.trace.schema import APPENDED, COLUMNS, OPTIONAL
from sim.trace.tables import Tables, pieces_of
from statements import Code, Other

RUN_LOG = "run.log"
MANIFEST = "manifest.json"
WHY = Path("why", "why.json")
"""In a run folder: why it took so long and learnt no more, as it was found last."""
SWEEP = "sweep.json"
"""In a sweep folder: what the sweep is."""
POINTS = "points"
"""In a sweep folder: the folder of its points' runs."""


NEEDED = (
    "status",
    "method",
    "seed",
    "scenario",
    "identity",
    "trace_sha256",
    "start_utc",
    "simulated_s",
)
"""Keys without which a manifest is not that of a run."""


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
                pieces = list(pieces_of(tables, name))
                own = {field.name: field.type for field in plain_schema(pieces[0].schema)}
                write_table(part, COLUMNS[name] | own, pieces)


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
        raise InputError.of_file(
            folder,
            Code.WRONG_FILE,
            "is a sweep",
            Other(
                said="use leomix compare or export for it alone, leomix report, "
                f"or name one of its points, {folder / POINTS}/..."
            ),
        )
    if (folder / CHECKPOINT).exists() and not path.exists():
        raise InputError.of_file(
            folder,
            Code.WRONG_FILE,
            "the run in it has not ended (it was killed, or still goes on)",
            Other(said=f"finish it: leomix run SCENARIO --resume -o {folder}"),
        )
    if not path.is_file():
        raise InputError.of_file(folder, Code.NO_FILE, f"no run folder (it has no {MANIFEST})")
    try:
        manifest = read_object(path)
    except ValueError as error:
        raise helped(error, "do the run again") from None
    missing = [key for key in NEEDED if key not in manifest]
    if missing:
        raise InputError.of_file(
            path, Code.BROKEN_FILE, f"no manifest of a run (it has no {missing[0]!r})"
        )
    return manifest


def read_why(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what ``leomix why`` found last of the run in a folder; None where it found nothing.

    None too where it is of another run, or cannot be read: it can be found again.
    """
    try:
        found = read_object(folder / WHY)
    except (OSError, ValueError):
        return None
    return found if found.get("trace_sha256") == manifest["trace_sha256"] else None


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
            raise InputError.of_file(
                path,
                Code.BROKEN_FILE,
                f"is not the table of a run (it has no {lacking[0]!r} of its type)",
            )
        tables.files[name] = path
        if rows <= LARGE:
            tables.small.add(name)
    return tables


DAMAGE = (
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    RecursionError,
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
        raise InputError.of_file(
            names,
            Code.WRONG_FILE,
            "manifest or tables are not as this version of leomix writes them ({why})",
            Other(said="run the scenario anew"),
            why=what,
        ) from error
