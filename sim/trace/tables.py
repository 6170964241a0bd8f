"""Tables of a run by name, in memory or in files that are read when they are asked for."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from learning.hardware import free_bytes
from sim.errors import InputError
from sim.formatting import data_size
from sim.trace.arrow import ROW_BYTES, array
from sim.trace.parquet import coded_groups, described, plain, read_groups
from sim.trace.schema import COLUMNS
from sim.trace.sorting import says
from statements import Code

DigestTexts = tuple[str, str]
"""Digests of a column: of all that is in it, and of what counts as timing."""


class Tables(Mapping[str, pa.Table]):
    """Tables by name. One in a file is read whole each time that it is asked for: see ``pieces``.

    Those in ``small`` are read once and kept; of those in ``digested`` digests of the columns are
    known. Raises InputError for a file that is missing or broken, and for a whole table that does
    not fit into the available memory.
    """

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self.small: set[str] = set()
        self.digested: dict[str, Mapping[str, DigestTexts]] = {}
        self._held: dict[str, pa.Table] = {}

    def __getitem__(self, name: str) -> pa.Table:
        if name in self._held:
            table = self._held[name] = plain(self._held[name])
            return table
        if name not in self.small:
            _check_memory(self.files[name])
        table = pa.concat_tables(read_groups(self.files[name]))
        if name in self.small:
            self._held[name] = table
        return table

    def __setitem__(self, name: str, table: pa.Table) -> None:
        self._held[name] = table
        # What is on disk is of another table.
        self.files.pop(name, None)
        self.digested.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return (name for name in COLUMNS if name in self._held or name in self.files)

    def __len__(self) -> int:
        return len(self._held | self.files)

    def __contains__(self, name: object) -> bool:
        # Else a table would be read to see whether it is there.
        return name in self._held or name in self.files

    def pieces(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield a table, or some columns of it, as a whole or group by group of its file.

        Text comes as it is or as dictionaries.
        """
        if name in self._held or name in self.small:
            whole = self._held[name] if name in self._held else self[name]
            yield _chosen(whole, columns)
            return
        for group in coded_groups(self.files[name], columns):
            yield _chosen(group, columns)


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


def pooled_metrics(tables: Mapping[str, pa.Table]) -> pa.Table:
    """Return the rows of the metrics table on all clusters together, in order of time.

    Those of single clusters are as many times more as there are clusters.
    """
    pieces = pieces_of(tables, "metrics")
    return pa.concat_tables(
        plain(piece.filter(array(says(piece, "scope", "global")))) for piece in pieces
    )


def _check_memory(path: Path) -> None:
    """Raise InputError for a table that does not fit into the available memory as a whole."""
    needed = ROW_BYTES * described(path)[0]
    free = free_bytes("cpu")
    if free is not None and needed > free:
        raise InputError.of_file(
            path,
            Code.NO_MEMORY,
            f"needs about {data_size(needed)} of memory and {data_size(free)} are free",
            "use a larger machine, or Result.pieces, which reads a table in parts",
        )
