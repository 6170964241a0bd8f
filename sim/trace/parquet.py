"""Tables in Parquet files, written and read group by group of rows."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from learning.files import PERMISSION
from sim.errors import InputError
from sim.files import check_not_a_pipe
from sim.formatting import data_size
from statements import Code

AGAIN = "the run has to be done again"
"""What helps where a table of a run is missing or broken."""
LARGE = 1 << 20
"""Rows above which a table stays in its file; a group of rows never has more."""
MOST_ROWS_A_BYTE = 13
"""Rows of a table per byte of its file. Events of equal devices, which compress best, have
10.5; equal rows, which no run writes, have 15 and more."""
MOST_ROW_BYTES, SPARE_BYTES = 512, 16_000_000
"""Memory for a row of a file of anybody's, with texts as long as names may be, and for any file."""
MOST_COLUMNS, MOST_GROUPS = 200, 1000
"""Columns; groups of rows, which have 1000 rows each where there are more."""

SCHEMA = "1"
CODES = pa.dictionary(pa.int32(), pa.string())
COUNTED = ("transfer_id",)
"""Columns that number the rows: the step from one to the next is stored, which is always 1."""
GROUP = 1 << 18
"""Rows of a group: what is in memory while a table is written or read."""


def write_table(path: Path, kinds: Mapping[str, pa.DataType], pieces: Iterable[pa.Table]) -> None:
    """Write a table to ``path``; the bytes do not depend on what pieces it comes in.

    Text may come as it is or as dictionaries.
    """
    schema = pa.schema(
        [(key, CODES if pa.types.is_string(kind) else kind) for key, kind in kinds.items()]
    )
    counted = [name for name in schema.names if name in COUNTED]
    # Times and bytes hardly repeat: to look for those that do takes long and saves nothing.
    repeated = [
        field.name
        for field in schema
        if not (pa.types.is_floating(field.type) or field.name in counted)
    ]
    how: dict[str, Any] = {
        "compression": "zstd",
        "use_dictionary": repeated,
        "column_encoding": dict.fromkeys(counted, "DELTA_BINARY_PACKED"),
        # Which words are first and last by alphabet says nothing of a group of rows.
        "write_statistics": [
            field.name for field in schema if not pa.types.is_dictionary(field.type)
        ],
        # Who reads the file finds text, not dictionaries: Arrow's own schema is not stored.
        "store_schema": False,
    }
    with pq.ParquetWriter(path, schema, **how) as writer:
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


def described(path: Path, cure: str = AGAIN) -> tuple[int, pa.Schema]:
    """Return how many rows a file has, and its columns; errors as of :func:`read_groups`."""
    with reading(path, cure), _opened(path) as file:
        return file.metadata.num_rows, plain_schema(file.schema_arrow)


def read_groups(path: Path, cure: str = AGAIN) -> Iterator[pa.Table]:
    """Yield a table group by group; at least one, which may be empty.

    Raises InputError for a file that is missing or broken, with its ``cure``, or takes memory as no
    run's table does.
    """
    return map(plain, coded_groups(path, cure=cure))


def coded_groups(
    path: Path, columns: Sequence[str] | None = None, cure: str = AGAIN
) -> Iterator[pa.Table]:
    """Yield some columns of a table as :func:`read_groups` does, with text as dictionaries."""
    with reading(path, cure):
        file = _opened(path)
    with file:
        schema = plain_schema(file.schema_arrow)
        if not file.num_row_groups:
            yield pa.Table.from_batches([], schema)
        for number in range(file.num_row_groups):
            with reading(path, cure):
                group = file.read_row_group(number, columns)
            _check_texts(path, group)
            yield group


def plain(table: pa.Table) -> pa.Table:
    """Return a table with text as it is where it has dictionaries."""
    schema = plain_schema(table.schema)
    return table if schema.equals(table.schema) else table.cast(schema)


def _opened(path: Path) -> pq.ParquetFile:
    """Open a table, but no pipe and none with more than a run writes; texts are dictionaries."""
    check_not_a_pipe(path)
    # Unlike read_table this needs no pyarrow.dataset, which would import pandas.
    with pq.ParquetFile(path) as file:
        found = file.metadata
        schema = file.schema_arrow
        size = path.stat().st_size
        groups = [found.row_group(number) for number in range(found.num_row_groups)]
        if (
            found.num_rows > MOST_ROWS_A_BYTE * size
            or found.num_columns > MOST_COLUMNS
            or found.num_row_groups > MOST_GROUPS + found.num_rows // MOST_GROUPS
            or any(pa.types.is_nested(field.type) for field in schema)
            or any(group.num_rows > LARGE for group in groups)
            or any(group.total_byte_size > _most_bytes(group.num_rows) for group in groups)
        ):
            raise InputError.of_file(
                path,
                Code.BROKEN_FILE,
                f"has {{num_rows}} rows in {data_size(size)} and {len(groups)} "
                f"groups of rows, {_NOT_OURS}",
                num_rows=found.num_rows,
            )
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    return pq.ParquetFile(path, metadata=found, read_dictionary=texts)


_NOT_OURS = "which no run writes; get the run folder again from its source"


def _most_bytes(rows: int) -> int:
    return MOST_ROW_BYTES * rows + SPARE_BYTES


def plain_schema(schema: pa.Schema) -> pa.Schema:
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
        raise InputError.of_file(
            path,
            Code.BROKEN_FILE,
            f"has {data_size(needed)} of text in {len(group)} rows, {_NOT_OURS}",
        )


@contextmanager
def reading(path: Path, cure: str = AGAIN) -> Iterator[None]:
    """Turn trouble with a table of a folder into wrong input, for which there is a ``cure``.

    None of a file that is for others: that is not what is wrong with it.
    """
    try:
        yield
    except FileNotFoundError:
        raise InputError.of_file(path, Code.NO_FILE, "is missing", cure) from None
    except (OSError, pa.ArrowInvalid) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        reason = str(why).splitlines()[0].rstrip(".")
        raise InputError.of_file(
            path,
            Code.BROKEN_FILE,
            "cannot be read ({reason})",
            PERMISSION if isinstance(error, PermissionError) else cure,
            reason=reason,
        ) from None
