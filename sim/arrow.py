"""Arrow arrays from numpy's own memory: ``pyarrow.array`` would import pandas, half a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

CHUNK = 1 << 20
"""Rows of text in one piece: an Arrow array of strings holds 2 GiB at most."""


def array(values: Sequence[Any] | np.ndarray, missing: np.ndarray | None = None) -> Any:
    """Return one-dimensional ``values`` as an Arrow array; those that are ``missing`` are null.

    Numbers become int64 or float64, flags bool, datetime64 a UTC timestamp in microseconds, text
    string. Raises TypeError for anything else.
    """
    import pyarrow as pa

    data = np.asarray(values)
    if data.dtype.kind == "U" and missing is None:
        return _strings(data.tolist())
    known = None if missing is None else np.packbits(~missing, bitorder="little")
    if data.dtype.kind == "b":
        return _of(pa.bool_(), len(data), np.packbits(data, bitorder="little"), known=known)
    if data.dtype.kind == "M":
        stamps = data.astype("datetime64[us]")
        return _of(pa.timestamp("us", tz="UTC"), len(data), stamps.view(np.int64), known=known)
    if data.dtype.kind == "i":
        return _of(pa.int64(), len(data), data.astype(np.int64, copy=False), known=known)
    if data.dtype.kind == "f":
        return _of(pa.float64(), len(data), data.astype(np.float64, copy=False), known=known)
    raise TypeError(f"no Arrow array of numpy's {data.dtype}")


def coded_text(codes: np.ndarray, words: Sequence[str]) -> Any:
    """Return an Arrow column of text: row i has ``words[codes[i]]``; a negative code is null."""
    import pyarrow as pa

    said = _strings(list(words))
    pieces = [_decoded(codes[at : at + CHUNK], said) for at in range(0, len(codes), CHUNK)]
    return pa.chunked_array(pieces, pa.string())


def dictionary(codes: np.ndarray, words: Sequence[str]) -> Any:
    """Return the same text as a dictionary and codes of it, in one piece."""
    return _dictionary(codes, _strings(list(words)))


def _decoded(codes: np.ndarray, words: Any) -> Any:
    import pyarrow as pa

    return _dictionary(codes, words).cast(pa.string())


def _dictionary(codes: np.ndarray, words: Any) -> Any:
    import pyarrow as pa

    known = np.packbits(codes >= 0, bitorder="little") if (codes < 0).any() else None
    numbers = _of(pa.int32(), len(codes), codes.astype(np.int32, copy=False), known=known)
    return pa.DictionaryArray.from_arrays(numbers, words)


def _strings(values: list[str]) -> Any:
    import pyarrow as pa

    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)]).astype(np.int32)
    return _of(pa.string(), len(encoded), ends, b"".join(encoded))


def _of(kind: Any, count: int, *buffers: Any, known: np.ndarray | None = None) -> Any:
    import pyarrow as pa

    held = [pa.py_buffer(np.ascontiguousarray(b) if hasattr(b, "dtype") else b) for b in buffers]
    return pa.Array.from_buffers(
        kind, count, [None if known is None else pa.py_buffer(known), *held]
    )
