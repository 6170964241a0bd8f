"""Blocks of rows as they were written, in memory or on disk, put together in order of the key."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from learning.requests.facts import Cause
from sim.facts.coded import NO_WORD
from sim.files import naming
from sim.trace.arrow import CHUNK, array, as_numpy, dictionary
from sim.trace.parquet import CODES
from sim.trace.schema import COLUMNS, FLAG, FLOAT, INT, KINDS, ORDER, TEXT, TIME
from sim.trace.sorting import are_in_order, is_text, stable_order
from statements.arrays import Floats

NUMBERS: dict[pa.DataType, Any] = {
    FLOAT: np.float64,
    INT: np.int64,
    FLAG: np.bool_,
    TEXT: np.int32,
    TIME: "datetime64[us]",
}
"""numpy's types of the columns; text is kept as codes."""


class Block(NamedTuple):
    """Rows that were written together: each column an array, one value for all rows, or None."""

    rows: int
    columns: dict[str, Any]


Columns = Callable[[str], pa.Array]
"""Gives each column of a table, those of text as dictionaries. One at a time: all of them together,
unsorted, would take as much memory as the table."""


def of_blocks(name: str, blocks: Sequence[Block], words: Mapping[str, Sequence[str]]) -> Columns:
    """Return the columns of blocks of the table ``name``, with the words of those of text."""
    rows = np.array([block.rows for block in blocks], np.int64)
    first = [0, *np.cumsum(rows).tolist()]
    each = [block.columns for block in blocks]

    def column(key: str) -> pa.Array:
        given = [columns.get(key) for columns in each]
        empty = np.array([value is None for value in given], bool)
        kind = COLUMNS[name][key]
        if empty.all():
            return _nulls(kind, int(rows.sum()))
        arrays = {n: value for n, value in enumerate(given) if isinstance(value, np.ndarray)}
        if len(arrays) == len(given):
            values = np.concatenate(list(arrays.values()))
        else:
            shared = np.full(len(blocks), NO_WORD if kind == TEXT else 0, NUMBERS[kind])
            for number, value in enumerate(given):
                if value is not None and number not in arrays:
                    shared[number] = value
            values = np.repeat(shared, rows)
            for number, own in arrays.items():
                values[first[number] : first[number + 1]] = own
        if kind == TEXT:
            return dictionary(values, words.get(key, ()))
        return array(values, np.repeat(empty, rows) if empty.any() else None)

    return column


def of_table(name: str, rows: pa.Table) -> Columns:
    """Return the columns of rows as they were written, those of text as dictionaries.

    Those that the rows do not have are null.
    """
    unified = rows.unify_dictionaries()

    def column(key: str) -> pa.Array:
        if key not in unified.column_names:
            return _nulls(COLUMNS[name][key], len(rows))
        return unified.column(key).combine_chunks()

    return column


def in_order(name: str, columns: Columns) -> pa.Table:
    """Return rows of the table ``name`` in the order of their key.

    Those that tie stay in the order in which they were written.
    """
    keys = {key: columns(key) for key in ORDER[name]}
    ranks = [_rank(key, column) for key, column in keys.items()]
    order = None if are_in_order(ranks) else stable_order(ranks)
    del ranks

    def in_place(key: str) -> pa.Array:
        column = keys.pop(key) if key in keys else columns(key)
        # A column of nothing but null is the same in every order.
        return column if order is None or column.null_count == len(column) else column.take(order)

    return pa.table({key: in_place(key) for key in COLUMNS[name]})


def numbered(name: str, rows: pa.Table, first: int = 0) -> pa.Table:
    """Return rows in order, behind ``first`` others, with their numbers if they have some."""
    if name != "transfers":
        return rows
    numbers = array(np.arange(first, first + len(rows)))
    return rows.set_column(rows.column_names.index("transfer_id"), "transfer_id", numbers)


def times_of(name: str, columns: Columns) -> Floats:
    """Return the first column of the key of rows, in which those that are missing come first.

    NaN sorts last, as a number that can be compared.
    """
    times_s = as_numpy(columns(ORDER[name][0]), -1.0)
    return np.where(np.isnan(times_s), np.inf, times_s)


def _rank(key: str, column: pa.Array) -> np.ndarray:
    """Numbers that rise with a key: text by alphabet, kinds as listed, what is missing first.

    Of the causes only one counts: who takes an expert follows who gives it.
    """
    if column.null_count == len(column):
        return np.zeros(len(column))
    if not is_text(column.type):
        return as_numpy(column, -1)
    codes = as_numpy(column.indices, NO_WORD)
    words = column.dictionary.to_pylist()
    if key == "cause":
        ranks = [int(word == Cause.TAKES) for word in words]
    else:
        listed: Sequence[str] = KINDS if key == "kind" else sorted(words)
        place = {word: number for number, word in enumerate(listed)}
        ranks = [place.get(word, len(listed)) for word in words]
    return np.array([*ranks, 0 if key == "cause" else -1]).take(codes)


def _nulls(kind: pa.DataType, rows: int) -> pa.Array | pa.ChunkedArray:
    """Return a column of nothing but null; to fill its memory takes as long as that of others."""
    if rows <= CHUNK:
        return _held_nulls(kind, 1 << rows.bit_length()).slice(0, rows)
    whole = _held_nulls(kind, CHUNK)
    rest = [whole.slice(0, rows % CHUNK)] if rows % CHUNK else []
    return pa.chunked_array([whole] * (rows // CHUNK) + rest)


@lru_cache(maxsize=8)
def _held_nulls(kind: pa.DataType, rows: int) -> pa.Array:
    return pa.nulls(rows, CODES if kind == TEXT else kind)


BATCH = 1 << 16
"""Rows that are read at once."""


class SortedRun(NamedTuple):
    """A file of rows in the order of their key, and when each batch of them begins."""

    path: Path
    first_s: tuple[float, ...]

    def batch(self, place: int) -> pa.Table:
        """Return one batch; text is dictionary-encoded."""
        with naming(self.path), pa.OSFile(str(self.path)) as file:
            return pa.Table.from_batches([pa.ipc.open_file(file).get_batch(place)])


def merged(name: str, runs: Sequence[SortedRun]) -> Iterator[pa.Table]:
    """Yield the table ``name``, whose rows are those of ``runs``, window by window of time.

    What is in memory is a batch of each run that has rows of this window.
    """
    first = 0
    batches = sorted(
        (first_s, number, place)
        for number, run in enumerate(runs)
        for place, first_s in enumerate(run.first_s)
    )
    held: dict[tuple[int, int], tuple[pa.Table, Floats]] = {}
    for (_, number, place), following in zip(batches, [*batches[1:], None], strict=True):
        batch = runs[number].batch(place)
        held[number, place] = batch, times_of(name, of_table(name, batch))
        ready = []
        for key in sorted(held):
            table, times_s = held.pop(key)
            end = len(table) if following is None else int(np.searchsorted(times_s, following[0]))
            ready.append(table.slice(0, end))
            if end < len(table):
                held[key] = table.slice(end), times_s[end:]
        some = [table for table in ready if len(table)]
        if some:
            yield numbered(name, _joined(name, some), first)
            first += sum(map(len, some))


def _joined(name: str, parts: Sequence[pa.Table]) -> pa.Table:
    """Return rows of some runs, at least one, in order; those of one run are in order already."""
    columns = of_table(name, pa.concat_tables(parts, promote_options="default"))
    if len(parts) > 1:
        return in_order(name, columns)
    return pa.table({key: columns(key) for key in COLUMNS[name]})


def write_run(path: Path, name: str, rows: pa.Table) -> SortedRun:
    """Write rows of the table ``name``, which are in order, to a file.

    Columns that are null in all of them are left out, but for the first, which keeps their number.
    """
    times_s = times_of(name, of_table(name, rows))
    kept = [key for key in rows.column_names[1:] if rows.column(key).null_count < len(rows)]
    rows = rows.select([rows.column_names[0], *kept])
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        naming(path),
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, rows.schema, options=options) as writer,
    ):
        writer.write_table(rows, max_chunksize=BATCH)
    return SortedRun(path, tuple(times_s[::BATCH].tolist()))
