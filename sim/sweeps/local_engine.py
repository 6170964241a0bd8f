"""The engine of one machine: worker processes that live on from point to point."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

from sim.sweeps.engine import ATTEMPTS, INTERRUPTED, RETRIED, Outcome, Point
from sim.sweeps.worker_process import WorkerProcess


class LocalEngine:
    """Runs points in ``workers`` processes; each is served by a thread that waits for it."""

    def __init__(self, workers: int, log: Path, lock: int | None = None) -> None:
        self._workers = workers
        self._log = log
        self._lock = lock
        self._held = False
        self._running: dict[int, WorkerProcess] = {}

    def run(self, points: Sequence[Point], folder: Path, cache: bool) -> Iterator[Outcome]:
        """Run ``points``, and yield how each of those that were started ended."""
        waiting = deque(points)
        ended: SimpleQueue[Outcome | None] = SimpleQueue()
        threads = [
            threading.Thread(target=self._serve, args=(number, waiting, ended, folder, cache))
            for number in range(min(self._workers, len(points)))
        ]
        for thread in threads:
            thread.daemon = True
            thread.start()
        left = len(threads)
        while left:
            outcome = ended.get()
            if outcome is None:
                left -= 1
            else:
                yield outcome
