"""Traces of a run: columnar blocks as they are emitted, sorted tables at the end.

Rows are written when a reply is given and may be dated back, so a table is sorted once, at the
end, by a key that no two runs can disagree on. The rolling digest covers blocks in emission order:
it tells a resumed run whether its replay is the same run.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pyarrow as pa

FLOAT, INT, TEXT, FLAG = pa.float64(), pa.int64(), pa.string(), pa.bool_()

COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "contacts": {
        "contact_id": INT,
        "satellite": TEXT,
        "norad_id": INT,
        "cluster": TEXT,
        "rise_utc": pa.timestamp("us", tz="UTC"),
        "culminate_utc": pa.timestamp("us", tz="UTC"),
        "set_utc": pa.timestamp("us", tz="UTC"),
        "rise_s": FLOAT,
        "set_s": FLOAT,
        "duration_s": FLOAT,
        "max_elevation_deg": FLOAT,
        "min_slant_range_km": FLOAT,
        "uplink_capacity_bytes_per_device": FLOAT,
        "served": FLAG,
        "service_start_s": FLOAT,
        "service_end_s": FLOAT,
    },
    "transfers": {
        "transfer_id": INT,
        "contact_id": INT,
        "cluster": TEXT,
        "device": INT,
        "peer": TEXT,
        "direction": TEXT,
        "payload": TEXT,
        "version": INT,
        "payload_bytes": FLOAT,
        "delivered_bytes": FLOAT,
        "start_s": FLOAT,
        "end_s": FLOAT,
        "outcome": TEXT,
    },
    "events": {
        "time_s": FLOAT,
        "kind": TEXT,
        "cluster": TEXT,
        "device": INT,
        "contact_id": INT,
        "version": INT,
        "rounds": INT,
        "detail": TEXT,
    },
    "metrics": {
        "time_s": FLOAT,
        "cycle": INT,
        "version": INT,
        "scope": TEXT,
        "cluster": TEXT,
        "accuracy": FLOAT,
        "loss": FLOAT,
        "samples": INT,
    },
    "assignments": {
        "time_s": FLOAT,
        "cycle": INT,
        "cluster": TEXT,
        "expert": INT,
        "relevance": FLOAT,
        "probability": FLOAT,
        "assigned": FLAG,
    },
}
"""Columns of the run folder's tables, with their Arrow types. Times in seconds since the start."""

KINDS = (
    *("disconnect", "train_end", "connect", "wait", "assign"),
    *("upload_start", "upload_end", "aggregate", "download_start", "download_end"),
    *("train_start", "infer", "drop", "fault", "evaluate"),
)
"""Kinds of events, in the order in which those of one instant are listed."""

ORDER = {
    "contacts": ("contact_id",),
    "transfers": ("start_s", "cluster", "device", "end_s", "contact_id"),
    "events": ("time_s", "kind", "cluster", "device", "contact_id"),
    "metrics": ("time_s", "cycle"),
    "assignments": ("time_s",),
}
LEARNED = {
    "metrics": ("accuracy", "loss", "samples"),
    "assignments": ("relevance", "probability", "assigned"),
}
"""Columns that hold learning results; all others are timing."""


class Trace:
    """The five tables of a run while it goes on."""

    def __init__(self) -> None:
        self._blocks: dict[str, list[dict[str, Any]]] = {name: [] for name in COLUMNS}
        self._rolling = hashlib.blake2b(digest_size=16)

    def add(self, table: str, rows: int = 1, **columns: Any) -> None:
        """Append ``rows`` rows; a scalar column stands in all of them, a missing one is null."""
        if rows == 0:
            return
        block = {name: columns.pop(name, None) for name in COLUMNS[table] if name in columns}
        if columns:
            raise KeyError(f"table {table} has no column {sorted(columns)[0]!r}")
        self._blocks[table].append({"rows": rows, **block})
        for column, value in block.items():
            self._rolling.update(f"{table}.{column}:{rows}\n".encode())
            exact = isinstance(value, np.ndarray)
            self._rolling.update(value.tobytes() if exact else repr(value).encode())

    def digest(self) -> str:
        """Return the digest of everything added so far, in the order it was added."""
        return self._rolling.copy().hexdigest()

    def tables(self) -> dict[str, pa.Table]:
        """Return the tables, sorted and numbered."""
        return {name: self._table(name) for name in COLUMNS}

    def _table(self, name: str) -> pa.Table:
        blocks = self._blocks[name]
        total = sum(block["rows"] for block in blocks)
        arrays = {c: _column(blocks, c, kind) for c, kind in COLUMNS[name].items()}
        if name == "transfers":
            arrays["transfer_id"] = pa.array(np.arange(total), INT)
        table = pa.table(arrays, schema=pa.schema(list(COLUMNS[name].items())))
        table = table.take(pa.array(_order(table, ORDER[name])))
        if name == "transfers":
            table = table.set_column(0, "transfer_id", pa.array(np.arange(total), INT))
        return table


def _column(blocks: list[dict[str, Any]], name: str, kind: pa.DataType) -> pa.Array:
    parts = [pa.array([], kind)]
    for block in blocks:
        value = block.get(name)
        if isinstance(value, np.ndarray | list):
            parts.append(pa.array(value, kind))
        else:
            parts.append(pa.repeat(pa.scalar(value, kind), block["rows"]))
    return pa.concat_arrays(parts)


def _order(table: pa.Table, keys: tuple[str, ...]) -> np.ndarray:
    """Stable order by ``keys``; rows that tie keep the order in which they were added."""
    columns = []
    for key in keys:
        values = table.column(key).to_pylist()
        if key == "kind":
            rank = {kind: number for number, kind in enumerate(KINDS)}
            values = [rank.get(value, len(KINDS)) for value in values]
        elif table.schema.field(key).type == TEXT:
            names = sorted({value or "" for value in values})
            rank = {value: number for number, value in enumerate(names)}
            values = [rank[value or ""] for value in values]
        columns.append([-1 if value is None else value for value in values])
    return np.lexsort(columns[::-1])


def sha256(tables: dict[str, pa.Table], timing_only: bool = False) -> str:
    """Digest the canonical bytes of all tables in their final order.

    With ``timing_only`` the columns that hold learning results are left out.
    """
    digest = hashlib.sha256()
    for name in sorted(tables):
        table = tables[name]
        left_out = LEARNED.get(name, ()) if timing_only else ()
        for column in table.column_names:
            if column in left_out:
                continue
            values = table.column(column)
            digest.update(f"{name}.{column}:{len(values)}\n".encode())
            digest.update(_canonical(values))
    return digest.hexdigest()


def _canonical(values: pa.ChunkedArray) -> bytes:
    """Bytes of a column that depend on its values alone: JSON of text, else nulls and numbers."""
    if pa.types.is_string(values.type):
        return json.dumps(values.to_pylist()).encode()
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    kind = "<f8" if pa.types.is_floating(values.type) else "<i8"
    numbers = values.cast(pa.int64()) if pa.types.is_boolean(values.type) else values
    filled: np.ndarray = numbers.fill_null(0).to_numpy().astype(kind)
    nulls: np.ndarray = values.is_null().to_numpy()
    return nulls.tobytes() + filled.tobytes()
