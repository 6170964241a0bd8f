"""The points of a sweep as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from sim.reports.page import Block, Table, Text
from sim.sweeps.engine import COMPLETE
from sim.units_text import data_size
from sim.yaml_text import as_yaml

MOST_ROWS = 1000
"""Points that the page lists."""


def hours_to(target: float) -> str:
    """Return the column of the hours to an accuracy."""
    return f"hours_to_{target:.2f}"


def failed(rows: pa.Table, keys: Sequence[str]) -> Table:
    """Return the points that are not complete, and why."""
    cells = [
        [str(row["point"]), *(cell(row[key]) for key in keys), row["status"], row["error"] or ""]
        for row in rows.to_pylist()
        if row["status"] != COMPLETE
    ]
    return Table("What they ended with", ["point", *keys, "status", "error"], cells, False, True)


def points(rows: pa.Table, keys: Sequence[str], target: float | None) -> list[Block]:
    """Return all points with their figures; columns in which nothing is known are left out."""
    shown = rows.slice(0, MOST_ROWS).to_pylist()
    notes: list[Block] = []
    if len(rows) > MOST_ROWS:
        text = f"The first {MOST_ROWS} of {len(rows)}; sweep.parquet has them all."
        notes.append(Text(text, "note"))
    known = {name for name in rows.column_names if rows[name].null_count < len(rows)}
    forms = {name: said for name, said in _forms(target).items() if name in known}
    heads = ["point", *keys, "seed", "status", *forms.values()]
    cells = [
        [
            *(str(row["point"]), *(cell(row[key]) for key in keys)),
            *(str(row["seed"]), row["status"]),
            *(_figure(name, row[name]) for name in forms),
        ]
        for row in shown
    ]
    return [*notes, Table("One row a point", heads, cells, wide=True)]


def _forms(target: float | None) -> dict[str, str]:
    reached = {} if target is None else {hours_to(target): f"hours to {target:.2f}"}
    return {
        "accuracy_final": "final accuracy",
        **reached,
        "cycles": "cycles",
        "hours": "hours",
        "contacts_served": "contacts served",
        "idle_share": "idle share",
        "uplink_bytes": "uplink",
        "wall_s": "wall s",
    }


def _figure(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("_bytes"):
        return data_size(value)
    if name in ("accuracy_final", "idle_share"):
        return f"{value:.3f}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def cell(value: Any) -> str:
    """Show a swept value."""
    return as_yaml(value)
