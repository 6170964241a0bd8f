"""Engines of a sweep: points in, outcomes out; that of one machine; how one is asked to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from socket import gethostname
from typing import Any, NamedTuple

from sim.errors import Interrupted
from sim.execution.folder import CRASHED, FAILED, INTERRUPTED, REFUSED, is_sweep
from sim.execution.interrupt import on_signals

LOG = "workers.log"
"""What runs have printed, in the sweep's folder."""
STOP = "stop"
"""What is written to a worker, as a line of JSON, to have its point saved and ended."""
PATIENCE_S = 5.0
"""Seconds that a point which is to stop may go on with a training; then it is broken off."""
LOOK_EVERY_S = 0.5
"""Seconds between two looks at how many points may run, and whether to stop."""


@dataclass(frozen=True)
class Point:
    """One run of a sweep; all of it can be written as JSON.

    ``overrides`` are all keys over the scenario (a path, or a shipped name), ``values`` only those
    that are swept; ``digest`` names the resolved scenario and the folder of the run.
    """

    number: int
    digest: str
    scenario: str
    overrides: dict[str, Any]
    values: dict[str, Any]
    replication: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    """How a point ended; ``figures`` are those of its row, ``note`` is worth a line on stderr."""

    digest: str
    status: str
    error: str = ""
    attempts: int = 1
    figures: dict[str, Any] = field(default_factory=dict)
    note: str = ""


Submit = Callable[[Point], Future[Any]]
"""Hands a point out to a thread."""


class Engine(ABC):
    """Hands points out to threads, here or elsewhere, each with a process that runs one at a time.

    ``held``, which a signal handler may set too, lets it start no more points; those that run are
    finished, or saved and ended if it is ``stopped`` as well. ``lost`` says that no other will end.
    """

    def __init__(self) -> None:
        self.lost = self.held = self.stopped = False

    def run(
        self, points: Sequence[Point], folder: Path, cache: bool
    ) -> Generator[Outcome, None, None]:
        """Run ``points`` (no two of one digest) in ``folder/DIGEST`` and yield how each ended.

        As many are handed out at a time as there are threads. Outcomes come as they come, one a
        point that was started: a point that failed or crashed has been tried twice by then.
        ``cache`` uses the store of training results. What still runs when this is left is killed.
        """
        waiting, busy, asked = deque(points), dict[Future[Any], Path](), False
        with self._submitting(points, folder, cache) as submit:
            while not self.lost and (busy or (waiting and not self.held)):
                while waiting and not self.held and len(busy) < self._threads():
                    point = waiting.popleft()
                    busy[submit(point)] = folder / point.digest
                if self.stopped and not asked:
                    asked = True
                    self._save(list(busy.values()))
                for future in wait(busy, LOOK_EVERY_S, FIRST_COMPLETED).done:
                    if not self.lost:
                        yield self._outcome(busy.pop(future).name, future)

    @abstractmethod
    def _submitting(
        self, points: Sequence[Point], folder: Path, cache: bool
    ) -> AbstractContextManager[Submit]:
        """Yield what hands a point out; end what still runs when this is left."""

    @abstractmethod
    def _threads(self) -> int:
        """How many points may be handed out at a time, one at least."""

    @abstractmethod
    def _save(self, places: Sequence[Path]) -> None:
        """Have the points saved and ended that run in these folders."""

    def _outcome(self, digest: str, future: Future[Any]) -> Outcome:
        """Return how a point ended; ``lost`` is set where no other will ever end."""
        outcome: Outcome = future.result()
        return outcome


# Ctrl-C of a sweep: the first has what runs saved, or broken off; the second ends it at once.


@contextmanager
def asking_to_stop(engine: Engine, max_wall_s: float) -> Iterator[Callable[[], bool]]:
    """Stop ``engine`` on a signal and after ``max_wall_s``; yield what tells whether it was."""
    asked = False

    def stop(why: str) -> None:
        nonlocal asked
        asked = True
        engine.held = engine.stopped = True
        print(
            f"{why}: what runs is being saved; a training that takes longer than "
            f"{PATIENCE_S:.0f} s is broken off, and done again with --resume (Ctrl-C to end at "
            "once)",
            file=sys.stderr,
        )

    def ask() -> None:
        if asked:
            raise Interrupted("stopped at once")
        stop("stopping")

    last = threading.Timer(min(max_wall_s, threading.TIMEOUT_MAX), stop, ("wall time is over",))
    last.daemon = True
    with on_signals(ask):
        last.start()
        try:
            yield lambda: asked
        finally:
            last.cancel()


# Points run in processes beside the threads of this one, and tried again that failed. The engine of
# one machine has a thread for each process; a Dask worker lends its threads. A process has one
# thread to compute in, lives on from point to point, and ends with the one beside it.


RETRIED = (FAILED, CRASHED, INTERRUPTED)
"""How a point may end that is tried once more, unless the sweep is to stop."""

ATTEMPTS = 2
"""How often a point is tried at most."""


class Holds(NamedTuple):
    """What a worker process holds as long as it lives: the ``lock`` of the sweep's folder.

    Of CUDA devices it sees those that ``CUDA_VISIBLE_DEVICES`` names ``visible``, with None all.
    """

    lock: int | None = None
    visible: str | None = None


class LocalEngine(Engine):
    """Runs points in as many processes as ``holds`` says what one of them holds."""

    def __init__(self, holds: Sequence[Holds]) -> None:
        super().__init__()
        self._holds = holds

    @contextmanager
    def _submitting(self, points: Sequence[Point], folder: Path, cache: bool) -> Iterator[Submit]:
        free = SimpleQueue[Holds]()
        for one in self._holds:
            free.put(one)

        def submit(point: Point) -> Future[Outcome]:
            one = free.get()
            ended = threads.submit(PointRunner(point, folder, cache, one).run)
            ended.add_done_callback(lambda _: free.put(one))
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

    def __init__(self, point: Point, folder: Path, cache: bool, holds: Holds | None = None) -> None:
        self._run = point, folder, cache
        self._of = folder.parent / LOG, holds or Holds()
        self._place = folder / point.digest
        self._process: WorkerProcess | None = None
        self._stopped = False
        _running[self._place] = self

    def run(self) -> Outcome:
        """Run the point in a process, an idle one if there is one."""
        outcome, notes, attempts = Outcome(self._place.name, INTERRUPTED), list[str](), 0
        try:
            while outcome.status in RETRIED and attempts < ATTEMPTS and not self._stopped:
                outcome, attempts = self._attempt(), attempts + 1
                notes += [outcome.note] if outcome.note else []
        finally:
            _running.pop(self._place, None)
        return replace(outcome, attempts=max(attempts, 1), note="; ".join(notes))

    def end(self, at_once: bool) -> None:
        """End the point, ``at_once`` or after it was saved."""
        self._stopped = True
        if self._process is not None:
            self._process.kill() if at_once else self._process.stop()

    def _attempt(self) -> Outcome:
        try:
            process = _idle.setdefault(self._of, []).pop()
        except IndexError:
            process = WorkerProcess(*self._of)
        self._process = process
        if self._stopped:  # while the process was being started
            process.stop()
        outcome = process.run(*self._run)
        if outcome.status == CRASHED or self._stopped:
            process.close()
        else:
            _idle[self._of].append(process)
        return outcome


# Threads share these by operations that are whole in themselves.
_running: dict[Path, PointRunner] = {}
_idle: dict[tuple[Path, Holds], list[WorkerProcess]] = {}


def run_point(said: dict[str, Any], folder: str, cache: bool) -> dict[str, Any]:
    """Run a point, said in plain values, on a Dask worker; return its outcome as such."""
    point, place = Point(**said), Path(folder)
    if not is_sweep(place.parent):
        where = f"{place.parent} is not on {gethostname()}; workers must share the file system"
        return asdict(Outcome(point.digest, REFUSED, where))
    return asdict(PointRunner(point, place, cache).run())


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


THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"),
)
"""Environment variables that set how many threads libraries use: one in a worker."""


class WorkerProcess:
    """Runs one point at a time, in a session of its own: Ctrl-C reaches the supervisor only."""

    def __init__(self, log: Path, holds: Holds) -> None:
        alone = {} if holds.visible is None else {"CUDA_VISIBLE_DEVICES": holds.visible}
        # It looks into the working directory only if this process does.
        path = [] if sys.path[0] in ("", str(Path.cwd())) else ["-P"]
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, *path, "-m", "sim.sweep.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **alone, **dict.fromkeys(THREADS, "1")},
                start_new_session=True,
                pass_fds=() if holds.lock is None else (holds.lock,),
            )
        self._writing = threading.Lock()

    def run(self, point: Point, folder: Path, cache: bool, limit_s: float | None = None) -> Outcome:
        """Run a point, or try it for so long; if the worker dies, the point has crashed."""
        assert self._process.stdout is not None  # a pipe
        what = {"point": asdict(point), "folder": str(folder), "cache": cache, "limit_s": limit_s}
        self._say(what)
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
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process: there are no more points."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None  # both are pipes
            with self._writing, suppress(BrokenPipeError):
                pipe.close()
        self._process.wait()

    def _say(self, said: Any) -> None:
        assert self._process.stdin is not None  # a pipe
        # A worker that is gone (or closed) is noticed by its missing answer.
        with self._writing, suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(json.dumps(said).encode() + b"\n")
            self._process.stdin.flush()


LIMIT_S = 10.0
"""How long a point is tried."""


def tried(point: Point, limit_s: float = LIMIT_S, holds: Holds | None = None) -> Outcome:
    """Try a point for ``limit_s`` behind its first event at most, in a worker of its own.

    Complete is also one that was ended when its time was up; its figures are those of ``measured``.
    """
    with tempfile.TemporaryDirectory() as folder:
        worker = WorkerProcess(Path(folder) / LOG, holds or Holds())
        try:
            return worker.run(point, Path(folder), False, limit_s)
        finally:
            worker.kill()
            worker.close()


def _death(code: int) -> str:
    if code >= 0:
        return f"its process ended with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    memory = " (out of memory?)" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}"
