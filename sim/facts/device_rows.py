"""Rows of many records together: one for each device that a record is of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from statements.arrays import Ints, Mask


class DeviceRows(NamedTuple):
    """The ``record`` and ``device`` of each row, and which of all devices of the records have one.

    What the records say of all their devices, one behind the other, is that of the rows at
    ``some``.
    """

    record: Ints
    device: Ints
    some: Ints | slice


def device_rows(masks: Sequence[Mask]) -> DeviceRows:
    """Return a row for each device in the mask (K,) of a record, in order."""
    if len(masks) == 1:
        (device,) = masks[0].nonzero()
        everybody = len(device) == len(masks[0])
        return DeviceRows(np.zeros_like(device), device, slice(None) if everybody else device)
    who = joined(masks)
    counts = np.array([len(mask) for mask in masks])
    record = np.repeat(np.arange(len(masks)), counts)
    device = np.arange(len(record)) - np.repeat(np.cumsum(counts) - counts, counts)
    some = np.flatnonzero(who)
    if len(some) == len(who):  # nearly always
        return DeviceRows(record, device, slice(None))
    return DeviceRows(record[some], device[some], some)


def joined(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """Return the arrays (K,) of some records, one behind the other."""
    return np.concatenate(list(arrays))
