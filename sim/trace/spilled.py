"""Rows of a table that leave memory: runs in order on disk, and their merge."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from learning.requests.cluster import Floats
from sim.files import naming
from sim.trace.blocks import in_order, numbered, of_table, times_of
from sim.trace.schema import COLUMNS

BATCH = 1 << 16
"""Rows that are read at once."""


class SortedRun(NamedTuple):
    """A file of rows in the order of their key, and when each batch of them begins."""

    path: Path
    first_s: tuple[float, ...]

    def batch(self, place: int) -> pa.Table:
        """Return one batch; text is dictionary-encoded."""
        with naming(self.path), pa.OSFile(str(self.path)) as file:
            return pa.Table.from_batches([pa.ipc.open_file(file).get_batch(place)])


def merged(name: str, runs: Sequence[SortedRun]) -> Iterator[pa.Table]:
    """Yield the table ``name``, whose rows are those of ``runs``, window by window of time.

    What is in memory is a batch of each run that has rows of this window.
    """
    first = 0
    batches = sorted(
        (first_s, number, place)
        for number, run in enumerate(runs)
        for place, first_s in enumerate(run.first_s)
    )
    held: dict[tuple[int, int], tuple[pa.Table, Floats]] = {}
    for (_, number, place), following in zip(batches, [*batches[1:], None], strict=True):
        batch = runs[number].batch(place)
        held[number, place] = batch, times_of(name, of_table(name, batch))
        ready = []
        for key in sorted(held):
            table, times_s = held.pop(key)
            end = len(table) if following is None else int(np.searchsorted(times_s, following[0]))
            ready.append(table.slice(0, end))
            if end < len(table):
                held[key] = table.slice(end), times_s[end:]
        some = [table for table in ready if len(table)]
        if some:
            yield numbered(name, _joined(name, some), first)
            first += sum(map(len, some))


def _joined(name: str, parts: Sequence[pa.Table]) -> pa.Table:
    """Return rows of some runs, at least one, in order; those of one run are in order already."""
    columns = of_table(name, pa.concat_tables(parts, promote_options="default"))
    if len(parts) > 1:
        return in_order(name, columns)
    return pa.table({key: columns(key) for key in COLUMNS[name]})


def write_run(path: Path, name: str, rows: pa.Table) -> SortedRun:
    """Write rows of the table ``name``, which are in order, to a file.

    Columns that are null in all of them are left out, but for the first, which keeps their number.
    """
    times_s = times_of(name, of_table(name, rows))
    kept = [key for key in rows.column_names[1:] if rows.column(key).null_count < len(rows)]
    rows = rows.select([rows.column_names[0], *kept])
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        naming(path),
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, rows.schema, options=options) as writer,
    ):
        writer.write_table(rows, max_chunksize=BATCH)
    return SortedRun(path, tuple(times_s[::BATCH].tolist()))
