"""Blocks of rows put together to one sorted table; texts as codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from learning.requests.cluster import Floats, Ints, Mask
from learning.requests.event_details import TAKES
from sim.trace.arrow import array, as_numpy, coded_text, dictionary
from sim.trace.schema import COLUMNS, FLAG, FLOAT, INT, KINDS, ORDER, TEXT
from sim.trace.tables import narrow, stable_order

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

    table: str
    rows: int
    columns: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Column:
    """Values of all rows; ``missing`` marks those without, None stands for none of them.

    Those of text are codes, of ``words``; rows without have the code -1.
    """

    values: np.ndarray
    missing: Mask | None
    words: Sequence[str] | None = None

    def taken(self, order: Ints, text: Callable[..., Any]) -> pa.Array | pa.ChunkedArray:
        """Return the column in another order as Arrow's; ``text`` makes it of codes and words."""
        if self.words is not None:
            return text(self.values.take(order), self.words)
        missing = None if self.missing is None else self.missing.take(order)
        return array(self.values.take(order), missing)


Columns = Callable[[str], Column]
"""Gives each column of a table. One at a time: all of them together, unsorted, would take as much
memory as the table."""


def of_blocks(name: str, blocks: Sequence[Block], words: Mapping[str, Sequence[str]]) -> Columns:
    """Return the columns of blocks of the table ``name``, with the words of those of text."""
    return lambda key: _column(blocks, key, COLUMNS[name][key], words.get(key, ()))


def of_table(rows: pa.Table) -> Columns:
    """Return the columns of rows as they were written, those of text as dictionaries."""
    unified = rows.unify_dictionaries()
    return lambda key: _column_of(unified.column(key))


def in_order(
    name: str, column: Columns, text: Callable[..., Any] = coded_text, first: int = 0
) -> pa.Table:
    """Return rows of the table ``name``, at least all of one instant, behind ``first`` others.

    They are in the order of their key; those that tie stay in the order in which they were written.
    ``text`` makes a column of codes and words.
    """
    order = stable_order([_rank(key, column(key)) for key in ORDER[name]])
    arrays = {key: column(key).taken(order, text) for key in COLUMNS[name]}
    if name == "transfers":
        arrays["transfer_id"] = array(np.arange(first, first + len(order)))
    return pa.table(arrays)


def in_order_of_time(name: str, column: Columns) -> tuple[pa.Table, Floats]:
    """Return rows in order of the first column of their key, and that column.

    What does not depend on later rows is done; text is coded still.
    """
    times_s = times_of(name, column)
    order = stable_order([times_s])
    arrays = {key: column(key).taken(order, dictionary) for key in COLUMNS[name]}
    return pa.table(arrays), times_s[order]


def times_of(name: str, columns: Columns) -> Floats:
    """Return the first column of the key of rows, in which those that are missing come first.

    What is no number comes last, but can be compared.
    """
    column = columns(ORDER[name][0])
    times_s = np.where(np.isnan(column.values), np.inf, column.values)
    return times_s if column.missing is None else np.where(column.missing, -1.0, times_s)


def _column_of(column: pa.ChunkedArray) -> Column:
    """Return a column of Arrow's, with text as a dictionary that all chunks share."""
    held = column.combine_chunks()
    if pa.types.is_dictionary(held.type):
        codes = as_numpy(held.indices, NOTHING)
        return Column(codes, None, held.dictionary.to_pylist())
    missing = as_numpy(held.is_null()) if held.null_count else None
    return Column(as_numpy(held, False), missing)


def _column(blocks: Sequence[Block], name: str, kind: pa.DataType, words: Sequence[str]) -> Column:
    given = [block.columns.get(name) for block in blocks]
    rows = np.array([block.rows for block in blocks], np.int64)
    shared = np.zeros(len(blocks), NUMBERS[kind])
    for number, value in enumerate(given):
        if value is not None and not isinstance(value, np.ndarray):
            shared[number] = value
    empty = np.array([value is None for value in given], bool)
    if kind == TEXT:
        shared[empty] = NOTHING
    values = np.repeat(shared, rows)
    for value, end, count in zip(given, np.cumsum(rows).tolist(), rows.tolist(), strict=True):
        if isinstance(value, np.ndarray):
            values[end - count : end] = value
    missing = np.repeat(empty, rows) if empty.any() else None
    return Column(values, missing, words if kind == TEXT else None)


def _rank(key: str, column: Column) -> np.ndarray:
    """Numbers that rise with a key: text by alphabet, kinds as listed, what is missing first.

    Of the details only those that take an expert count: they follow those that give it.
    """
    if key == "detail" and column.words is not None:
        takes = [word.startswith(f"{TAKES} ") for word in column.words]
        later: np.ndarray = np.array([*takes, False], np.int8).take(column.values)
        return later
    if column.words is not None:
        listed: Sequence[str] = KINDS if key == "kind" else sorted(column.words)
        place = {word: number for number, word in enumerate(listed)}
        ranks = [place.get(word, len(listed)) for word in column.words]
        rank: np.ndarray = narrow(np.array([*ranks, -1])).take(column.values)
        return rank
    if column.missing is None:
        return column.values
    return np.where(column.missing, -1, column.values)


# Text of many rows as small numbers: a run has millions of rows and a few dozen texts.


NOTHING = -1
"""The code of a row without text."""


@dataclass(frozen=True, eq=False)
class Coded:
    """Text of rows: row i says ``words[codes[i]]``, or nothing where the code is -1."""

    codes: Ints
    words: Sequence[str]


class Vocabulary:
    """The texts of one column, numbered as they come."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._codes: dict[str | None, int] = {None: NOTHING}

    def code(self, word: str | None) -> int:
        """Return the number of ``word``, a new one if it is new; -1 for None."""
        known = self._codes.get(word)
        if known is not None:
            return known
        if not isinstance(word, str):
            raise TypeError(f"{word!r} is no text")
        self._codes[str(word)] = len(self.words)
        self.words.append(str(word))
        return len(self.words) - 1

    def codes(self, values: Coded | Sequence[Any] | np.ndarray) -> Ints:
        """Return the numbers of texts, one a row, as int32.

        Raises TypeError for what is no text, ValueError for codes that no word stands for.
        """
        if isinstance(values, Coded):
            return self._translated(np.asarray(values.codes), values.words)
        for word in dict.fromkeys(values):
            self.code(word)
        return np.fromiter(map(self._codes.__getitem__, values), np.int32, len(values))

    def _translated(self, codes: np.ndarray, words: Sequence[str]) -> Ints:
        if codes.size and not NOTHING <= codes.min() <= codes.max() < len(words):
            worst = codes.min() if codes.min() < NOTHING else codes.max()
            raise ValueError(f"code is {worst}; allowed is -1 to {len(words) - 1}, one a word")
        # The last place is that of -1.
        own: np.ndarray = np.array([*map(self.code, words), NOTHING], np.int32).take(codes)
        return own
