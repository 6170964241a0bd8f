"""The rows of a sweep: what is known of each point, as a table and as a digest."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sim.analysis.targets import TARGETS
from sim.execution.folder import POINTS
from sim.execution.status import INTERRUPTED
from sim.sweep.figures import DECIDED, FOLLOWING, MACHINE_COLUMNS, TO_TARGETS, columns_to
from sim.sweep.point import Outcome, Point
from sim.trace.arrow import array, coded_text
from sim.trace.schema import FLOAT, INT, TEXT
from sim.trace.vocabulary import Vocabulary

MISSING = "missing"
"""Status of a point that has not been run, or not to its end."""


def rows_table(points: Sequence[Point], outcomes: Mapping[str, Outcome]) -> pa.Table:
    """Return the rows of ``points`` (one at least); ``outcomes`` by digest are what is known."""
    kinds = {key: _kind([point.values[key] for point in points]) for key in points[0].values}
    known = {name for outcome in outcomes.values() for name in outcome.figures}
    to_targets = {
        name: kind for head, kind in TO_TARGETS.items() for name in known if name.startswith(head)
    } or columns_to(TARGETS)
    by_target = sorted(to_targets, key=lambda name: name.partition("_to_")[::-1])
    columns = {
        "point": INT,
        "digest": TEXT,
        **{key: kind for key, kind in kinds.items() if key != "seed"},
        "replication": INT,
        "seed": INT,
        "status": TEXT,
        "error": TEXT,
        **{name: to_targets[name] for name in by_target},
        **DECIDED,
        **FOLLOWING,
        "folder": TEXT,
        **MACHINE_COLUMNS,
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
    row: dict[str, Any] = {
        "point": point.number,
        "digest": point.digest,
        "replication": point.replication,
        "seed": point.seed,
        "status": MISSING,
        "error": "",
        "folder": f"{POINTS}/{point.digest}",
    }
    for key, value in point.values.items():
        plain = kinds[key] != TEXT or value is None or isinstance(value, str)
        row[key] = value if plain else json.dumps(value, ensure_ascii=False)
    if outcome is not None and outcome.status != INTERRUPTED:
        row |= outcome.figures
        row |= {"status": outcome.status, "error": outcome.error, "attempts": outcome.attempts}
    return row


def _column(values: Sequence[Any], kind: pa.DataType) -> Any:
    """Return values, of which some may be None, as a column of Arrow."""
    if kind == TEXT:
        words = Vocabulary()
        return coded_text(words.codes(values), words.words)
    missing = np.array([value is None for value in values])
    known = [0 if value is None else value for value in values]
    return array(np.array(known, np.int64 if kind == INT else np.float64), missing)
