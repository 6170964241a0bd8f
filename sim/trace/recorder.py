"""Trace: records the rows of a run while it goes on; what does not fit goes to disk.

Rows are written when a reply is given and may be dated back, so a table is sorted once, at the
end, by a key that no two runs can disagree on. The rolling digest covers rows in the order in which
they were written: it tells a resumed run whether its replay is the same run. Into which blocks they
were cut, and what of them went to disk, does not count.
"""

import hashlib
import operator
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sim.facts.coded import Coded, Vocabulary
from sim.facts.row import Fact, Row, columns_of
from sim.facts.stream import Take
from sim.files import written
from sim.trace.arrow import CHUNK, share_memory
from sim.trace.blocks import (
    NUMBERS,
    Block,
    SortedRun,
    in_order,
    merged,
    numbered,
    of_blocks,
    write_run,
)
from sim.trace.digest import ColumnDigests, Rolling
from sim.trace.parquet import write_table
from sim.trace.schema import COLUMNS, OPTIONAL, TEXT, TYPES
from sim.trace.tables import Tables

CODES = NUMBERS[TEXT]
ROWS = (np.ndarray, list, tuple, Coded)
"""What has a value for each row."""

LIMIT = 1 << 20
"""Rows of a table that are kept in memory, if there is a folder for more."""
BLOCK = 25
"""Rows that take as much memory as a block of them takes beside."""


class Column(NamedTuple):
    """A column: its name, numpy's type, and what gives the number of a value in all rows."""

    name: str
    kind: Any
    number_of: Callable[[Any], float]


class Columns(NamedTuple):
    """The columns of a kind of row, and what gives their values ``of`` a row: there are several."""

    of: Callable[[Row], Sequence[Any]]
    columns: Sequence[Column]


class Held(NamedTuple):
    """Rows of a table: sorted runs on disk, and the blocks that came behind them."""

    runs: list[SortedRun]
    blocks: list[Block]


class Trace:
    """The tables of a run while it goes on, recorded from the stream of its facts.

    A block of rows keeps its arrays as they are, and a value that all rows share only once. Text is
    kept as numbers: four bytes a row where rows differ, nothing where they do not.

    With a ``folder`` those of a table that are too many for memory go into a file there. They are
    digested before, unless ``replayed`` says that no replay will be compared with this trace.
    """

    def __init__(self, folder: Path | None = None, *, replayed: bool = True) -> None:
        share_memory()
        self._folder = folder
        self._replayed = replayed
        self._columns: dict[type[Row], Columns] = {}
        self._limit = LIMIT
        self._held = {name: Held([], []) for name in COLUMNS}
        self._weights = dict.fromkeys(COLUMNS, 0)
        self._vocabularies: dict[tuple[str, str], Vocabulary] = defaultdict(Vocabulary)
        self._rolling: defaultdict[tuple[str, str], Rolling] = defaultdict(Rolling)
        self._fresh: defaultdict[tuple[str, str], list[Block]] = defaultdict(list)

    def takes(self) -> Mapping[type[Fact], Take]:
        """Take everything that is rows."""
        return {Row: self.add}

    def add(self, row: Row) -> None:
        """Append a row, or the N rows that it stands for: a scalar column stands in all of them.

        Columns that differ from row to row are numpy arrays (N,), which must not change any more;
        those of text are :class:`Coded`, or lists of text, which takes a thousand times longer.
        Raises TypeError for values of another type than the column's, ValueError for arrays of
        different lengths.
        """
        table = row.table
        kept: dict[str, Any] = {}
        rows = None
        columns = self._columns_of(type(row))
        for (name, kind, number_of), value in zip(columns.columns, columns.of(row), strict=True):
            if value is None:
                continue
            if not isinstance(value, ROWS):
                kept[name] = number_of(value)
                continue
            if rows is None:
                rows = len(value)
            kept[name] = self._each(table, name, kind, value, rows)
        if rows is None:
            rows = 1
        if rows == 0:
            return
        block = Block(rows, kept)
        if self._replayed:
            self._fresh[table, row.stream].append(block)
        self._held[table].blocks.append(block)
        self._weights[table] += rows + BLOCK
        if self._weights[table] > self._limit and self._folder is not None:
            self._spill(table, self._folder)

    def _columns_of(self, kind: type[Row]) -> Columns:
        """Return the columns of a kind of row; to look for them takes longer than to write one."""
        known = self._columns.get(kind)
        if known is None:
            each = columns_of(kind)
            types = [NUMBERS[TYPES[one.kind.value]] for one in each]
            known = self._columns[kind] = Columns(
                attrgetter(*(one.attribute for one in each)),
                [
                    Column(one.name, number, self._number_of(kind.table, one.name, number))
                    for one, number in zip(each, types, strict=True)
                ],
            )
        return known

    def _number_of(self, table: str, name: str, kind: Any) -> Callable[[Any], float]:
        """Return what gives the number of a value that stands in all rows of a column."""
        if kind is CODES:
            return self._vocabularies[table, name].code
        if kind is np.bool_:
            return bool
        return operator.index if kind is np.int64 else float

    def _each(self, table: str, name: str, kind: Any, value: Any, rows: int) -> np.ndarray:
        """Return an array (N,) of the values of rows."""
        if kind is CODES:
            array = self._vocabularies[table, name].codes(value)
        else:
            array = np.asarray(value).astype(kind, casting="safe", copy=False)
        if array.shape != (rows,):
            raise ValueError(f"{table}.{name} has shape {array.shape}; give ({rows},)")
        return array

    def digest(self) -> str:
        """Return the digest of everything added so far, in the order it was added.

        Raises RuntimeError where nothing is to be ``replayed``.
        """
        if not self._replayed:
            raise RuntimeError("a trace that is not replayed has no digest")
        self._roll()
        whole = hashlib.blake2b(digest_size=16)
        for key in sorted(self._rolling):
            whole.update(f"{key}:{self._rolling[key]}\n".encode())
        return whole.hexdigest()

    def _roll(self) -> None:
        for (table, stream), blocks in self._fresh.items():
            columns = of_blocks(table, blocks, self._words(table))
            for name in COLUMNS[table]:
                self._rolling[f"{table} {stream}", name].add(columns(name))
        self._fresh.clear()

    def _spill(self, name: str, folder: Path) -> None:
        """Write the blocks of a table to disk; the texts of those behind are numbered anew."""
        runs = self._runs(name, folder)
        if self._replayed:
            self._roll()
        # At one stroke: an interrupt finds each block in one place.
        self._held[name] = Held(runs, [])
        self._weights[name] = 0
        for column in self._words(name):
            del self._vocabularies[name, column]
        self._columns.clear()  # they refer to these

    def _runs(self, name: str, folder: Path) -> list[SortedRun]:
        """Return the runs of a table on disk, and one more with the blocks in memory, if any."""
        held = self._held[name]
        if not held.blocks:
            return held.runs
        rows = in_order(name, of_blocks(name, held.blocks, self._words(name)))
        folder.mkdir(parents=True, exist_ok=True)
        return [*held.runs, write_run(folder / f"{name}.{len(held.runs)}.arrow", name, rows)]

    def _words(self, name: str) -> dict[str, Sequence[str]]:
        known = self._vocabularies.items()
        return {column: texts.words for (table, column), texts in known if table == name}

    def tables(self) -> Tables:
        """Return the tables by now, sorted and numbered; optional ones if they have rows.

        More rows may follow. Those of which rows are on disk become files of the ``folder``.
        """
        tables = Tables()
        for name in COLUMNS:
            held = self._held[name]
            if held.runs and self._folder is not None:
                self._merge(name, self._folder, tables)
            elif held.blocks or name not in OPTIONAL:
                columns = of_blocks(name, held.blocks, self._words(name))
                rows = numbered(name, in_order(name, columns))
                tables[name] = pa.Table.from_batches(rows.to_batches(CHUNK), rows.schema)
        return tables

    def close(self) -> None:
        """Delete what went to disk and is of no use any more."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _merge(self, name: str, folder: Path, tables: Tables) -> None:
        """Write a table to a file of its own; it is digested on the way, not read for that."""
        path = folder / f"{name}.parquet"
        digests = ColumnDigests()
        with written(path) as part:
            rows = digests.passing(merged(name, self._runs(name, folder)))
            write_table(part, COLUMNS[name], rows)
        tables.files[name] = path
        tables.digested[name] = digests.texts()
