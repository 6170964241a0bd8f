"""The engine of one machine: points run in processes beside this one, and failed ones again.

A thread waits for each process. A process computes in one thread, lives on from point to point, and
ends with its supervisor. A Dask worker runs its points in the same way, in threads of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from queue import SimpleQueue
from socket import gethostname
from typing import Any

from sim.execution.folder import is_sweep
from sim.execution.status import CRASHED, FAILED, INTERRUPTED, REFUSED
from sim.sweep.engine import Engine, Outcome, Point, Submit
from sim.sweep.worker_process import LOG, Holds, WorkerProcess

RETRIED = (FAILED, CRASHED, INTERRUPTED)
"""How a point may end that is tried once more, unless the sweep is to stop."""

ATTEMPTS = 2
"""How often a point is tried at most."""


class LocalEngine(Engine):
    """Runs points in as many processes as ``holds`` says what one of them holds."""

    def __init__(self, holds: Sequence[Holds]) -> None:
        super().__init__()
        self._holds = holds

    @contextmanager
    def _submitting(
        self, points: Sequence[Point], folder: Path, *, cache: bool
    ) -> Iterator[Submit]:
        free = SimpleQueue[Holds]()
        for held in self._holds:
            free.put(held)

        def submit(point: Point) -> Future[Outcome]:
            held = free.get()
            ended = threads.submit(PointRunner(point, folder, cache=cache, holds=held).run)
            ended.add_done_callback(lambda _: free.put(held))
            return ended

        with ThreadPoolExecutor(self._threads()) as threads:
            try:
                yield submit
            finally:
                kill_points([folder / point.digest for point in points])

    def _threads(self) -> int:
        return len(self._holds)

    def _save(self, places: Sequence[Path]) -> None:
        stop_points(places)


class PointRunner:
    """Where one point is run, and once more where that may help unless the sweep is to stop."""

    def __init__(
        self, point: Point, folder: Path, *, cache: bool, holds: Holds | None = None
    ) -> None:
        self._point = point
        self._folder = folder
        self._cache = cache
        self._log = folder.parent / LOG
        self._holds = holds or Holds()
        self._place = folder / point.digest
        self._process: WorkerProcess | None = None
        self._stopped = False
        _running[self._place] = self

    def run(self) -> Outcome:
        """Run the point in a process, an idle one if there is one."""
        outcome = Outcome(self._place.name, INTERRUPTED)
        notes: list[str] = []
        attempts = 0
        try:
            while outcome.status in RETRIED and attempts < ATTEMPTS and not self._stopped:
                outcome = self._attempt()
                attempts += 1
                notes += [outcome.note] if outcome.note else []
        finally:
            _running.pop(self._place, None)
        return replace(outcome, attempts=max(attempts, 1), note="; ".join(notes))

    def end(self, *, at_once: bool) -> None:
        """End the point, ``at_once`` or after it was saved."""
        self._stopped = True
        if self._process is not None:
            end = self._process.kill if at_once else self._process.stop
            end()

    def _attempt(self) -> Outcome:
        idle = _idle.setdefault((self._log, self._holds), [])
        process = self._process = self._taken(idle) or WorkerProcess(self._log, self._holds)
        if self._stopped:  # while the process was being started
            process.stop()
        outcome = process.run(self._point, self._folder, cache=self._cache)
        if outcome.status == CRASHED or self._stopped:
            process.close()
        else:
            idle.append(process)
        return outcome

    def _taken(self, idle: list[WorkerProcess]) -> WorkerProcess | None:
        """Take a process out of those that are idle, one that has the point's start if any has."""
        for process in sorted(idle, key=lambda one: one.start != self._point.start):
            with suppress(ValueError):  # another thread has just taken it
                idle.remove(process)
                return process
        return None


# Threads share these by operations that are whole in themselves.
_running: dict[Path, PointRunner] = {}
_idle: dict[tuple[Path, Holds], list[WorkerProcess]] = {}


def run_point(fields: dict[str, Any], folder: str, *, cache: bool) -> dict[str, Any]:
    """Run the point with these fields on a Dask worker; return the fields of its outcome."""
    point = Point(**fields)
    place = Path(folder)
    if not is_sweep(place.parent):
        error = f"{place.parent} is not on {gethostname()}; workers must share the file system"
        return asdict(Outcome(point.digest, REFUSED, error))
    return asdict(PointRunner(point, place, cache=cache).run())


def stop_points(places: Sequence[Path]) -> None:
    """Save and end the points that run here into these folders."""
    for runner in filter(None, map(_running.get, places)):
        runner.end(at_once=False)


def kill_points(places: Sequence[Path]) -> None:
    """End the points that run here into these folders, and the processes that wait for more."""
    for runner in filter(None, map(_running.get, places)):
        runner.end(at_once=True)
    for processes in list(_idle.values()):
        while processes:
            processes.pop().close()
