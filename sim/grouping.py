"""Rows of large tables put in order and into groups by their keys, without a Python loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.requests.cluster import Ints, Mask


def stable_order(keys: Sequence[np.ndarray]) -> Ints:
    """Return the order of rows by several keys, the first counting most; ties keep their order."""
    order: Ints = np.lexsort([narrow(key) for key in reversed(keys)])
    return order


def grouped(keys: Sequence[np.ndarray]) -> tuple[Ints, Ints]:
    """Return an order of rows that has those of equal keys together, and where each group begins.

    Rows of a group keep their order.
    """
    order = stable_order(keys)
    new = np.ones(len(order), bool)
    if len(order):
        new[1:] = False
    for key in keys:
        here = key[order]
        new[1:] |= here[1:] != here[:-1]
    return order, np.flatnonzero(new)


def numbers_of(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column as numbers: text by one number for each that occurs, -1 where it is null."""
    if not pa.types.is_string(column.type):
        values: np.ndarray = (column.fill_null(-1) if column.null_count else column).to_numpy()
        return values
    encoded = column.dictionary_encode().unify_dictionaries()
    codes = [chunk.indices.fill_null(-1).to_numpy() for chunk in encoded.chunks]
    return np.concatenate([np.zeros(0, np.int32), *codes])


def says(table: pa.Table, column: str, text: str) -> Mask:
    """Return which rows say ``text`` in a column; null says nothing."""
    same = pc.equal(table.column(column), text)
    rows: Mask = pc.fill_null(same, False).to_numpy(zero_copy_only=False)
    return rows


def narrow(key: np.ndarray) -> np.ndarray:
    """Return whole numbers in the smallest type that holds them: numpy sorts short ones faster."""
    if key.dtype.kind != "i" or not key.size:
        return key
    ends = np.min_scalar_type(key.min()), np.min_scalar_type(key.max())
    return key.astype(np.promote_types(*ends))
