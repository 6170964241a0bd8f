"""Digests of the tables: `trace_sha256` and `timing_sha256`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from sim.trace.arrow import as_numpy
from sim.trace.schema import COLUMNS, LEARNED
from sim.trace.sorting import is_text
from sim.trace.tables import DigestTexts, Tables, pieces_of
from statements.arrays import Floats, Ints, Mask

MARK = 16
"""Bytes that stand for a text."""


def digests(tables: Mapping[str, pa.Table]) -> tuple[str, str]:
    """Return the digest of all tables, and that of their timing, without what was learnt.

    Tables are read once, piece by piece; how they are cut does not count.
    """
    whole = hashlib.sha256()
    timing = hashlib.sha256()
    for name in sorted(tables):
        for column, (all_of_it, timed) in _columns_of(tables, name).items():
            whole.update(f"{name}.{column}:{all_of_it}\n".encode())
            if column not in LEARNED.get(name, ()) and column in COLUMNS[name]:
                timing.update(f"{name}.{column}:{timed}\n".encode())
    return whole.hexdigest(), timing.hexdigest()


def json_digest(value: Any, size_bytes: int = 16, binary: bytes = b"") -> str:
    """Return a digest in hexadecimal digits of plain values, and of bytes behind them."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode() + binary, digest_size=size_bytes).hexdigest()


class Rolling:
    """Digest of a column that comes in pieces: which rows are null, and the others' values.

    How it is cut into pieces does not count; ``coarse`` numbers count as they are on their grid.
    """

    def __init__(self, *, coarse: bool = False) -> None:
        self._coarse = coarse
        self._rows = 0
        self._nulls = hashlib.sha256()
        self._values = hashlib.sha256()
        self._any_null = False

    def add(self, values: pa.Array) -> None:
        """Go on with ``values``: numbers, flags, time stamps or text."""
        missing = _missing(values) if values.null_count else None
        if missing is not None and not self._any_null:
            self._any_null = True
            self._nulls.update(bytes(self._rows))
        if self._any_null:
            self._nulls.update(bytes(len(values)) if missing is None else missing.data)
        self._values.update(self._numbers(values).data)
        self._rows += len(values)

    def _numbers(self, values: pa.Array) -> np.ndarray:
        """Whole numbers, times and flags as int64, others as float64, two (N, 2) for each text.

        They are 0 where nothing is known.
        """
        if values.null_count == len(values):
            return np.zeros((len(values), 2 if is_text(values.type) else 1), np.int64)
        if is_text(values.type):
            encoded = values.dictionary_encode()
            words = [word.encode() for word in encoded.dictionary.to_pylist()]
            marks = [hashlib.blake2b(word, digest_size=MARK).digest() for word in words]
            rows = np.frombuffer(b"".join([*marks, bytes(MARK)]), "<u8").reshape(-1, 2)
            return rows.take(as_numpy(encoded.indices, -1), axis=0)
        kind = "<f8" if pa.types.is_floating(values.type) else "<i8"
        numbers = np.ascontiguousarray(as_numpy(values, 0), kind)
        if self._coarse:
            return on_grid(numbers) if kind == "<f8" else stamps_on_grid(numbers)
        return numbers

    def __str__(self) -> str:
        nulls = self._nulls.hexdigest() if self._any_null else ""
        return f"{self._rows}:{nulls}:{self._values.hexdigest()}"


def _missing(values: pa.Array) -> Mask:
    """Return which of the values are null."""
    if values.null_count == len(values):
        return np.ones(len(values), bool)
    return as_numpy(values.is_null())


# Times and bytes of the timing digest, rounded so coarsely that two machines agree on them.


FINEST = -10
"""Steps are never finer than this power of two."""
BITS = 31
"""Leading bits of a large number that count."""
MICROSECONDS = 1000
"""Step of time stamps, which are whole microseconds."""


def on_grid(values: Floats) -> Floats:
    """Return numbers rounded to the grid; exact, as the steps are powers of two."""
    _, exponent = np.frexp(values)
    step = np.ldexp(1.0, np.maximum(exponent - BITS, FINEST))
    # Adding zero turns -0.0, which has other bits, into 0.0.
    return np.rint(values / step) * step + 0.0


def stamps_on_grid(microseconds: Ints) -> Ints:
    """Return time stamps rounded to whole milliseconds."""
    return (microseconds + MICROSECONDS // 2) // MICROSECONDS


class ColumnDigests:
    """Digests of the columns of a table that comes in pieces."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Rolling, Rolling]] = {}

    def add(self, piece: pa.Table) -> None:
        """Go on with a piece of the table."""
        for column, values in zip(piece.column_names, piece.columns, strict=True):
            kind = values.type
            has_grid = pa.types.is_floating(kind) or pa.types.is_timestamp(kind)
            if column not in self._found:
                exact = Rolling()
                self._found[column] = exact, Rolling(coarse=True) if has_grid else exact
            for chunk in values.chunks:
                for rolling in {*self._found[column]}:
                    rolling.add(chunk)

    def passing(self, pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Pass pieces on, and go on with each of them."""
        for piece in pieces:
            self.add(piece)
            yield piece

    def texts(self) -> dict[str, DigestTexts]:
        """Return the digests of each column."""
        return {column: (str(exact), str(timed)) for column, (exact, timed) in self._found.items()}


def _columns_of(tables: Mapping[str, pa.Table], name: str) -> Mapping[str, DigestTexts]:
    """Digests of the columns of a table, which may be known from when it was written."""
    if isinstance(tables, Tables) and name in tables.digested:
        return tables.digested[name]
    found = ColumnDigests()
    for piece in pieces_of(tables, name):
        found.add(piece)
    return found.texts()
