"""Traces of a run: columnar blocks as they are emitted, sorted tables at the end.

Rows are written when a reply is given and may be dated back, so a table is sorted once, at the
end, by a key that no two runs can disagree on. The rolling digest covers blocks in emission order:
it tells a resumed run whether its replay is the same run.
"""

from __future__ import annotations

import hashlib
import operator
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from sim.assembly import NUMBERS, Block, assembled
from sim.coded import Coded, Vocabulary
from sim.schema import COLUMNS, OPTIONAL, TEXT

CODES = NUMBERS[TEXT]
TYPES: dict[str, dict[str, Any]] = {
    table: {name: NUMBERS[kind] for name, kind in columns.items()}
    for table, columns in COLUMNS.items()
}
"""numpy's types of all columns: to compare those of Arrow takes longer than to write a value."""
ROWS = (np.ndarray, list, Coded)
"""What has a value for each row."""

Watch = Callable[[str, int, Mapping[str, Any]], None]
"""Is told of every block: its table, how many rows, and the columns as they were given."""


class Trace:
    """The tables of a run while it goes on.

    A block of rows keeps its arrays as they are, and a value that all rows share only once. Text is
    kept as numbers: four bytes a row where rows differ, nothing where they do not.
    """

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._vocabularies: dict[tuple[str, str], Vocabulary] = defaultdict(Vocabulary)
        self._rolling = hashlib.blake2b(digest_size=16)
        self._digested = 0
        self.watch: Watch | None = None

    def add(self, table: str, rows: int = 1, **columns: Any) -> None:
        """Append ``rows`` rows; a scalar column stands in all of them, a missing one is null.

        Columns that differ from row to row are numpy arrays (which must not change any more); those
        of text are :class:`Coded`, or lists or arrays of text, which takes a thousand times longer.
        Raises KeyError for a column that the table does not have, TypeError for values of another
        type, ValueError for another number of rows.
        """
        if rows == 0:
            return
        if self.watch is not None:
            self.watch(table, rows, columns)
        kept = {name: self._kept(table, name, value, rows) for name, value in columns.items()}
        self._blocks.append(Block(table, rows, kept))

    def _kept(self, table: str, name: str, value: Any, rows: int) -> Any:
        """A number that stands in all rows, an array of them, or None."""
        kind = TYPES[table].get(name)
        if kind is None:
            raise KeyError(f"table {table} has no column {name!r}")
        if not isinstance(value, ROWS):
            return None if value is None else self._one(table, name, value, kind)
        if kind is CODES:
            array = self._vocabularies[table, name].codes(value)
        else:
            array = np.asarray(value).astype(kind, casting="safe", copy=False)
        if array.shape != (rows,):
            raise ValueError(f"{table}.{name} has shape {array.shape}; give ({rows},)")
        return array

    def _one(self, table: str, name: str, value: Any, kind: Any) -> int | float | bool:
        if kind is CODES:
            return self._vocabularies[table, name].code(value)
        if kind is np.bool_:
            return bool(value)
        return operator.index(value) if kind is np.int64 else float(value)

    def digest(self) -> str:
        """Return the digest of everything added so far, in the order it was added."""
        for block in self._blocks[self._digested :]:
            self._rolling.update(f"{block.table}:{block.rows}\n".encode())
            for name, value in block.columns.items():
                exact = isinstance(value, np.ndarray)
                self._rolling.update(f"{name}:".encode())
                self._rolling.update(value.tobytes() if exact else repr(value).encode())
        self._digested = len(self._blocks)
        whole = self._rolling.copy()
        texts = {key: vocabulary.words for key, vocabulary in self._vocabularies.items()}
        whole.update(repr(sorted(texts.items())).encode())
        return whole.hexdigest()

    def tables(self) -> dict[str, pa.Table]:
        """Return the tables, sorted and numbered; optional ones if they have rows."""
        return {
            name: self._table(name) for name in COLUMNS if name not in OPTIONAL or self._has(name)
        }

    def _has(self, name: str) -> bool:
        return any(block.table == name for block in self._blocks)

    def _table(self, name: str) -> pa.Table:
        mine = [block for block in self._blocks if block.table == name]
        words = {column: self._vocabularies[name, column].words for column in COLUMNS[name]}
        return assembled(name, mine, words)
