"""How many samples data of a user's own kind hold."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from learning.own.raised import ANYTHING


def sample_count(data: Any) -> int | None:
    """How many samples data hold; None where they can be read as none, or in several ways.

    An array has rows, a loader those of its data set, other objects their length. A tuple and a
    dictionary hold columns of one length; a list holds samples, batches or columns.
    """
    try:
        counts = _counts_of(data)
    except (*ANYTHING, RecursionError):  # data are of a library's, or the user's own, types
        return None
    return counts.pop() if len(counts) == 1 else None


def _counts_of(data: Any, *, whole: bool = False) -> set[int]:
    """Return each number of samples that data can be read as.

    ``whole`` data, in a list, are columns or samples by themselves: a number or a text among
    them, a label or a name, says that they are one sample.
    """
    if isinstance(data, Mapping | list | tuple):
        parts = list(data.values()) if isinstance(data, Mapping) else data
        is_of_records = parts and all(isinstance(part, Mapping | tuple) for part in parts)
        if isinstance(data, list) or is_of_records:
            return _counts_of_list(parts)
        columns = [part for part in parts if not _is_single(part)]
        return set() if whole and len(columns) < len(parts) else _common(map(_counts_of, columns))
    shape = getattr(data, "shape", None)
    if isinstance(shape, tuple):
        return {int(shape[0])} if shape else set()
    if hasattr(data, "batch_size"):  # a loader, whose length is that of its batches
        data = data.sampler if hasattr(getattr(data, "sampler", None), "__len__") else data.dataset
    is_sized = hasattr(data, "__len__") and not hasattr(data, "keys") and not _is_single(data)
    return {len(data)} if is_sized else set()


def _counts_of_list(parts: Sequence[Any]) -> set[int]:
    """Return each number of samples that a list can be read as."""
    kinds = {(type(part), getattr(part, "ndim", 0)) for part in parts}
    samples = {len(parts)} if len(kinds) <= 1 or all(map(_is_single, parts)) else set()
    each: list[set[int]] = []
    for part in parts:
        each.append(set() if _is_single(part) else _counts_of(part, whole=True))
        if not each[-1]:  # then neither columns nor batches
            return samples
    return samples | _common(each) | ({sum(map(min, each))} if samples else set())


def _common(each: Iterable[set[int]]) -> set[int]:
    """Return the numbers that all have; none of nothing."""
    sets = list(each)
    return set.intersection(*sets) if sets else set()


def _is_single(part: Any) -> bool:
    """Whether a part of data is one value: a number, a text, or nothing."""
    is_plain = part is None or isinstance(part, int | float | str | bytes)
    return is_plain or getattr(part, "ndim", None) == 0
