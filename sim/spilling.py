"""Rows of a table that leave memory: runs in order of time on disk, and their merge.

Rows may be dated back, so the order of a table is known only at the end. A run holds blocks in
order of their time alone; merging gives windows of time that share no instant, and in them the
rows of each instant as they were written, whatever else they are then sorted by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from learning.requests.cluster import Floats
from sim.assembly import Block, assembled_window, in_order_of_time, times_of
from sim.file_trouble import naming

BATCH = 1 << 16
"""Rows that are read at once."""


class SortedRun(NamedTuple):
    """A file of rows in order of time, and when each batch of them begins."""

    path: Path
    first_s: tuple[float, ...]

    def batch(self, place: int) -> pa.Table:
        """Return one batch; text is dictionary-encoded."""
        with naming(self.path), pa.OSFile(str(self.path)) as file:
            return pa.Table.from_batches([pa.ipc.open_file(file).get_batch(place)])


def spill(
    name: str, blocks: Sequence[Block], words: Mapping[str, Sequence[str]], path: Path
) -> SortedRun:
    """Write blocks of the table ``name`` to ``path``, with the words of its columns of text."""
    table, times_s = in_order_of_time(name, blocks, words)
    path.parent.mkdir(parents=True, exist_ok=True)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        naming(path),
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, table.schema, options=options) as writer,
    ):
        writer.write_table(table, max_chunksize=BATCH)
    return SortedRun(path, tuple(times_s[::BATCH].tolist()))


def merged(name: str, runs: Sequence[SortedRun]) -> Iterator[pa.Table]:
    """Yield the table ``name``, whose rows are those of ``runs``, piece by piece."""
    first = 0
    for window in windows(name, runs):
        yield assembled_window(name, window, first)
        first += len(window)


def windows(name: str, runs: Sequence[SortedRun]) -> Iterator[pa.Table]:
    """Yield all rows of ``runs``, window by window of time; within one, run by run.

    What is in memory is a batch of each run that has rows of this window.
    """
    batches = sorted(
        (first_s, number, place)
        for number, run in enumerate(runs)
        for place, first_s in enumerate(run.first_s)
    )
    held: dict[tuple[int, int], tuple[pa.Table, Floats]] = {}
    for (_, number, place), following in zip(batches, [*batches[1:], None], strict=True):
        batch = runs[number].batch(place)
        held[number, place] = batch, times_of(name, batch)
        ready = []
        for key in sorted(held):
            table, times_s = held.pop(key)
            end = len(table) if following is None else int(np.searchsorted(times_s, following[0]))
            ready.append(table.slice(0, end))
            if end < len(table):
                held[key] = table.slice(end), times_s[end:]
        if any(map(len, ready)):
            yield pa.concat_tables(ready)
