"""Arrow arrays from numpy and back, without pandas.

Arrow imports pandas, which takes longer than a small run, to look at a value of Python or numpy
that it is given, and to make an array of numpy. Buffers it takes and gives as they are.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np


class _Lazy:
    """Arrow, imported when something of it is asked for: commands that print need none of it."""

    def __getattr__(self, name: str) -> Any:
        import pyarrow

        return getattr(pyarrow, name)


pa = _Lazy()

CHUNK = 1 << 20
"""Rows of text in one piece: an Arrow array of strings holds 2 GiB at most."""


ROW_BYTES = 250
"""Memory for a row of the traces: blocks and sorted tables, or a table and what is made of it."""


def share_memory() -> None:
    """Let Arrow take its memory where numpy does, unless the environment says otherwise.

    Arrow's own pool gives large pieces back to the system at once, which then clears them anew for
    each column: a tenth of the time that tables take.
    """
    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        pa.set_memory_pool(pa.system_memory_pool())


def array(values: Sequence[Any] | np.ndarray, missing: np.ndarray | None = None) -> Any:
    """Return one-dimensional ``values`` as an Arrow array; those that are ``missing`` are null.

    Numbers become int64 or float64, flags bool, datetime64 a UTC timestamp in microseconds, text
    string. Raises TypeError for anything else.
    """
    data = np.asarray(values)
    if data.dtype.kind == "U" and missing is None:
        return _strings(data.tolist())
    known = None if missing is None else np.packbits(~missing, bitorder="little")
    if data.dtype.kind == "b":
        return _of(pa.bool_(), len(data), np.packbits(data, bitorder="little"), known=known)
    stamp = pa.timestamp("us", tz="UTC")
    kinds = {"M": (stamp, "M8[us]"), "i": (pa.int64(), "i8"), "f": (pa.float64(), "f8")}
    if data.dtype.kind not in kinds:
        raise TypeError(f"no Arrow array of numpy's {data.dtype}")
    kind, as_kind = kinds[data.dtype.kind]
    values = np.ascontiguousarray(data.astype(as_kind, copy=False))
    return _of(kind, len(data), values.view("u1"), known=known)


def coded_text(codes: np.ndarray, words: Sequence[str]) -> Any:
    """Return an Arrow column of text: row i has ``words[codes[i]]``; a negative code is null."""
    said = _strings(list(words))
    pieces = [dictionary(codes[at : at + CHUNK], said) for at in range(0, len(codes), CHUNK)]
    return pa.chunked_array([piece.cast(pa.string()) for piece in pieces], pa.string())


def dictionary(codes: np.ndarray, words: Any) -> Any:
    """Return the same text as a dictionary, Arrow's or not, and codes of it, in one piece."""
    said = words if isinstance(words, pa.Array) else _strings(list(words))
    known = np.packbits(codes >= 0, bitorder="little") if (codes < 0).any() else None
    numbers = _of(pa.int32(), len(codes), codes.astype(np.int32, copy=False), known=known)
    return pa.DictionaryArray.from_arrays(numbers, said)


def _strings(values: list[str]) -> Any:
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)]).astype(np.int32)
    return _of(pa.string(), len(encoded), ends, b"".join(encoded))


def _of(kind: Any, count: int, *buffers: Any, known: np.ndarray | None = None) -> Any:
    held = [pa.py_buffer(np.ascontiguousarray(b) if hasattr(b, "dtype") else b) for b in buffers]
    return pa.Array.from_buffers(
        kind, count, [None if known is None else pa.py_buffer(known), *held]
    )


def word(text: str) -> Any:
    """Return ``text`` as a scalar of Arrow's, to compare a column with."""
    return _strings([text])[0]


def as_numpy(column: Any, missing: float = np.nan) -> np.ndarray:
    """Return a column of numbers or flags as a numpy array, with ``missing`` for what is null.

    Time stamps become whole numbers of their unit. The array may be read only.
    """
    kind = column.type
    is_flag = pa.types.is_boolean(column.type)
    number = f"{'f' if pa.types.is_floating(kind) else 'i'}{kind.bit_width // 8}"
    parts = [np.zeros(0, np.bool_ if is_flag else number)]
    for chunk in getattr(column, "chunks", [column]):
        held = chunk.cast(pa.uint8()) if is_flag else chunk
        end = held.offset + len(held)
        buffer = held.buffers()[1] or b""
        values = np.frombuffer(buffer, parts[0].dtype, end)[held.offset :]
        nulls = as_numpy(chunk.is_null()) if chunk.null_count else None
        parts.append(values if nulls is None else np.where(nulls, missing, values))
    return parts[-1] if len(parts) <= 2 else np.concatenate(parts)
