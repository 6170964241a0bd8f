"""The tables of a run: those of few rows in memory, those of many in their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from sim.schema import APPENDED, COLUMNS
from sim.table_files import read_groups

LARGE = 1 << 20
"""Rows above which a table stays in its file."""


class Tables(Mapping[str, pa.Table]):
    """Tables by name. One in a file is read whole each time that it is asked for: see ``pieces``.

    Raises InputError for a file that is missing or broken.
    """

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self._held: dict[str, pa.Table] = {}

    def __getitem__(self, name: str) -> pa.Table:
        if name in self._held:
            return self._held[name]
        return pa.concat_tables(self.pieces(name))

    def __setitem__(self, name: str, table: pa.Table) -> None:
        self._held[name] = table

    def __iter__(self) -> Iterator[str]:
        return (name for name in COLUMNS if name in self._held or name in self.files)

    def __len__(self) -> int:
        return len(self._held | self.files)

    def pieces(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield a table, or some columns of it, as a whole or group by group of its file."""
        if name in self._held:
            yield _chosen(self._held[name], columns)
            return
        for group in read_groups(self.files[name], columns):
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
    """Yield a table, or some columns of it, in pieces that fit into memory; at least one piece."""
    if isinstance(tables, Tables):
        return tables.pieces(name, columns)
    return iter([_chosen(tables[name], columns)])
