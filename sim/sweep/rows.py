"""`sweep.parquet`: one row per point."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from sim.analysis.targets import TARGETS, given, named
from sim.errors import InputError
from sim.execution.folder import (
    COMPLETE,
    FAILED,
    INTERRUPTED,
    POINTS,
    REFUSED,
    read_manifest,
)
from sim.execution.result import Result, load
from sim.sweep.engine import Outcome, Point
from sim.trace.arrow import array, coded_text
from sim.trace.schema import FLOAT, INT, TEXT, TYPES

MISSING = "missing"
"""Status of a point that has not been run, or not to its end."""


def rows_table(points: Sequence[Point], outcomes: Mapping[str, Outcome]) -> pa.Table:
    """Return the rows of ``points`` (one at least); ``outcomes`` by digest are what is known."""
    kinds = {key: _kind([point.values[key] for point in points]) for key in points[0].values}
    known = {name for outcome in outcomes.values() for name in outcome.figures}
    to_targets = {
        name: kind for what, kind in TO_TARGETS.items() for name in known if name.startswith(what)
    }
    schema = pa.schema(
        [
            ("point", INT),
            ("digest", TEXT),
            *((key, kind) for key, kind in kinds.items() if key != "seed"),
            ("replication", INT),
            ("seed", INT),
            ("status", TEXT),
            ("error", TEXT),
            *sorted((to_targets or _to_targets(TARGETS)).items(), key=_by_target),
            *DECIDED.items(),
            *FOLLOWING.items(),
            ("folder", TEXT),
            *MACHINE_COLUMNS.items(),
        ]
    )
    rows = [_row(point, outcomes.get(point.digest), kinds) for point in points]
    columns = [
        _column([row.get(name) for row in rows], schema.field(name).type) for name in schema.names
    ]
    return pa.Table.from_arrays(columns, schema=schema)


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
    row: dict[str, Any] = {
        "point": point.number,
        "digest": point.digest,
        "replication": point.replication,
        "seed": point.seed,
        "status": MISSING,
        "error": "",
        "folder": f"{POINTS}/{point.digest}",
    }
    row |= {key: _cell(value, kinds[key]) for key, value in point.values.items()}
    if outcome is not None and outcome.status != INTERRUPTED:
        said = {"status": outcome.status, "error": outcome.error, "attempts": outcome.attempts}
        row |= outcome.figures | said
    return row


def _column(values: Sequence[Any], kind: pa.DataType) -> Any:
    """Return values, of which some may be None, as a column of Arrow."""
    missing = np.array([value is None for value in values])
    if kind == TEXT:
        words = sorted({value for value in values if value is not None})
        place = {word: number for number, word in enumerate(words)}
        return coded_text(np.array([place.get(value, -1) for value in values]), words)
    known = [0 if value is None else value for value in values]
    return array(np.array(known, np.int64 if kind == INT else np.float64), missing)


def _cell(value: Any, kind: pa.DataType) -> Any:
    if kind != TEXT or value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def why_none(row: Mapping[str, Any]) -> str:
    """Say why a point has no figure: a result of its own, not a gap."""
    if row["status"] == COMPLETE:
        return "never"
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


def _by_target(column: tuple[str, pa.DataType]) -> tuple[str, str]:
    what, _, target = column[0].partition("_to_")
    return target, what


def targets_of(rows: pa.Table) -> list[str]:
    """Return the targets that the rows of a sweep have columns of, rising."""
    heads = (name.partition("cycles_to_") for name in rows.column_names)
    return [target for before, found, target in heads if found and not before]


_FIGURES: dict[str, dict[str, str]] = yaml.safe_load(
    resources.files("sim.sweep").joinpath("columns.yaml").read_text(encoding="utf-8")
)
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
