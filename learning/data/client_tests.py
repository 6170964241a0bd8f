"""The test samples of single clients: those of clusters, split as their devices' training samples.

Of each label a device has the share that it has among the training samples; who has most of it is
not drawn anew. Where targets are no labels, its share of all samples counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from learning.data.partition import rows_by_holder
from learning.data.samples import Rows, SampleArrays
from learning.rng import stream

Sets = Mapping[str, SampleArrays]
Parts = dict[str, tuple[SampleArrays, ...]]
"""The samples of each device, by cluster."""


def of_devices(sets: Sets, owners: Mapping[str, Rows], devices: Sequence[int]) -> Parts:
    """Return the samples of ``sets`` by the device (n,) of its cluster that each comes from."""
    return {
        name: tuple(map(own.at, rows_by_holder(owners[name], count)))
        for (name, own), count in zip(sets.items(), devices, strict=True)
    }


def split_like(
    sets: Sets, shards: Mapping[str, Sequence[SampleArrays]], seed: int, what: str
) -> Parts:
    """Split the samples of ``sets`` over the devices as their training samples in ``shards`` are.

    Clusters that hold the same samples share them. A device may get none. Who gets which is drawn
    from a stream of ``what`` they are.
    """
    alike: dict[int, list[str]] = {}
    for name, own in sets.items():
        alike.setdefault(id(own.x), []).append(name)
    parts: Parts = {}
    for members in alike.values():
        own = sets[members[0]]
        held = [shard.y for name in members for shard in shards[name]]
        owner = _owners(own.y, held, stream(seed, what, "of clients", members[0]))
        rows = iter(rows_by_holder(owner, len(held)))
        for name in members:
            parts[name] = tuple(own.at(next(rows)) for _ in shards[name])
    return parts


def _owners(y: np.ndarray, held: Sequence[np.ndarray], rng: np.random.Generator) -> Rows:
    """Return the holder (n,) of each of n samples, by the targets that holders train on."""
    if y.ndim > 1 or y.dtype.kind == "f":
        y, *held = (np.zeros(len(one), np.int64) for one in (y, *held))
    owner = np.empty(len(y), np.int64)
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        places = rng.permutation(len(held))  # so that rounding favours nobody
        counts = np.array([np.count_nonzero(held[place] == label) for place in places])
        weights = counts if counts.any() else np.ones(len(held))
        ends = np.rint(np.cumsum(weights) / weights.sum() * len(rows)).astype(np.int64)
        owner[rows] = places[np.searchsorted(ends, np.arange(len(rows)), side="right")]
    return owner
