"""Inner names of ``sim`` that tests use: traces, run folders, invariants, the cache."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from sim.errors import InvariantError
from sim.facts.events import Event
from sim.facts.row import columns_of
from sim.facts.transfers import TransferRow
from sim.network.books import Sums, Totals, check_balance
from sim.trace import schema
from sim.world.topology import Topology
from tests.kit.finished_tables import TOLERANCE, check, wrong_sums
from tests.kit.late import late

__getattr__ = late(
    globals(),
    {
        "sim.checks.invariants": "Invariants",
        "sim.checks.staleness": "WAITING",
        "sim.engine.journal": "Journal checksum",
        "sim.advice.memory": "limits=.",
        "sim.execution.ready": "build",
        "sim.execution.cache": "Cache Namespace shared_cache=. size_bytes",
        "sim.execution.checkpoint": "ABOUT CHECKPOINT Checkpoint JOURNAL",
        "sim.execution.folder": "RUN_LOG folder=. read_manifest write_tables",
        "sim.execution.log": "LOG",
        "sim.execution.result": "Result",
        "sim.execution.run_cache": "window_cache=.",
        "sim.facts.coded": "Coded",
        "sim.facts.directions": "Way",
        "sim.facts.stream": "Facts",
        "sim.network.books": "books_of",
        "sim.network.legs": "LegLog Moved Trained",
        "sim.mesh.messages": "Mesh",
        "sim.trace.arrow": "array",
        "sim.trace.digest": "digests json_digest on_grid stamps_on_grid",
        "sim.trace.parquet": "write_table",
        "sim.trace.recorder": "BLOCK Trace",
        "sim.trace.schema": "COLUMNS KINDS OPTIONAL",
        "sim.trace.tables": "Tables",
    },
)


def tables_of(**rows: list[dict[str, Any]]) -> dict[str, pa.Table]:
    """Tables of a run that have these rows, by name; the others are empty."""
    return {
        name: pa.Table.from_pylist(rows.get(name, []), pa.schema(list(columns.items())))
        for name, columns in schema.COLUMNS.items()
    }


def check_books(books: Totals, transfers: pa.Table) -> None:
    """Raise InvariantError unless offered = delivered + carried + dropped, and the rows agree."""
    sums = {}
    for direction in books:
        rows = [row for row in transfers.to_pylist() if row["direction"] == direction]
        whole = [row["payload_bytes"] for row in rows if row["outcome"] == "delivered"]
        sent, on_air = (sum(row[f"{key}_bytes"] for row in rows) for key in ("delivered", "on_air"))
        sums[direction] = Sums(sent, sum(whole), on_air)
    if found := check_balance(books, sums):
        raise InvariantError("the bytes of the run do not add up: " + "; ".join(found))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnyEvent(Event):
    """Events of any kind, text and cause, also of kinds that nobody knows."""

    given_kind: Any = None
    given_detail: Any = None
    given_cause: Any = None

    @property
    def kind(self) -> Any:
        return self.given_kind

    @property
    def cause(self) -> Any:
        return self.given_cause

    def text(self) -> Any:
        return self.given_detail


def event(**columns: Any) -> AnyEvent:
    """Events with these columns; those that are not given are null."""
    given = {f"given_{key}": columns.pop(key, None) for key in ("kind", "detail", "cause")}
    return AnyEvent(**{"time_s": None} | columns | given)


def transfer(**columns: Any) -> TransferRow:
    """Transfers with these columns; those that are not given are null."""
    null = {column.attribute: None for column in columns_of(TransferRow)}
    return TransferRow(**null | columns)
