"""Tables in Parquet files, written and read group by group of rows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sim.errors import InputError

SCHEMA = "1"
GROUP = 1 << 18
"""Rows of a group: what is in memory while a table is written or read."""


def write_table(path: Path, kinds: Mapping[str, pa.DataType], pieces: Iterable[pa.Table]) -> None:
    """Write a table to ``path``; the bytes do not depend on what pieces it comes in."""
    schema = pa.schema(list(kinds.items()), metadata={"leomix_schema": SCHEMA})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups_of(pieces):
            writer.write_table(group.combine_chunks().cast(schema))


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


def described(path: Path) -> tuple[int, list[str]]:
    """Return how many rows a file has, and its columns.

    Raises InputError for a file that is missing or broken.
    """
    # Unlike read_table this needs no pyarrow.dataset, which would import pandas.
    with reading(path), pq.ParquetFile(path) as file:
        return file.metadata.num_rows, file.schema_arrow.names


def read_groups(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield a table group by group, or ``columns`` of it; at least one, which may be empty.

    Raises InputError for a file that is missing or broken.
    """
    with reading(path):
        file = pq.ParquetFile(path)
    with file:
        if not file.num_row_groups:
            yield file.schema_arrow.empty_table()
        for number in range(file.num_row_groups):
            with reading(path):
                group = file.read_row_group(number, columns)
            yield group


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
