"""The run folder: what its files are called, written and read."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from learning.files import checksum_of, read_object
from learning.own.raised import cause_of
from scenarios.errors import ScenarioError
from sim.errors import InputError, helped
from sim.execution.checkpoint import CHECKPOINT, EXTENDING
from sim.facts.status import COMPLETE, FAILED, INTERRUPTED
from sim.files import naming, write_text, written
from sim.trace.parquet import AGAIN, LARGE, described, plain_schema, reading, write_table
from sim.trace.schema import COLUMNS, OPTIONAL
from sim.trace.tables import Tables, pieces_of
from statements import Code, Other, Place, Statement, shown

READ = (0, 3)
"""The version, major and minor, whose folders are read."""
NO_CHECKSUMS: Mapping[str, str] = MappingProxyType({})
RUN_LOG = "run.log"
MANIFEST = "manifest.json"
MODEL = "model"
"""Folder of the weights in that of a run."""
SWEEP = "sweep.json"
"""In a sweep folder: what the sweep is."""
POINTS = "points"
"""In a sweep folder: the folder of its points' runs."""


DAMAGE = (
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    RecursionError,
)
"""Errors from a missing key, or from a value of another type, wherever it is used."""


# What a manifest says, as far as anybody reads it. A key with a `?` is not in those of all runs and
# all versions; what is not here is shown to nobody. A list has one shape for all that is in it, and
# what stands beside None may be None.

LONGEST_TEXT = 10_000
"""Letters of a text in a manifest: names and warnings have fewer by far."""
_TEXT, _NUMBER, _COUNT = str, float, int


def _check_status(status: object) -> None:
    if status not in (COMPLETE, FAILED, INTERRUPTED):
        raise ValueError(f"should be {COMPLETE}, {FAILED} or {INTERRUPTED}, got {shown(status)}")


def _check_date(date: object) -> None:
    try:
        aware = isinstance(date, str) and datetime.fromisoformat(date).tzinfo is not None
    except ValueError:
        aware = False
    if not aware:
        raise ValueError(f"should be a date and time with its zone, got {shown(date)}")


def _check_said(said: object) -> None:
    try:
        line = str(Statement.told(said)) if isinstance(said, dict) else ""
    except (ValueError, *DAMAGE):
        line = ""
    if not line or len(line) > LONGEST_TEXT:
        raise ValueError("is no warning or note of leomix")


_CHECK = {
    "code": _TEXT,
    "sentence": _TEXT,
    "key": (_TEXT, None),
    "figure?": (_TEXT, None),
    "before?": (_NUMBER, None),
    "after?": (_NUMBER, None),
}
_SHAPE: dict[str, Any] = {
    "name?": _TEXT,
    "read_from?": _TEXT,
    "status": _check_status,
    "method": (_TEXT, None),
    "seed": _COUNT,
    "start_utc": _check_date,
    "simulated_s": _NUMBER,
    "network?": {},
    "error?": _TEXT,
    "wall_s?": (_NUMBER, None),
    "peak_memory_bytes?": (_COUNT, None),
    "events?": _COUNT,
    "tests?": ({"choices": _COUNT, "samples": [_COUNT]}, None),
    "identity": _TEXT,
    "besides_stop?": _TEXT,
    "ended_by?": ([_TEXT], None),
    "model_kept?": (
        {
            "keep": _TEXT,
            "cycle": (_COUNT, None),
            "hours": (_NUMBER, None),
            "figure": (_TEXT, None),
            "value": (_NUMBER, None),
        },
        None,
    ),
    "made_by_code?": {},
    "trace_sha256": _TEXT,
    "checksums?": {},
    "code?": {},
    "checkpoints?": {},
    "computed_device_s?": _NUMBER,
    "energy?": [
        {
            "cluster": _TEXT,
            "devices": _COUNT,
            "device_rounds": _COUNT,
            "computed_s": _NUMBER,
            "training_j": (_NUMBER, None),
            "air_s": _NUMBER,
            "transmit_j": (_NUMBER, None),
        }
    ],
    "spent?": {
        "time_s": [_NUMBER],
        "device_rounds": [_COUNT],
        "training_j": [(_NUMBER, None)],
        "transmit_j": [(_NUMBER, None)],
        "server_rounds?": [_COUNT],
    },
    "loads?": [
        {
            "memory_bytes": _NUMBER,
            "expert_bytes": _NUMBER,
            "least_memory_bytes": _NUMBER,
            "least_expert_bytes": _NUMBER,
            "round_flops": _NUMBER,
        }
    ],
    "charges?": [{"cluster": _TEXT, "lowest": _NUMBER, "last": _NUMBER}],
    "model_expert_bytes?": (_NUMBER, None),
    "stand_in?": (
        {
            "trained": _TEXT,
            "trained_parameters": _COUNT,
            "sized_as": _TEXT,
            "parameters": _COUNT,
            "expert_upload_bytes": _NUMBER,
        },
        None,
    ),
    "checks?": [_CHECK],
    "held_back?": (_CHECK, None),
    "warnings?": [_TEXT],
    "said?": [_check_said],
    "versions?": {},
    "kept_bytes?": _COUNT,
    "trainings?": (_COUNT, None),
    "trainings_reused?": (_COUNT, None),
    "scenario": {
        "roles?": {"server": _TEXT, "clients": _TEXT},
        "orbit": {"source": _TEXT},
        "compute": {},
        "learning": (
            {
                "batch_size": _COUNT,
                "step_size": (_NUMBER, None),
                "steps_per_round": _COUNT,
                "targets?": ([_NUMBER], None),
                "options": {},
                "model": {"checkpoints": ([_TEXT], None)},
                "data": {},
            },
            None,
        ),
    },
}
_SAID_OF = {
    dict: "a mapping",
    list: "a list",
    _TEXT: f"a text of at most {LONGEST_TEXT} letters",
    _NUMBER: "a number",
    _COUNT: "a whole number",
}


def _wrong(value: Any, shape: Any, path: tuple[str | int, ...] = ()) -> Iterator[Statement]:
    """Yield what is not as a shape wants it."""
    if isinstance(shape, tuple):
        if value is not None:
            yield from _wrong(value, shape[0], path)
        return
    try:
        _check(value, shape)
    except ValueError as error:
        yield Statement.of(Code.BROKEN_FILE, path, str(error))
        return
    if isinstance(shape, list):
        for number, inner in enumerate(value):
            yield from _wrong(inner, shape[0], (*path, number))
    elif isinstance(shape, dict):
        for key, inner in shape.items():
            name = key.removesuffix("?")
            if name in value:
                yield from _wrong(value[name], inner, (*path, name))
            elif name == key:
                yield Statement.of(Code.BROKEN_FILE, (*path, name), "is missing")


def _check(value: Any, shape: Any) -> None:
    """Raise ValueError for a value that is not of the shape itself, whatever is in it."""
    kind = type(shape) if isinstance(shape, dict | list) else shape
    if not isinstance(kind, type):
        kind(value)
    elif not _is_of(value, kind):
        raise ValueError(f"should be {_SAID_OF[kind]}, got {shown(value)}")


def _is_of(value: Any, kind: type) -> bool:
    if kind is _TEXT:
        return isinstance(value, str) and len(value) <= LONGEST_TEXT
    if kind is _NUMBER:
        return type(value) in (int, float) and abs(value) < math.inf
    return type(value) is int if kind is _COUNT else isinstance(value, kind)


OF_NETWORK = ("contacts", "isl_windows", "feeder_windows", "capacity", "payloads")
"""Tables of a network study."""


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


def checksums(folder: Path, tables: Iterable[str]) -> dict[str, str]:
    """Return the checksum of each table by its name, and of each file of weights by its path."""
    known = {name: checksum_of(folder / f"{name}.parquet") for name in tables}
    weights = sorted((folder / MODEL).glob("[!.]*.safetensors"))
    return known | {f"{MODEL}/{path.name}": checksum_of(path) for path in weights}


def _check_sum(path: Path, known: str | None) -> None:
    """Raise InputError for a file that is missing, or whose checksum is not the one ``known``."""
    with reading(path):
        if checksum_of(path) != known:
            raise InputError.of_file(
                path,
                Code.BROKEN_FILE,
                "is not the file that the run wrote",
                "get the run folder again from its source, or do the run again",
            )


def check_weights(folder: Path, known: Mapping[str, str]) -> None:
    """Raise InputError for weights in a run folder that have changed since the run.

    ``known`` are the checksums in its manifest. Weights that were removed, as to save room, are
    missed by whoever needs them: the tables do without.
    """
    for name in known:
        if Path(name).parent == Path(MODEL) and (folder / name).exists():  # else it is a table
            _check_sum(folder / name, known[name])


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
            "use leomix compare or export for it alone, leomix report, "
            f"or name one of its points, {folder / POINTS}/...",
        )
    if not path.exists() and any((folder / name).exists() for name in (CHECKPOINT, EXTENDING)):
        raise InputError.of_file(
            folder,
            Code.WRONG_FILE,
            "the run in it has not ended, and has no tables yet",
            "wait for it (its progress line and --tensorboard show how far it is); if it "
            f"was killed, finish it: leomix run SCENARIO --resume -o {folder}",
        )
    if not path.is_file():
        raise InputError.of_file(folder, Code.NO_FILE, f"no run folder (it has no {MANIFEST})")
    try:
        manifest = read_object(path)
    except ValueError as error:
        raise helped(error, "do the run again") from None
    check_version(path, manifest.get("versions"))
    wrong = next(_wrong(manifest, _SHAPE), None)
    if wrong is not None:
        raise InputError(replace(wrong, remedies=(Other(said=AGAIN),)), Place(file=str(path)))
    return manifest


def check_version(path: Path, versions: Any) -> None:
    """Raise InputError for the file of a folder that another version wrote, maybe in another way.

    ``versions`` is what the file says of what made it, whatever that is.
    """
    made = str(versions.get("leomix", "")) if isinstance(versions, dict) else ""
    release = re.match(r"(\d+)\.(\d+)", made)
    if release is not None and tuple(map(int, release.groups())) != READ:
        raise InputError.of_file(
            path,
            Code.OTHER_VERSIONS,
            "is of leomix {made}, whose folders this version does not read",
            "do it again, or read it with that version",
            made=made,
        )


def read_tables(
    folder: Path, known: Mapping[str, str] = NO_CHECKSUMS, *, of_network: bool = False
) -> Tables:
    """Return the tables of a run folder, read when asked for; raise InputError for a broken one.

    Those of a network study are its plan, and what it carries.

    A file is broken, too, whose checksum is not the one that is ``known`` of it.
    """
    tables = Tables()
    for name in OF_NETWORK if of_network else COLUMNS:
        path = folder / f"{name}.parquet"
        if name in OPTIONAL and name not in known and not path.exists():
            continue
        rows, schema = described(path)
        if known:
            _check_sum(path, known.get(name))
        found = {field.name: field.type for field in schema}
        lacking = [column for column, kind in COLUMNS[name].items() if found.get(column) != kind]
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


@contextmanager
def damage_refused(folders: Sequence[Path]) -> Iterator[None]:
    """Turn the errors of a damaged, foreign or much older folder into InputError."""
    names = ", ".join(map(str, dict.fromkeys(folders)))
    try:
        yield
    except ScenarioError as error:
        if error.place not in (None, Place()):  # what is given with the command
            raise
        raise InputError.of_file(
            names,
            Code.WRONG_FILE,
            "the scenario in its manifest cannot be used ({why})",
            "run the scenario anew",
            why=str(error),
        ) from error
    except DAMAGE as error:
        raise InputError.of_file(
            names,
            Code.WRONG_FILE,
            "manifest or tables are not as this version of leomix writes them ({why})",
            "run the scenario anew",
            why=cause_of(error),
        ) from error
