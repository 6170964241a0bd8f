"""The engine of one machine: worker processes, and points tried again that failed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from sim.execution.folder import COMPLETE, CRASHED
from sim.sweep.engine import Outcome, Point, with_retries
from sim.sweep.worker import STOP


@dataclass(frozen=True)
class _Work:
    """What the threads share: points to be run, where, and how those ended that were.

    ``heard`` is released when the outcome of an incomplete point was taken.
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
        """Let one worker at a time run points, until there are no more."""
        try:
            while work.waiting and not self._held:
                try:
                    point = work.waiting.popleft()
                except IndexError:  # another thread was quicker
                    break
                attempt = partial(self._attempt, number, point, work)
                outcome = with_retries(attempt, lambda: self._stopped)
                work.ended.put(outcome)
                # Who takes the outcome may decide to start no more points.
                if outcome.status != COMPLETE:
                    work.heard.acquire()
            if number in self._serving:
                self._serving.pop(number).close()
            work.ended.put(None)
        except BaseException as error:
            work.ended.put(error)

    def _attempt(self, number: int, point: Point, work: _Work) -> Outcome:
        outcome = self._worker(number).run(point, work.folder, work.cache)
        if outcome.status == CRASHED:
            self._serving.pop(number).close()
        return outcome

    def _worker(self, number: int) -> WorkerProcess:
        if number not in self._serving:
            self._serving[number] = WorkerProcess(self._log, self._lock)
            if self._stopped:  # asked for while the worker was being started
                self._serving[number].stop()
        return self._serving[number]


# A worker process as the supervisor sees it.


THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Environment variables that set how many threads libraries use."""


class WorkerProcess:
    """Runs one point at a time, in a session of its own: Ctrl-C reaches the supervisor only."""

    def __init__(self, log: Path, lock: int | None) -> None:
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [*python(), "-m", "sim.sweep.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=one_thread(),
                start_new_session=True,
                # Held as long as the worker lives: nobody else sweeps in its folder until then.
                pass_fds=() if lock is None else (lock,),
            )
        self._writing = threading.Lock()

    def run(self, point: Point, folder: Path, cache: bool) -> Outcome:
        """Run a point; if the worker dies, the point has crashed."""
        assert self._process.stdout is not None  # a pipe
        self._say({"point": asdict(point), "folder": str(folder), "cache": cache})
        answer = self._process.stdout.readline()
        # A worker that is killed while it answers leaves half a line.
        if answer.endswith(b"\n"):
            return Outcome(**json.loads(answer))
        return Outcome(point.digest, CRASHED, _death(self._process.wait()))

    def stop(self) -> None:
        """Ask for what is running to be saved and ended."""
        self._say(STOP)

    def kill(self) -> None:
        """End the process, and what it has started, now."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process: there are no more points."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None  # both are pipes
            with self._writing, contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._process.wait()

    def _say(self, said: Any) -> None:
        assert self._process.stdin is not None  # a pipe
        # A worker that is gone (or closed) is noticed by its missing answer.
        with self._writing, contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(json.dumps(said).encode() + b"\n")
            self._process.stdin.flush()


def python() -> list[str]:
    """Return this Python; it looks into the working directory only if this process does."""
    return [sys.executable, *([] if sys.path[0] in ("", str(Path.cwd())) else ["-P"])]


def one_thread() -> dict[str, str]:
    """Return the environment of a process that computes in one thread."""
    return {**os.environ, **dict.fromkeys(THREADS, "1")}


def _death(code: int) -> str:
    if code >= 0:
        return f"its process ended with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    memory = " (out of memory?)" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}"
