"""What a sweep registers with a Dask scheduler: workers that close leave nothing running."""

from __future__ import annotations

from collections.abc import Sequence

from distributed import Worker
from distributed.diagnostics.plugin import WorkerPlugin

from sim.sweep.dask_worker import kill_points


class KillOnClose(WorkerPlugin):  # type: ignore[misc]  # Dask does not say its type
    """Ends the points of a sweep, by digest, where a worker closes or the sweep ends.

    A worker also closes when it has lost its scheduler. Without this its points would go on, while
    the sweep may have been resumed elsewhere.
    """

    def __init__(self, digests: Sequence[str], name: str) -> None:
        self.name = name
        self._digests = list(digests)

    def teardown(self, worker: Worker) -> None:
        """End what runs here."""
        kill_points(self._digests)
