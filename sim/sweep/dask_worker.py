"""What a Dask worker does for a sweep: each of its threads runs points in a process beside it.

The process is that of the local engine, with one thread to compute in. It lives on from point to
point, and ends with the Dask worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from socket import gethostname
from threading import Lock
from typing import Any

from sim.execution.folder import CRASHED, INTERRUPTED, REFUSED, SWEEP
from sim.sweep.engine import Outcome, Point, with_retries
from sim.sweep.folder import LOG
from sim.sweep.local_engine import WorkerProcess


class PointRunner:
    """Where one point is run."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: WorkerProcess | None = None
        self._stopped = False

    def run(self, point: Point, folder: Path, cache: bool) -> Outcome:
        """Run a point, and once more where that may help."""
        if self._stopped:
            return Outcome(point.digest, INTERRUPTED)
        return with_retries(lambda: self._attempt(point, folder, cache), lambda: self._stopped)

    def stop(self) -> None:
        """Save and end the point."""
        self._stopped = True
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """End the point now."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def _attempt(self, point: Point, folder: Path, cache: bool) -> Outcome:
        process = self._process = _taken(self._log)
        if self._stopped:  # while the process was being started
            process.stop()
        outcome = process.run(point, folder, cache)
        if outcome.status == CRASHED or self._stopped:
            process.close()
        else:
            with _lock:
                _idle.append((self._log, process))
        return outcome


_running: dict[str, PointRunner] = {}
_idle: list[tuple[Path, WorkerProcess]] = []
_lock = Lock()


def run_point(said: dict[str, Any], folder: str, cache: bool) -> dict[str, Any]:
    """Run a point, said in plain values, and return its outcome as such."""
    point, place = Point(**said), Path(folder)
    if not (place.parent / SWEEP).is_file():
        where = f"{place.parent} is not on {gethostname()}; workers must share the file system"
        return asdict(Outcome(point.digest, REFUSED, where))
    runner = _running[point.digest] = PointRunner(place.parent / LOG)
    try:
        return asdict(runner.run(point, place, cache))
    finally:
        _running.pop(point.digest, None)


def stop_points(digests: Sequence[str]) -> None:
    """Save and end those of the points that run here."""
    for runner in _runners(digests):
        runner.stop()


def kill_points(digests: Sequence[str]) -> None:
    """End those of the points that run here, and the processes that wait for more."""
    for runner in _runners(digests):
        runner.kill()
    with _lock:
        for _, process in _idle:
            process.close()
        _idle.clear()


def _runners(digests: Sequence[str]) -> list[PointRunner]:
    return [runner for digest in digests if (runner := _running.get(digest))]


def _taken(log: Path) -> WorkerProcess:
    """Return a process whose prints go to ``log``, an idle one if there is one."""
    with _lock:
        for entry in _idle:
            if entry[0] == log:
                _idle.remove(entry)
                return entry[1]
    return WorkerProcess(log, None)
