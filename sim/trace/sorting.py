"""Rows of large tables put in order and into groups by their keys, without a Python loop."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sim.trace.arrow import array, as_numpy
from statements.arrays import Ints, Mask


def stable_order(keys: Sequence[np.ndarray]) -> pa.Array:
    """Return the order of rows by several keys, the first counting most; ties keep their order.

    NaN sorts last.
    """
    names = [str(number) for number in range(len(keys))]
    rows = pa.RecordBatch.from_arrays([*map(array, keys)], names)
    return pc.sort_indices(rows, [(name, "ascending") for name in names])


def are_in_order(keys: Sequence[np.ndarray]) -> bool:
    """Whether rows are in the order of their keys already; one with NaN may be for all we know."""
    tied = np.ones(max(len(keys[0]) - 1, 0), bool)
    for key in keys:
        before, behind = key[:-1], key[1:]
        if not np.all(~tied | (before <= behind)):
            return False
        tied &= before == behind
    return True


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
    codes, words = coded(table.column(column))
    there = np.array([*(said == text for said in words), False])
    return there.take(codes)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column is text, as it is or as a dictionary and numbers of its words."""
    return bool(pa.types.is_string(kind) or pa.types.is_dictionary(kind))
