"""The engine of one machine: points run in processes beside this one, and failed ones again.

A thread waits for each process. A process computes in one thread, lives on from point to point, and
ends with its supervisor. A Dask worker runs its points in the same way, in threads of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from queue import SimpleQueue
from socket import gethostname
from threading import Lock, Semaphore
from typing import Any

import scenarios
from learning.architecture.kinds import kind_of
from learning.methods.base import METHODS
from sim.errors import InputError, failure_code
from sim.execution.folder import is_sweep
from sim.execution.versions import check_versions
from sim.facts.status import CRASHED, FAILED, INTERRUPTED, REFUSED
from sim.sweep.engine import Engine, Outcome, Point, Submit
from sim.sweep.worker_process import LOG, Holds, WorkerProcess
from statements import refused_json

RETRIED = (FAILED, CRASHED, INTERRUPTED)
"""How a point may end that is tried once more, unless the sweep is to stop."""

ATTEMPTS = 2
"""How often a point is tried at most."""


MOST_AT_ONCE = 16
"""Points that one process runs at once at most."""


def points_at_once(points: Sequence[Point], processes: int) -> int:
    """Return how many points a process runs at once: those that train small models are quicker so.

    Their trainings are stacked (:mod:`learning.training.joint`). One model that is not small among
    them is enough to run one point at a time, as it may take much of the memory, or one method that
    is not shipped: it may use what all runs of a process share, such as a global generator.
    """
    unlike = {_deciding_keys(point): point for point in points}
    for point in unlike.values():
        learning = scenarios.load(point.scenario, point.overrides).learning
        is_small = learning.train and kind_of(learning.model.kind).taped
        if not is_small or learning.method not in METHODS.shipped:
            return 1
    return min(MOST_AT_ONCE, -(-len(points) // processes))


def _deciding_keys(point: Point) -> str:
    """Return a text of the keys that decide which model is trained, if any, and by whom."""
    deciding = ("learning.model", "learning.train", "learning.method")
    return str({key: value for key, value in point.overrides.items() if key.startswith(deciding)})


class LocalEngine(Engine):
    """Runs points in as many processes as ``holds`` says what one of them holds."""

    def __init__(self, holds: Sequence[Holds]) -> None:
        super().__init__()
        self._holds = holds
        self._at_once = 1

    @contextmanager
    def _submitting(
        self, points: Sequence[Point], folder: Path, *, cache: bool
    ) -> Iterator[Submit]:
        self._at_once = points_at_once(points, len(self._holds)) if points else 1
        alone = Semaphore(len(self._holds))
        free = SimpleQueue[Holds]()
        for held in self._holds:
            for _ in range(self._at_once):
                free.put(held)

        def submit(point: Point) -> Future[Outcome]:
            held = free.get()
            runner = PointRunner(
                point, folder, cache=cache, holds=held, at_once=self._at_once, alone=alone
            )
            ended = threads.submit(runner.run)
            ended.add_done_callback(lambda _: free.put(held))
            return ended

        with ThreadPoolExecutor(self._threads()) as threads:
            try:
                yield submit
            finally:
                kill_points([folder / point.digest for point in points])

    def _next(self, waiting: Sequence[Point], running: Iterable[Point]) -> Point:
        # Those of one start make it once if they come to one process.
        return waiting[0] if self._at_once > 1 else super()._next(waiting, running)

    def _threads(self) -> int:
        return len(self._holds) * self._at_once

    def _save(self, places: Sequence[Path]) -> None:
        stop_points(places)


class PointRunner:
    """Where one point is run, and once more where that may help unless the sweep is to stop.

    Its process runs so many points ``at_once``; the second time it has one of its own, as long as
    it holds ``alone``: all points of a process that was killed come to this at the same time.
    """

    def __init__(
        self,
        point: Point,
        folder: Path,
        *,
        cache: bool,
        holds: Holds | None = None,
        at_once: int = 1,
        alone: AbstractContextManager[object] | None = None,
    ) -> None:
        self._at_once = at_once
        self._alone = alone or nullcontext()
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
            while outcome.status in RETRIED and attempts < ATTEMPTS:
                is_first = attempts == 0
                with nullcontext() if is_first else self._alone:
                    if self._stopped:
                        break
                    outcome = self._attempt(self._at_once if is_first else 1)
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

    def _attempt(self, at_once: int) -> Outcome:
        """Run the point once, in a process that runs so many at once."""
        pool = _pools.setdefault((self._log, self._holds, at_once), ProcessPool())
        process = self._process = pool.take(
            self._point, lambda: WorkerProcess(self._log, self._holds), at_once
        )
        if self._stopped:  # while the process was being started
            process.stop()
        outcome = process.run(self._point, self._folder, cache=self._cache)
        pool.give_back(process, goes_on=outcome.status != CRASHED and not self._stopped)
        return outcome


class ProcessPool:
    """Processes that wait for points, each as often as it can run one more."""

    def __init__(self) -> None:
        self._free: list[WorkerProcess] = []
        self._lock = Lock()

    def take(self, point: Point, start: Callable[[], WorkerProcess], at_once: int) -> WorkerProcess:
        """Return one for a point: one that has the point's start if any has, or a new one."""
        with self._lock:
            if not self._free:
                self._free += [start()] * at_once
            alike = (process for process in self._free if process.start == point.start)
            process = next(alike, self._free[0])
            self._free.remove(process)
            return process

    def give_back(self, process: WorkerProcess, *, goes_on: bool) -> None:
        """Let a process run another point, unless it is to end: then it does after its last."""
        with self._lock:
            if goes_on:
                self._free.append(process)
                return
            self._free = [other for other in self._free if other is not process]
        if not process.is_busy:
            process.close()

    def close(self) -> None:
        """End the processes that wait."""
        with self._lock:
            processes = set(self._free)
            self._free.clear()
        for process in processes:
            process.close()


# Threads share these by operations that are whole in themselves.
_running: dict[Path, PointRunner] = {}
_pools: dict[tuple[Path, Holds, int], ProcessPool] = {}


def run_point(
    fields: dict[str, Any], folder: str, *, cache: bool, made_with: dict[str, str]
) -> dict[str, Any]:
    """Run the point with these fields on a Dask worker; return the fields of its outcome.

    The sweep is ``made_with`` versions that have to be those of the worker.
    """
    point = Point(**fields)
    place = Path(folder)
    if not is_sweep(place.parent):
        error = f"{place.parent} is not on {gethostname()}; workers must share the file system"
        return asdict(Outcome(point.digest, REFUSED, error))
    try:
        check_versions(made_with)
    except InputError as error:
        code, said = failure_code(error), refused_json(error)
        return asdict(Outcome(point.digest, REFUSED, str(error), code=code, said=said))
    return asdict(PointRunner(point, place, cache=cache).run())


def stop_points(places: Sequence[Path]) -> None:
    """Save and end the points that run here into these folders."""
    for runner in filter(None, map(_running.get, places)):
        runner.end(at_once=False)


def kill_points(places: Sequence[Path]) -> None:
    """End the points that run here into these folders, and the processes that wait for more."""
    for runner in filter(None, map(_running.get, places)):
        runner.end(at_once=True)
    for pool in list(_pools.values()):
        pool.close()
