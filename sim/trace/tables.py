"""Tables in Parquet files, read and written by groups of rows; order and groups of rows."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from learning.hardware import free_bytes
from learning.requests.cluster import Ints, Mask
from sim.errors import InputError
from sim.files import check_not_a_pipe
from sim.formatting import data_size
from sim.trace.arrow import ROW_BYTES, array, as_numpy, word
from sim.trace.schema import APPENDED, COLUMNS

LARGE = 1 << 20
"""Rows above which a table stays in its file; a group of rows never has more."""
MOST_ROWS_A_BYTE = 16
"""Rows of a table per byte of its file. Events of equal devices, which compress best, have
10.5; equal rows, which no run writes, have 19 and more."""
MOST_ROW_BYTES, SPARE_BYTES = 512, 16_000_000
"""Memory for a row of a file of anybody's, with texts as long as names may be, and for any file."""
MOST_COLUMNS, MOST_GROUPS = 200, 1000
"""Columns; groups of rows, which have 1000 rows each where there are more."""


class Tables(Mapping[str, pa.Table]):
    """Tables by name. One in a file is read whole each time that it is asked for: see ``pieces``.

    Those in ``small`` are read once and kept. Raises InputError for a file that is missing or
    broken, and for a whole table that does not fit into the available memory.
    """

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self.small: set[str] = set()
        self._held: dict[str, pa.Table] = {}

    def __getitem__(self, name: str) -> pa.Table:
        if name in self._held:
            return self._held[name]
        if name not in self.small:
            _check_memory(self.files[name])
        table = pa.concat_tables(_completed(name, group) for group in read_groups(self.files[name]))
        if name in self.small:
            self._held[name] = table
        return table

    def __setitem__(self, name: str, table: pa.Table) -> None:
        self._held[name] = table

    def __iter__(self) -> Iterator[str]:
        return (name for name in COLUMNS if name in self._held or name in self.files)

    def __len__(self) -> int:
        return len(self._held | self.files)

    def pieces(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield a table, or some columns of it, as a whole or group by group of its file.

        Text of a file comes as dictionaries.
        """
        if name in self._held or name in self.small:
            yield _chosen(self[name], columns)
            return
        for group in _coded_groups(self.files[name], columns):
            yield _chosen(_completed(name, group), columns)


def _completed(name: str, table: pa.Table) -> pa.Table:
    """Add the columns, empty, that were not there yet when the table was written."""
    for column in APPENDED.get(name, ()):
        if column not in table.column_names:
            table = table.append_column(column, pa.nulls(len(table), COLUMNS[name][column]))
    return table


def _chosen(table: pa.Table, columns: Sequence[str] | None) -> pa.Table:
    return table if columns is None else table.select(columns)


def pieces_of(
    tables: Mapping[str, pa.Table], name: str, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """Yield a table, or some columns of it, in pieces that fit into memory; at least one piece.

    Text comes as it is or as dictionaries: see ``plain``, ``says`` and ``coded``.
    """
    if isinstance(tables, Tables):
        return tables.pieces(name, columns)
    return iter([_chosen(tables[name], columns)])


# Tables in Parquet files, written and read group by group of rows.


SCHEMA = "1"
CODES = pa.dictionary(pa.int32(), pa.string())
GROUP = 1 << 18
"""Rows of a group: what is in memory while a table is written or read."""


def write_table(path: Path, kinds: Mapping[str, pa.DataType], pieces: Iterable[pa.Table]) -> None:
    """Write a table to ``path``; the bytes do not depend on what pieces it comes in.

    Text may come as it is or as dictionaries.
    """
    schema = pa.schema(
        [(key, CODES if pa.types.is_string(kind) else kind) for key, kind in kinds.items()]
    )
    # Times and bytes hardly repeat: to look for those that do takes long and saves nothing.
    repeated = [field.name for field in schema if not pa.types.is_floating(field.type)]
    # Who reads the file finds text, not dictionaries: Arrow's own schema is not stored.
    how: dict[str, Any] = {"compression": "zstd", "store_schema": False}
    with pq.ParquetWriter(path, schema, use_dictionary=repeated, **how) as writer:
        for group in _groups_of(pieces):
            arrays = [
                _by_appearance(group.column(key))
                if pa.types.is_string(kind)
                else group.column(key).combine_chunks().cast(kind)
                for key, kind in kinds.items()
            ]
            writer.write_table(pa.table(arrays, schema=schema))
        writer.add_key_value_metadata({"leomix_schema": SCHEMA})


def _by_appearance(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return text as numbers of the words that occur, in the order in which they do."""
    held = column.dictionary_encode().unify_dictionaries().combine_chunks()
    used = held.indices.drop_null().unique()
    numbers = pc.index_in(held.indices, value_set=used)
    return pa.DictionaryArray.from_arrays(numbers, held.dictionary.take(used))


def _groups_of(pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Put pieces together, or cut them, to groups of one size, the last one perhaps smaller."""
    held: list[pa.Table] = []
    for piece in pieces:
        held.append(piece)
        if sum(map(len, held)) >= GROUP:
            whole = pa.concat_tables(held)
            full = len(whole) // GROUP * GROUP
            for at in range(0, full, GROUP):
                yield whole.slice(at, GROUP)
            held = [whole.slice(full)]
    rest = pa.concat_tables(held) if held else None
    if rest is not None and len(rest):
        yield rest


def described(path: Path) -> tuple[int, pa.Schema]:
    """Return how many rows a file has, and its columns; errors as of :func:`read_groups`."""
    with reading(path), _opened(path) as file:
        return file.metadata.num_rows, _plain(file.schema_arrow)


def read_groups(path: Path) -> Iterator[pa.Table]:
    """Yield a table group by group; at least one, which may be empty.

    Raises InputError for a file that is missing or broken, or takes memory as no run's table does.
    """
    return map(plain, _coded_groups(path))


def _coded_groups(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    with reading(path):
        file = _opened(path)
    with file:
        schema = _plain(file.schema_arrow)
        if not file.num_row_groups:
            yield pa.Table.from_batches([], schema)
        for number in range(file.num_row_groups):
            with reading(path):
                group = file.read_row_group(number, columns)
            _check_texts(path, group)
            yield group


def plain(table: pa.Table) -> pa.Table:
    """Return a table with text as it is where it has dictionaries."""
    return table.cast(_plain(table.schema))


def _opened(path: Path) -> pq.ParquetFile:
    """Open a table, but no pipe and none with more than a run writes; texts are dictionaries."""
    check_not_a_pipe(path)
    # Unlike read_table this needs no pyarrow.dataset, which would import pandas.
    with pq.ParquetFile(path) as file:
        found, schema, size = file.metadata, file.schema_arrow, path.stat().st_size
        groups = [found.row_group(number) for number in range(found.num_row_groups)]
        if (
            found.num_rows > MOST_ROWS_A_BYTE * size
            or found.num_columns > MOST_COLUMNS
            or found.num_row_groups > MOST_GROUPS + found.num_rows // MOST_GROUPS
            or any(pa.types.is_nested(field.type) for field in schema)
            or any(group.num_rows > LARGE for group in groups)
            or any(group.total_byte_size > _most_bytes(group.num_rows) for group in groups)
        ):
            raise InputError(
                f"{path}: has {found.num_rows} rows in {data_size(size)} and {len(groups)} "
                f"groups of rows, {_NOT_OURS}"
            )
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    return pq.ParquetFile(path, metadata=found, read_dictionary=texts)


_NOT_OURS = "which no run writes; get the run folder again from its source"


def _most_bytes(rows: int) -> int:
    return MOST_ROW_BYTES * rows + SPARE_BYTES


def _plain(schema: pa.Schema) -> pa.Schema:
    """Return a schema with text in the place of dictionaries and of long text, as pandas writes."""

    def plain(kind: pa.DataType) -> pa.DataType:
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        return pa.string() if pa.types.is_large_string(kind) else kind

    fields = (field.with_type(plain(field.type)) for field in schema)
    return pa.schema(fields, metadata=schema.metadata)


def _check_texts(path: Path, group: pa.Table) -> None:
    """Raise InputError for few words that many rows repeat, and that are long: one by one."""
    chunks = [chunk for column in group.columns for chunk in column.chunks]
    words = [chunk for chunk in chunks if pa.types.is_dictionary(chunk.type)]
    needed = sum(
        pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0
        for chunk in words
    )
    if needed > _most_bytes(len(group)):
        raise InputError(
            f"{path}: has {data_size(needed)} of text in {len(group)} rows, {_NOT_OURS}"
        )


def _check_memory(path: Path) -> None:
    """Raise InputError for a table that does not fit into the available memory as a whole."""
    needed, free = ROW_BYTES * described(path)[0], free_bytes("cpu")
    if free is not None and needed > free:
        raise InputError(
            f"{path}: needs about {data_size(needed)} of memory and {data_size(free)} are free; "
            "use a larger machine, or Result.pieces, which reads a table in parts"
        )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn trouble with a table of a run folder into wrong input."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; the run has to be done again") from None
    except (OSError, pa.ArrowInvalid) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        reason = str(why).splitlines()[0].rstrip(".")
        raise InputError(
            f"{path}: cannot be read ({reason}); the run has to be done again"
        ) from None


# Rows of large tables put in order and into groups by their keys, without a Python loop.


def stable_order(keys: Sequence[np.ndarray]) -> pa.Array:
    """Return the order of rows by several keys, the first counting most; ties keep their order.

    What is no number comes last.
    """
    names = [str(number) for number in range(len(keys))]
    rows = pa.RecordBatch.from_arrays([*map(array, keys)], names)
    return pc.sort_indices(rows, [(name, "ascending") for name in names])


def grouped(keys: Sequence[np.ndarray]) -> tuple[Ints, Ints]:
    """Return an order of rows that has those of equal keys together, and where each group begins.

    Rows of a group keep their order.
    """
    order = as_numpy(stable_order(keys))
    new = np.any([here[1:] != here[:-1] for here in (key[order] for key in keys)], axis=0)
    return order, np.flatnonzero(np.append(True, new)[: len(order)])


def grouped_by(table: pa.Table, keys: Sequence[str]) -> tuple[Ints, Ints, pa.Table]:
    """Return ``grouped`` rows of a table by columns, and those columns of each group.

    Arrow's own grouping would import pandas.
    """
    order, first = grouped([numbers_of(table.column(key)) for key in keys])
    return order, first, table.select(keys).take(array(order[first]))


def numbers_of(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column as numbers: text by one number for each that occurs, -1 where it is null."""
    return coded(column)[0] if is_text(column.type) else as_numpy(column, -1)


def coded(column: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """Return a column of text as numbers of words, -1 where it is null, and the words."""
    chunks = column.dictionary_encode().unify_dictionaries().chunks
    words = chunks[0].dictionary.to_pylist() if chunks else []
    codes = [as_numpy(chunk.indices, -1) for chunk in chunks]
    return np.concatenate([np.zeros(0, np.int32), *codes]), words


def says(table: pa.Table, column: str, text: str) -> Mask:
    """Return which rows say ``text`` in a column; null says nothing."""
    held = table.column(column)
    if pa.types.is_string(held.type):
        return as_numpy(pc.equal(held, word(text)), False)
    codes, words = coded(held)
    there = np.array([*(said == text for said in words), False])
    return there.take(codes)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column is text, as it is or as a dictionary and numbers of its words."""
    return bool(pa.types.is_string(kind) or pa.types.is_dictionary(kind))
