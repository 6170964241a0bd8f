"""Inner names of ``sim`` that tests use: traces, run folders, invariants, the cache."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from sim.checks.invariants import Invariants
from sim.checks.staleness import WAITING, Versions
from sim.engine import memory as limits
from sim.engine.journal import Journal, checksum
from sim.engine.memory import bytes_of, counts_of, end_of, needs_of, peak_of
from sim.engine.setup import build
from sim.errors import InvariantError
from sim.execution import cache as shared_cache
from sim.execution import folder, window_cache
from sim.execution.cache import contents
from sim.execution.checkpoint import CHECKPOINT, JOURNAL, Checkpoint
from sim.execution.conformance import check_method
from sim.execution.cut_offers import cut_doubts
from sim.execution.folder import RUN_LOG, read_manifest, read_tables, write_tables
from sim.execution.identity import fingerprint
from sim.execution.log import LOG
from sim.execution.replaying import replay_differs
from sim.execution.result import Result
from sim.execution.shelf import KEPT, Namespace, Shelf, cache_folder
from sim.facts.coded import Coded
from sim.facts.directions import Way
from sim.facts.events import Event
from sim.facts.learning import ModelAggregated
from sim.facts.row import Row, columns_of
from sim.facts.stream import Facts
from sim.facts.tables import TABLES, columns_of_table
from sim.facts.transfers import TransferRow
from sim.network.books import Booked, Books, PayloadKey, Sums, books_of, check_balance
from sim.network.hop_rows import HopRows
from sim.network.leg_log import LegLog, MovedRows
from sim.network.legs import Moved, Trained
from sim.network.mesh import Mesh
from sim.trace.arrow import array
from sim.trace.digest import digests, json_digest, on_grid, stamps_on_grid
from sim.trace.parquet import write_table
from sim.trace.recorder import BLOCK, Trace
from sim.trace.schema import COLUMNS, KINDS, OPTIONAL, UNDIGESTED, UNDIGESTED_COLUMNS
from sim.trace.tables import Tables
from sim.world.topology import GROUND_CLIENTS, SATELLITE_CLIENTS, Topology
from tests.kit.finished_tables import TOLERANCE, check, wrong_sums

SATELLITE_SERVER = Topology("satellites", "satellite")


def check_books(books: Books, transfers: pa.Table) -> None:
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


def memory_bytes(scenario: Any) -> float:
    """What a run of a scenario takes at its peak, by estimate."""
    built = build(scenario)
    return bytes_of(peak_of(needs_of(built, counts_of(built))))


def needs_by_name(built: Any) -> dict[str, float]:
    """What a run takes of memory, by what it is for."""
    return {need.what: need.bytes for need in needs_of(built, counts_of(built))}
