"""Tables as they are, in Parquet, or in CSV that a spreadsheet can open without running it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.columns import write_batches

if TYPE_CHECKING:
    import pyarrow as pa

    from sim.exports.source import Source

FORMULA = "^[=+\\-@\t\r]"
"""How text begins that a spreadsheet takes for a formula."""


def write_csv(source: Source, place: Path) -> list[str]:
    """Write every table as CSV, with a `'` before text that would be a formula."""
    for name, table in source.tables.items():
        _write(_guarded(table), place / f"{name}.csv")
    return []


def write_parquet(source: Source, place: Path) -> list[str]:
    """Write every table as Parquet."""
    for name, table in source.tables.items():
        _write(table, place / f"{name}.parquet")
    return []


def _write(table: pa.Table, path: Path) -> None:
    # An empty table may have no batch, and a file without one has no columns.
    write_batches(table.to_batches() or [_no_rows(table.schema)], path)


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.nulls(0, kind) for kind in schema.types], schema=schema)


def _guarded(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(place, field.name, _without_formulas(table.column(place)))
    return table


def _without_formulas(texts: Any) -> Any:
    import pyarrow.compute as pc

    formula = pc.match_substring_regex(texts, FORMULA)
    return pc.if_else(formula, pc.binary_join_element_wise("'", texts, ""), texts)
