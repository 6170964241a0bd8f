"""The engine of one machine: worker processes that live on from point to point."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue

from sim.sweeps.engine import ATTEMPTS, COMPLETE, CRASHED, RETRIED, Outcome, Point
from sim.sweeps.worker_process import WorkerProcess


@dataclass(frozen=True)
class _Work:
    """What the threads share: points to be run, where, and how those ended that were.

    ``heard`` is released when a point that is not complete has been told of.
    """

    waiting: deque[Point]
    folder: Path
    cache: bool
    ended: SimpleQueue[Outcome | BaseException | None]
    heard: threading.Semaphore


class LocalEngine:
    """Runs points in ``workers`` processes, each served by a thread that waits for it."""

    def __init__(self, workers: int, log: Path, lock: int | None = None) -> None:
        self._workers = workers
        self._log = log
        self._lock = lock
        self._held = False
        self._stopped = False
        self._serving: dict[int, WorkerProcess] = {}

    def run(self, points: Sequence[Point], folder: Path, cache: bool) -> Iterator[Outcome]:
        """Run ``points``, and yield how each of those that were started ended."""
        work = _Work(deque(points), folder, cache, SimpleQueue(), threading.Semaphore(0))
        left = min(self._workers, len(points))
        for number in range(left):
            threading.Thread(target=self._serve, args=(number, work), daemon=True).start()
        try:
            while left:
                outcome = work.ended.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                if outcome is None:
                    left -= 1
                else:
                    yield outcome
                    if outcome.status != COMPLETE:
                        work.heard.release()
        finally:
            if left:
                self.kill()

    def hold(self) -> None:
        """Start no more points."""
        self._held = True

    def stop(self) -> None:
        """Start no more points, and have those that run saved and ended."""
        self._held = self._stopped = True
        for worker in list(self._serving.values()):
            worker.stop()

    def kill(self) -> None:
        """End all workers now."""
        self._held = self._stopped = True
        for worker in list(self._serving.values()):
            worker.kill()

    def _serve(self, number: int, work: _Work) -> None:
        """Have one worker at a time run points, until there are no more."""
        try:
            while work.waiting and not self._held:
                try:
                    point = work.waiting.popleft()
                except IndexError:  # another thread was quicker
                    break
                outcome = self._tried(number, point, work)
                work.ended.put(outcome)
                # Whoever hears of it may have no more points started.
                if outcome.status != COMPLETE:
                    work.heard.acquire()
            if number in self._serving:
                self._serving.pop(number).close()
            work.ended.put(None)
        except BaseException as error:
            work.ended.put(error)

    def _tried(self, number: int, point: Point, work: _Work) -> Outcome:
        """Run a point, and once more where that may help."""
        attempts, notes = 0, []
        while True:
            attempts += 1
            outcome = self._worker(number).run(point, work.folder, work.cache)
            notes += [outcome.note] if outcome.note else []
            if outcome.status == CRASHED:
                self._serving.pop(number).close()
            settled = outcome.status not in RETRIED
            if settled or attempts == ATTEMPTS or self._stopped:
                return replace(outcome, attempts=attempts, note="; ".join(notes))

    def _worker(self, number: int) -> WorkerProcess:
        if number not in self._serving:
            self._serving[number] = WorkerProcess(self._log, self._lock)
            if self._stopped:  # asked for while the worker was being started
                self._serving[number].stop()
        return self._serving[number]
