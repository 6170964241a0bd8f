"""Arrow arrays from numpy's own memory: ``pyarrow.array`` would import pandas, half a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def array(values: Sequence[Any] | np.ndarray) -> Any:
    """Return one-dimensional ``values`` as an Arrow array.

    Numbers become int64 or float64, flags bool, datetime64 a UTC timestamp in microseconds, text
    string. Raises TypeError for anything else.
    """
    import pyarrow as pa

    data = np.asarray(values)
    if data.dtype.kind == "U":
        return _strings(data.tolist())
    if data.dtype.kind == "b":
        return _of(pa.bool_(), len(data), np.packbits(data, bitorder="little"))
    if data.dtype.kind == "M":
        stamps = data.astype("datetime64[us]")
        return _of(pa.timestamp("us", tz="UTC"), len(data), stamps.view(np.int64))
    if data.dtype.kind == "i":
        return _of(pa.int64(), len(data), data.astype(np.int64, copy=False))
    if data.dtype.kind == "f":
        return _of(pa.float64(), len(data), data.astype(np.float64, copy=False))
    raise TypeError(f"no Arrow array of numpy's {data.dtype}")


def _strings(values: list[str]) -> Any:
    import pyarrow as pa

    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)]).astype(np.int32)
    return _of(pa.string(), len(encoded), ends, b"".join(encoded))


def _of(kind: Any, count: int, *buffers: Any) -> Any:
    import pyarrow as pa

    held = [pa.py_buffer(np.ascontiguousarray(b) if hasattr(b, "dtype") else b) for b in buffers]
    return pa.Array.from_buffers(kind, count, [None, *held])
