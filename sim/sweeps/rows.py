"""The table of a sweep: one row a point, in the order of points."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sim.arrow import array, coded_text
from sim.sweeps.engine import INTERRUPTED, Outcome, Point
from sim.sweeps.figures import FIGURES, MACHINE_FIGURES, NUMBER, TEXT, WHOLE

MISSING = "missing"
"""Status of a point that has not been run, or not to its end."""

MACHINE_COLUMNS = ("wall_s", "attempts", "trainings", "trainings_reused")
"""Columns that depend on the machine and on what it had done before, and not on the scenario."""

POINTS = "points"
"""Folder of the points' runs in that of the sweep."""


def rows_table(points: Sequence[Point], outcomes: Mapping[str, Outcome]) -> pa.Table:
    """Return the rows of ``points`` (one at least); ``outcomes`` by digest are what is known."""
    kinds = {key: _kind([point.values[key] for point in points]) for key in points[0].values}
    schema = pa.schema([*_head(kinds), *_tail()])
    rows = [_row(point, outcomes.get(point.digest), kinds) for point in points]
    columns = [
        _column([row.get(name) for row in rows], schema.field(name).type) for name in schema.names
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def sweep_sha256(rows: pa.Table) -> str:
    """Return the digest of all that does not depend on the machine."""
    kept = rows.drop_columns(list(MACHINE_COLUMNS))
    text = json.dumps([kept.column_names, *(list(row.values()) for row in kept.to_pylist())])
    return hashlib.sha256(text.encode()).hexdigest()


def _head(kinds: Mapping[str, pa.DataType]) -> list[tuple[str, pa.DataType]]:
    return [
        ("point", WHOLE),
        ("digest", TEXT),
        *((key, kind) for key, kind in kinds.items() if key != "seed"),
        ("replication", WHOLE),
        ("seed", WHOLE),
        ("status", TEXT),
        ("error", TEXT),
    ]


def _tail() -> list[tuple[str, pa.DataType]]:
    machine = {**MACHINE_FIGURES, "attempts": WHOLE}
    figures = [*FIGURES.items(), ("folder", TEXT)]
    return [*figures, *((name, machine[name]) for name in MACHINE_COLUMNS)]


def _kind(values: Sequence[Any]) -> pa.DataType:
    """Whole numbers, numbers, or text for everything else; a value may be missing."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        return WHOLE
    return NUMBER if kinds and kinds <= {int, float} else TEXT


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
        row |= {"status": outcome.status, "error": outcome.error, "attempts": outcome.attempts}
        row |= outcome.figures
    return row


def _column(values: Sequence[Any], kind: pa.DataType) -> Any:
    """Return values, of which some may be None, as a column of Arrow."""
    missing = np.array([value is None for value in values])
    if kind == TEXT:
        words = sorted({value for value in values if value is not None})
        place = {word: number for number, word in enumerate(words)}
        return coded_text(np.array([place.get(value, -1) for value in values]), words)
    known = [0 if value is None else value for value in values]
    return array(np.array(known, np.int64 if kind == WHOLE else np.float64), missing)


def _cell(value: Any, kind: pa.DataType) -> Any:
    if kind != TEXT or value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
