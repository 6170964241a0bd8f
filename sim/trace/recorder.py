"""Trace: rows while the run goes on; what does not fit goes to disk.

Rows are written when a reply is given and may be dated back, so a table is sorted once, at the
end, by a key that no two runs can disagree on. The rolling digest covers rows in the order in which
they were written: it tells a resumed run whether its replay is the same run. Into which blocks they
were cut, and what of them went to disk, does not count.
"""

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
from learning.requests.facts import Cause
from sim.files import naming, written
from sim.trace.arrow import CHUNK, NOTHING, Coded, Vocabulary, array, as_numpy, dictionary
from sim.trace.digest import Rolling
from sim.trace.schema import COLUMNS, FLAG, FLOAT, INT, KINDS, OPTIONAL, ORDER, TEXT
from sim.trace.tables import Tables, is_text, plain, stable_order, write_table

# Blocks of rows put together to one sorted table.


NUMBERS: dict[pa.DataType, Any] = {
    FLOAT: np.float64,
    INT: np.int64,
    FLAG: np.bool_,
    TEXT: np.int32,
    pa.timestamp("us", tz="UTC"): "datetime64[us]",
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

    def column(key: str) -> pa.Array:
        given = [block.columns.get(key) for block in blocks]
        empty, kind = np.array([value is None for value in given], bool), COLUMNS[name][key]
        shared = np.zeros(len(blocks), NUMBERS[kind])
        for number, value in enumerate(given):
            if value is not None and not isinstance(value, np.ndarray):
                shared[number] = value
        if kind == TEXT:
            shared[empty] = NOTHING
        values = np.repeat(shared, rows)
        for value, end, count in zip(given, np.cumsum(rows).tolist(), rows.tolist(), strict=True):
            if isinstance(value, np.ndarray):
                values[end - count : end] = value
        if kind == TEXT:
            return dictionary(values, words.get(key, ()))
        return array(values, np.repeat(empty, rows) if empty.any() else None)

    return column


def of_table(rows: pa.Table) -> Columns:
    """Return the columns of rows as they were written, those of text as dictionaries."""
    unified = rows.unify_dictionaries()
    return lambda key: unified.column(key).combine_chunks()


def in_order(name: str, columns: Columns, first: int = 0) -> pa.Table:
    """Return rows of the table ``name``, at least all of one instant, behind ``first`` others.

    They are in the order of their key; those that tie stay in the order in which they were written.
    """
    order = stable_order([_rank(key, columns(key)) for key in ORDER[name]])
    arrays = {key: columns(key).take(order) for key in COLUMNS[name]}
    if name == "transfers":
        arrays["transfer_id"] = array(np.arange(first, first + len(order)))
    return pa.table(arrays)


def times_of(name: str, columns: Columns) -> Floats:
    """Return the first column of the key of rows, in which those that are missing come first.

    What is no number comes last, but can be compared.
    """
    times_s = as_numpy(columns(ORDER[name][0]), -1.0)
    return np.where(np.isnan(times_s), np.inf, times_s)


def _rank(key: str, column: pa.Array) -> np.ndarray:
    """Numbers that rise with a key: text by alphabet, kinds as listed, what is missing first.

    Of the causes only one counts: who takes an expert follows who gives it.
    """
    if not is_text(column.type):
        return as_numpy(column, -1)
    codes, words = as_numpy(column.indices, NOTHING), column.dictionary.to_pylist()
    if key == "cause":
        ranks = [int(word == Cause.TAKES) for word in words]
    else:
        listed: Sequence[str] = KINDS if key == "kind" else sorted(words)
        place = {word: number for number, word in enumerate(listed)}
        ranks = [place.get(word, len(listed)) for word in words]
    return np.array([*ranks, 0 if key == "cause" else -1]).take(codes)


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
        held[number, place] = batch, times_of(name, of_table(batch))
        ready = []
        for key in sorted(held):
            table, times_s = held.pop(key)
            end = len(table) if following is None else int(np.searchsorted(times_s, following[0]))
            ready.append(table.slice(0, end))
            if end < len(table):
                held[key] = table.slice(end), times_s[end:]
        if any(map(len, ready)):
            yield in_order(name, of_table(pa.concat_tables(ready)), first)
            first += sum(map(len, ready))


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
        self.add_block(table, rows, "", **columns)
        # Behind the rest: what is wrong shall be in the traces too.
        if rows and self.watch is not None:
            self.watch(table, rows, columns)

    def add_block(self, table: str, rows: int, stream: str, **columns: Any) -> None:
        """Append rows that nobody is to look at now, in the order of the rows of their ``stream``.

        Rows of different streams follow each other as it comes; they must not tie.
        """
        if rows == 0:
            return
        kept = {name: self._kept(table, name, value, rows) for name, value in columns.items()}
        block = Block(rows, kept)
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
        columns = of_blocks(name, held.blocks, words)
        times_s = times_of(name, columns)
        order = stable_order([times_s])
        table = pa.table({key: columns(key).take(order) for key in COLUMNS[name]})
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.{len(held.runs)}.arrow"
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with (
            naming(path),
            pa.OSFile(str(path), "wb") as file,
            pa.ipc.new_file(file, table.schema, options=options) as writer,
        ):
            writer.write_table(table, max_chunksize=BATCH)
        run = SortedRun(path, tuple(np.sort(times_s)[::BATCH].tolist()))
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
