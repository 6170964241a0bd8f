"""How many samples data of a user's own kind hold."""

from collections.abc import Iterable, Mapping
from typing import Any

from learning.own.raised import ANYTHING


def sample_count(data: Any) -> int | None:
    """How many samples data hold; None where they can be read as none, or in several ways.

    An array has rows, a loader those of its data set, other objects their length. A tuple and a
    dictionary hold columns of one length. In a list of anything but numbers and texts may be
    samples, batches or columns.
    """
    try:
        if isinstance(data, Mapping | tuple):
            parts = list(data.values()) if isinstance(data, Mapping) else data
            return _common(_length(part) for part in parts if not _is_single(part))
        return _length(data)
    except (*ANYTHING, RecursionError):  # data are of a library's, or the user's own, types
        return None


def _length(data: Any) -> int | None:
    """Return the samples of what holds no further columns."""
    shape = getattr(data, "shape", None)
    if isinstance(shape, tuple):
        return int(shape[0]) if shape else None
    if isinstance(data, Mapping | tuple) or _is_single(data):
        return None
    if isinstance(data, list) and not all(map(_is_single, data)):
        return None
    if hasattr(data, "batch_size"):  # a loader, whose length is that of its batches
        data = data.sampler if hasattr(getattr(data, "sampler", None), "__len__") else data.dataset
    return len(data) if hasattr(data, "__len__") and not hasattr(data, "keys") else None


def _common(lengths: Iterable[int | None]) -> int | None:
    """Return the length that all have; None where they differ."""
    distinct = set(lengths)
    return distinct.pop() if len(distinct) == 1 else None


def _is_single(part: Any) -> bool:
    """Whether a part of data is one value: a number, a text, or nothing."""
    is_plain = part is None or isinstance(part, int | float | str | bytes)
    return is_plain or getattr(part, "ndim", None) == 0
