"""The sweep folder: claimed, locked, read; its `sweep.parquet` with one row per point."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from learning.files import read_object
from sim import files
from sim.analysis.targets import TARGETS, given, named
from sim.errors import InputError
from sim.execution.folder import (
    COMPLETE,
    FAILED,
    INTERRUPTED,
    POINTS,
    REFUSED,
    SWEEP,
    read_manifest,
)
from sim.execution.result import Result, load
from sim.files import check_out, check_within, packaged, written
from sim.sweep.engine import LOG, Outcome, Point
from sim.trace.arrow import array, coded_text
from sim.trace.parquet import described, read_groups
from sim.trace.schema import FLOAT, INT, TEXT, TYPES
from sim.trace.vocabulary import Vocabulary

ROWS = "sweep.parquet"
SCHEMA = "1"


@dataclass(frozen=True)
class Sweep:
    """A sweep as its folder says it: ``about`` is what was asked for, ``rows`` what came out."""

    folder: Path
    about: dict[str, Any]
    rows: pa.Table

    @property
    def keys(self) -> tuple[str, ...]:
        """The swept keys, in the order in which they were given."""
        return tuple(self.about["keys"])

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The points, in the order of the rows."""
        return tuple(Point(**point) for point in self.about["points"])

    @property
    def folders(self) -> list[Path]:
        """The run folder of each row; it is there where the row's status says complete."""
        return [self.folder / name for name in self.rows.column("folder").to_pylist()]

    @property
    def sha256(self) -> str:
        """Digest of all columns that do not depend on the machine."""
        return sweep_sha256(self.rows)


def read_sweep(folder: str | Path) -> Sweep:
    """Return the sweep in a folder; raise InputError if there is none, or it has no rows yet."""
    place = Path(folder)
    about = read_about(place)
    if about is None:
        raise InputError(f"{place}: no folder of a sweep (it has no {SWEEP})")
    path = place / ROWS
    if not path.exists():
        raise InputError(f"{place}: has no {ROWS} yet; go on with it by leomix sweep --resume")
    if described(path)[0] > len(about["points"]):
        raise InputError(f"{path}: has more rows than points; sweep --resume")
    return Sweep(place, about, pa.concat_tables(read_groups(path)))


def read_about(place: Path) -> dict[str, Any] | None:
    """Return what the folder's sweep is about, None if there is no sweep; InputError if broken."""
    path = place / SWEEP
    if not path.is_file():
        return None
    try:
        about = read_object(path)
    except ValueError:
        raise InputError(f"{path}: is broken; sweep in another folder") from None
    for name, kind in (("keys", str), ("points", dict)):
        rows = about.get(name)
        if not isinstance(rows, list) or not all(isinstance(row, kind) for row in rows):
            raise InputError(f"{path}: says nothing of a sweep; sweep in another folder")
    return about


def check_claim(place: Path, about: Mapping[str, Any], resume: bool) -> bool:
    """Return whether ``place`` holds this sweep; raise InputError if it holds anything else."""
    check_out(place)
    runs = (place / POINTS / str(point["digest"]) for point in about["points"])
    for path in (place / POINTS, place / LOG, *place.glob(".*"), *runs):
        check_within(place, path)
    there = read_about(place) if place.is_dir() else None
    if there is None:
        if place.is_dir() and any(not path.name.startswith(".") for path in place.iterdir()):
            raise InputError(f"-o {place}: is not empty, and holds no sweep; name another folder")
        return False
    if _asked(there) != _asked(about):
        raise InputError(
            f"-o {place}: holds another sweep (or its scenario has changed); name another folder"
        )
    if not resume:
        raise InputError(f"-o {place}: holds this sweep already; go on with it by --resume")
    return True


def claim(place: Path, about: Mapping[str, Any], is_new: bool, part: str) -> None:
    """Make ``place`` the folder of this sweep, where it is not yet.

    Shards of a sweep write the same, each by its own temporary name, ``part``.
    """
    if is_new:
        place.mkdir(parents=True, exist_ok=True)
        with written(place / SWEEP, part) as path:
            path.write_text(json.dumps(about, indent=1), encoding="utf-8")
    (place / POINTS).mkdir(exist_ok=True)


def give_up_if_unused(place: Path) -> None:
    """Take a claim back if no point has left anything in the folder."""
    with suppress(OSError):  # a point that has left something, too
        (place / POINTS).rmdir()
        for name in (ROWS, SWEEP):
            (place / name).unlink(missing_ok=True)


def _asked(about: Mapping[str, Any]) -> list[Any]:
    """Return what makes two sweeps the same: their points, wherever the scenario lies."""
    return [[p.get("digest"), p.get("values"), p.get("replication")] for p in about["points"]]


def write_rows(place: Path, rows: pa.Table, part: str) -> None:
    """Write ``sweep.parquet``."""
    named = rows.replace_schema_metadata({"leomix_schema": SCHEMA})
    with written(place / ROWS, part) as path:
        pq.write_table(named, path, compression="zstd")


# A sweep's folder is one supervisor's, or one's for each shard, while it and its workers live.


PATIENCE_S = 5.0
"""How long to wait for the workers of a supervisor that was killed to be gone."""


@contextmanager
def among(place: Path, parts: int) -> Iterator[None]:
    """Hold the folder together with other shards of as many ``parts``.

    Raises InputError while it is swept in another number of shards: points would be run twice.
    """
    own = place / f".of-{parts}.lock"
    with files.locked(own, f"-o {place}: is being swept by another process", PATIENCE_S, True):
        for other in sorted({*place.glob(".of-*.lock")} - {own}):
            number = other.name.removeprefix(".of-").removesuffix(".lock")
            busy = f"-o {place}: is being swept in {number} shards at this moment, not {parts}; "
            with files.locked(other, f"{busy}use as many, or wait for them"):
                pass
        yield


def locked(place: Path, part: str, patience_s: float = PATIENCE_S) -> AbstractContextManager[int]:
    """Return what holds the lock of a ``part`` of the folder, as :func:`sim.files.locked` does."""
    busy = f"-o {place}: is being swept by another process"
    return files.locked(place / f".{part}.lock", busy, patience_s)


# The rows: what is known of each point.


MISSING = "missing"
"""Status of a point that has not been run, or not to its end."""


def rows_table(points: Sequence[Point], outcomes: Mapping[str, Outcome]) -> pa.Table:
    """Return the rows of ``points`` (one at least); ``outcomes`` by digest are what is known."""
    kinds = {key: _kind([point.values[key] for point in points]) for key in points[0].values}
    known = {name for outcome in outcomes.values() for name in outcome.figures}
    to_targets = {
        name: kind for what, kind in TO_TARGETS.items() for name in known if name.startswith(what)
    }
    to_targets = to_targets or _to_targets(TARGETS)
    by_target = sorted(to_targets, key=lambda name: name.partition("_to_")[::-1])
    columns = {
        **{"point": INT, "digest": TEXT},
        **{key: kind for key, kind in kinds.items() if key != "seed"},
        **{"replication": INT, "seed": INT, "status": TEXT, "error": TEXT},
        **{name: to_targets[name] for name in by_target},
        **{**DECIDED, **FOLLOWING, "folder": TEXT, **MACHINE_COLUMNS},
    }
    rows = [_row(point, outcomes.get(point.digest), kinds) for point in points]
    return pa.table(
        {name: _column([row.get(name) for row in rows], kind) for name, kind in columns.items()}
    )


def sweep_sha256(rows: pa.Table) -> str:
    """Return the digest of all that does not depend on the machine, nor follows from the traces."""
    left_out = {*MACHINE_COLUMNS, *FOLLOWING}
    kept = rows.select([name for name in rows.column_names if name not in left_out])
    text = json.dumps([kept.column_names, *(list(row.values()) for row in kept.to_pylist())])
    return hashlib.sha256(text.encode()).hexdigest()


def _kind(values: Sequence[Any]) -> pa.DataType:
    """Whole numbers, numbers, or text for everything else; a value may be missing."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        return INT
    return FLOAT if kinds and kinds <= {int, float} else TEXT


def _row(point: Point, outcome: Outcome | None, kinds: Mapping[str, pa.DataType]) -> dict[str, Any]:
    row = {name: getattr(point, name) for name in ("digest", "replication", "seed")}
    row |= {"point": point.number, "folder": f"{POINTS}/{point.digest}"}
    row |= {"status": MISSING, "error": ""}
    for key, value in point.values.items():
        plain = kinds[key] != TEXT or value is None or isinstance(value, str)
        row[key] = value if plain else json.dumps(value, ensure_ascii=False)
    if outcome is not None and outcome.status != INTERRUPTED:
        said = {"status": outcome.status, "error": outcome.error, "attempts": outcome.attempts}
        row |= outcome.figures | said
    return row


def _column(values: Sequence[Any], kind: pa.DataType) -> Any:
    """Return values, of which some may be None, as a column of Arrow."""
    if kind == TEXT:
        words = Vocabulary()
        return coded_text(words.codes(values), words.words)
    missing = np.array([value is None for value in values])
    known = [0 if value is None else value for value in values]
    return array(np.array(known, np.int64 if kind == INT else np.float64), missing)


def why_none(row: Mapping[str, Any], column: str = "") -> str:
    """Say why a point has no figure in a column: a result of its own, not a gap."""
    if row["status"] == COMPLETE:
        target = column.removeprefix("hours_to_").removeprefix("cycles_to_")
        of_target = target != column
        of_model = of_target or column.startswith(("accuracy", "loss"))
        if of_model and row.get("accuracy_final") is None:
            return "not trained"
        asked = yaml.safe_load(row.get("learning.targets") or "null") if of_target else None
        return "never" if asked is None or target in map(named, asked) else "not asked for"
    unseen = ("no satellite rises", "never rises", "no window has", "never served")
    if row["status"] == REFUSED and any(text in row["error"] for text in unseen):
        return NO_CONTACT
    return str(row["status"])


NO_CONTACT = "no contact"
"""Why a point is refused that sees no satellite: the sweep goes on past it."""
TO_TARGETS = {"cycles_to_": INT, "hours_to_": FLOAT}
"""How the columns begin that hold what it took to reach a target, and their types."""


def _to_targets(targets: Sequence[float]) -> dict[str, pa.DataType]:
    """Return the columns of some targets, with their types."""
    return {f"{w}{named(t)}": kind for t in targets for w, kind in TO_TARGETS.items()}


def targets_of(rows: pa.Table) -> list[str]:
    """Return the targets that the rows of a sweep have columns of, rising."""
    heads = (name.partition("cycles_to_") for name in rows.column_names)
    return [target for before, found, target in heads if found and not before]


_FIGURES: dict[str, dict[str, str]] = yaml.safe_load(packaged("sim.sweep", "columns.yaml"))
DECIDED, FOLLOWING, MACHINE_COLUMNS = (
    {name: TYPES[kind] for name, kind in _FIGURES[which].items()}
    for which in ("decided", "following", "machine")
)
"""Columns of figures with their types: see ``columns.yaml``."""


def figures_of(run: Result) -> dict[str, Any]:
    """Return the figures of one run by column; None where there is none."""
    known: dict[str, Any] = {**run.manifest, **run.summary}
    for target, reached in run.summary["targets"].items():
        for what in TO_TARGETS:
            key = what.removesuffix("_to_")
            known[f"{what}{target}"] = None if reached is None else reached[key]
    if rounds := run.summary["rounds"]:
        known |= {f"round_{what}": value for what, value in rounds.items()}
        known |= {"rounds": rounds["count"], "planes_per_round": rounds["planes"]}
    to_targets = _to_targets(given(run.manifest) or TARGETS)
    names = (*to_targets, *DECIDED, *FOLLOWING, *MACHINE_COLUMNS)
    return {name: known.get(name) for name in names}


def outcome_in(place: Path, digest: str) -> Outcome | None:
    """Return how the run in a folder ended; None if it has not, or cannot be read."""
    try:
        manifest = read_manifest(place)
        if manifest["status"] == FAILED:
            return Outcome(digest, FAILED, str(manifest.get("error", "")))
        if manifest["status"] != COMPLETE:
            return None
        return Outcome(digest, COMPLETE, figures=figures_of(load(place)))
    except (InputError, OSError, KeyError, TypeError):
        return None
