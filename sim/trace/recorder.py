"""Trace: rows while the run goes on; what does not fit goes to disk.

Rows are written when a reply is given and may be dated back, so a table is sorted once, at the
end, by a key that no two runs can disagree on. The rolling digest covers rows in the order in which
they were written: it tells a resumed run whether its replay is the same run. Into which blocks they
were cut, and what of them went to disk, does not count.
"""

from __future__ import annotations

import hashlib
import operator
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from learning.requests.cluster import Floats
from sim.files import naming, written
from sim.trace.arrow import CHUNK
from sim.trace.assembly import (
    NUMBERS,
    Block,
    Coded,
    Vocabulary,
    in_order,
    of_blocks,
    of_table,
    times_of,
)
from sim.trace.digest import Rolling
from sim.trace.schema import COLUMNS, OPTIONAL, TEXT
from sim.trace.tables import Tables, plain, stable_order, write_table

# Rows of a table that leave memory: runs in order of time on disk, and their merge.


BATCH = 1 << 16
"""Rows that are read at once."""


class SortedRun(NamedTuple):
    """A file of rows in order of time, and when each batch of them begins."""

    path: Path
    first_s: tuple[float, ...]

    def batch(self, place: int) -> pa.Table:
        """Return one batch; text is dictionary-encoded."""
        with naming(self.path), pa.OSFile(str(self.path)) as file:
            return pa.Table.from_batches([pa.ipc.open_file(file).get_batch(place)])


def spill(
    name: str, blocks: Sequence[Block], words: Mapping[str, Sequence[str]], path: Path
) -> SortedRun:
    """Write blocks of the table ``name`` to ``path``, with the words of its columns of text."""
    columns = of_blocks(name, blocks, words)
    times_s = times_of(name, columns)
    order = stable_order([times_s])
    table = pa.table({key: columns(key).take(order) for key in COLUMNS[name]})
    path.parent.mkdir(parents=True, exist_ok=True)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        naming(path),
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, table.schema, options=options) as writer,
    ):
        writer.write_table(table, max_chunksize=BATCH)
    return SortedRun(path, tuple(np.sort(times_s)[::BATCH].tolist()))


def merged(name: str, runs: Sequence[SortedRun]) -> Iterator[pa.Table]:
    """Yield the table ``name``, whose rows are those of ``runs``, piece by piece."""
    first = 0
    for window in windows(name, runs):
        yield in_order(name, of_table(window), first)
        first += len(window)


def windows(name: str, runs: Sequence[SortedRun]) -> Iterator[pa.Table]:
    """Yield all rows of ``runs``, window by window of time; within one, run by run.

    What is in memory is a batch of each run that has rows of this window.
    """
    batches = sorted(
        (first_s, number, place)
        for number, run in enumerate(runs)
        for place, first_s in enumerate(run.first_s)
    )
    held: dict[tuple[int, int], tuple[pa.Table, Floats]] = {}
    for (_, number, place), following in zip(batches, [*batches[1:], None], strict=True):
        batch = runs[number].batch(place)
        held[number, place] = batch, times_of(name, of_table(batch))
        ready = []
        for key in sorted(held):
            table, times_s = held.pop(key)
            end = len(table) if following is None else int(np.searchsorted(times_s, following[0]))
            ready.append(table.slice(0, end))
            if end < len(table):
                held[key] = table.slice(end), times_s[end:]
        if any(map(len, ready)):
            yield pa.concat_tables(ready)


CODES = NUMBERS[TEXT]
TYPES: dict[str, dict[str, Any]] = {
    table: {name: NUMBERS[kind] for name, kind in columns.items()}
    for table, columns in COLUMNS.items()
}
"""numpy's types of all columns: to compare those of Arrow takes longer than to write a value."""
ROWS = (np.ndarray, list, Coded)
"""What has a value for each row."""

LIMIT = 1 << 20
"""Rows of a table that are kept in memory, if there is a folder for more."""
BLOCK = 25
"""Rows that take as much memory as a block of them takes beside."""

Watch = Callable[[str, int, Mapping[str, Any]], None]
"""Called with every block: its table, how many rows, and the columns as they were given."""


class Held(NamedTuple):
    """Rows of a table: sorted runs on disk, and the blocks that came behind them."""

    runs: list[SortedRun]
    blocks: list[Block]


class Trace:
    """The tables of a run while it goes on.

    A block of rows keeps its arrays as they are, and a value that all rows share only once. Text is
    kept as numbers: four bytes a row where rows differ, nothing where they do not.

    With a ``folder``, which can be set before the first block, those of a table that are too many
    for memory go into a file there. They are digested before, unless ``replayed`` says that no
    replay will be compared with this trace. ``before_reading`` is called before the rows are asked
    for, to add what is kept elsewhere until then.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.replayed = True
        self.watch: Watch | None = None
        self.before_reading: Callable[[], None] = lambda: None
        self._limit = LIMIT
        self._held = {name: Held([], []) for name in COLUMNS}
        self._weights = dict.fromkeys(COLUMNS, 0)
        self._vocabularies: dict[tuple[str, str], Vocabulary] = defaultdict(Vocabulary)
        self._rolling: defaultdict[tuple[str, str], Rolling] = defaultdict(Rolling)
        self._fresh: defaultdict[tuple[str, str], list[Block]] = defaultdict(list)

    def add(self, table: str, rows: int = 1, **columns: Any) -> None:
        """Append ``rows`` rows; a scalar column stands in all of them, a missing one is null.

        Columns that differ from row to row are numpy arrays (which must not change any more); those
        of text are :class:`Coded`, or lists or arrays of text, which takes a thousand times longer.
        Raises KeyError for a column that the table does not have, TypeError for values of another
        type, ValueError for another number of rows.
        """
        if rows == 0:
            return
        self.add_block(table, rows, "", **columns)
        if self.watch is not None:  # behind the rest: what is wrong shall be in the traces too
            self.watch(table, rows, columns)

    def add_block(self, table: str, rows: int, stream: str, **columns: Any) -> None:
        """Append rows that nobody is to look at now, in the order of the rows of their ``stream``.

        Rows of different streams follow each other as it comes; they must not tie.
        """
        if rows == 0:
            return
        kept = {name: self._kept(table, name, value, rows) for name, value in columns.items()}
        block = Block(table, rows, kept)
        if self.replayed:
            self._fresh[table, stream].append(block)
        self._held[table].blocks.append(block)
        self._weights[table] += rows + BLOCK
        if self._weights[table] > self._limit and self.folder is not None:
            self._spill(table, self.folder)

    def _kept(self, table: str, name: str, value: Any, rows: int) -> Any:
        """A number that stands in all rows, an array of them, or None."""
        kind = TYPES[table].get(name)
        if kind is None:
            raise KeyError(f"table {table} has no column {name!r}")
        if value is None:
            return None
        if not isinstance(value, ROWS):
            if kind is CODES:
                return self._vocabularies[table, name].code(value)
            if kind is np.bool_:
                return bool(value)
            return operator.index(value) if kind is np.int64 else float(value)
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
        if not self.replayed:
            raise RuntimeError("a trace that is not replayed has no digest")
        self.before_reading()
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
        held, words = self._held[name], self._words(name)
        run = spill(name, held.blocks, words, folder / f"{name}.{len(held.runs)}.arrow")
        if self.replayed:
            self._roll()
        # At one stroke: an interrupt finds each block in one place.
        self._held[name] = Held([*held.runs, run], [])
        self._weights[name] = 0
        for column in words:
            del self._vocabularies[name, column]

    def _words(self, name: str) -> dict[str, Sequence[str]]:
        known = self._vocabularies.items()
        return {column: texts.words for (table, column), texts in known if table == name}

    def tables(self) -> Tables:
        """Return the tables, sorted and numbered; optional ones if they have rows.

        Those of which rows are on disk become files of the ``folder``.
        """
        self.before_reading()
        tables = Tables()
        for name in COLUMNS:
            held = self._held[name]
            if held.runs and self.folder is not None:
                tables.files[name] = self._merged(name, self.folder)
            elif held.blocks or name not in OPTIONAL:
                rows = in_order(name, of_blocks(name, held.blocks, self._words(name)))
                tables[name] = plain(pa.Table.from_batches(rows.to_batches(CHUNK), rows.schema))
        return tables

    def close(self) -> None:
        """Delete what went to disk and is of no use any more."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _merged(self, name: str, folder: Path) -> Path:
        if self._held[name].blocks:
            self._spill(name, folder)
        path = folder / f"{name}.parquet"
        with written(path) as part:
            write_table(part, COLUMNS[name], merged(name, self._held[name].runs))
        return path
