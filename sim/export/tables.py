"""Export of tables as they are: Parquet, or CSV that a spreadsheet can open without running it."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

import scenarios
from sim.analysis.numeric import ROWS
from sim.capacity.budget import passes_of
from sim.execution.result import Result
from sim.sweep.folder import Sweep
from sim.trace import plain_tables
from sim.trace.plain_tables import write_batches


def write_csv(source: Result | Sweep, place: Path) -> list[str]:
    """Write every table as CSV, with a `'` before text that would be a formula."""
    return _write(source, place, "csv", plain_tables.without_formulas)


def write_parquet(source: Result | Sweep, place: Path) -> list[str]:
    """Write every table as Parquet."""
    return _write(source, place, "parquet", lambda table: table)


def _write(
    source: Result | Sweep, place: Path, suffix: str, made: Callable[[pa.Table], pa.Table]
) -> list[str]:
    tables = {Path(ROWS).stem: source.rows} if isinstance(source, Sweep) else source.tables
    for name in tables:
        table = made(tables[name])
        # An empty table may have no batch, and a file without one has no columns.
        nothing = [pa.nulls(0, kind) for kind in table.schema.types]
        none = pa.RecordBatch.from_arrays(nothing, schema=table.schema)
        write_batches(table.to_batches() or [none], place / f"{name}.{suffix}")
    return []


def write_profiles(run: Result, place: Path) -> list[str]:
    """Write delay, Doppler, path loss and rate over each contact at its cluster's centre."""
    over_contact = passes_of(scenarios.from_stored(run.manifest["scenario"], {}))
    for number in range(len(run.tables["contacts"])):
        for side, columns in over_contact(number).items():
            plain_tables.write(columns, place / f"contact-{number:05}-{side}.csv")
    return ["One file a contact and direction; contact numbers are those of contacts.parquet."]
