"""A worker process as its supervisor sees it: points in and outcomes out, as lines of JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from sim.execution.versions import versions
from sim.facts.status import CRASHED
from sim.process.installation import HOME
from sim.sweep.engine import Outcome, Point

LOG = "workers.log"
"""What runs have printed, in the sweep's folder."""
STOP = "stop"
"""What is written to a worker, as a line of JSON, to have its point saved and ended."""


class Holds(NamedTuple):
    """What a worker process holds as long as it lives: the ``lock`` of the sweep's folder.

    Of CUDA devices it sees those that ``CUDA_VISIBLE_DEVICES`` names ``visible``, with None all.
    """

    lock: int | None = None
    visible: str | None = None


THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Environment variables that set how many threads libraries use: one in a worker."""


class WorkerProcess:
    """Runs points, in a session of its own: Ctrl-C reaches the supervisor only.

    Threads may have it run one point each at the same time. ``start`` is that of the point that
    came last, whose data and start model it has.
    """

    def __init__(self, log: Path, holds: Holds) -> None:
        self.start = ""
        alone = {} if holds.visible is None else {"CUDA_VISIBLE_DEVICES": holds.visible}
        # It looks into the working directory only if leomix itself lies there.
        path = [] if Path.cwd() == HOME else ["-P"]
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
        self._running = dict[str, SimpleQueue[Outcome | None]]()
        self._is_gone = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def is_busy(self) -> bool:
        """Whether it runs any point."""
        return bool(self._running)

    def run(
        self, point: Point, folder: Path, *, cache: bool, limit_s: float | None = None
    ) -> Outcome:
        """Run a point, or try it for so long; if the worker dies, the point has crashed."""
        self.start = point.start
        ended = SimpleQueue[Outcome | None]()
        self._running[point.digest] = ended
        self._send(
            {
                "point": asdict(point),
                "folder": str(folder),
                "cache": cache,
                "made_with": versions(),
                "limit_s": limit_s,
            }
        )
        if self._is_gone:  # perhaps nobody has seen the point among those that run
            ended.put(None)
        outcome = ended.get()
        self._running.pop(point.digest, None)
        return outcome or Outcome(point.digest, CRASHED, _death(self._process.wait()))

    def _read(self) -> None:
        """Hand out the outcomes, and tell the points that are left that the process is gone."""
        assert self._process.stdout is not None  # a pipe
        for answer in self._process.stdout:
            # A worker that is killed while it answers leaves half a line.
            if answer.endswith(b"\n"):
                outcome = Outcome(**json.loads(answer))
                self._running[outcome.digest].put(outcome)
        self._is_gone = True
        for ended in list(self._running.values()):
            ended.put(None)

    def stop(self) -> None:
        """Ask for what is running to be saved and ended."""
        self._send(STOP)

    def kill(self) -> None:
        """End the process, and what it has started, now."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process: there are no more points."""
        assert self._process.stdin is not None  # both are pipes
        assert self._process.stdout is not None
        with self._writing, suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def _send(self, message: Any) -> None:
        assert self._process.stdin is not None  # a pipe
        # A worker that is gone (or closed) is noticed by its missing answer.
        with self._writing, suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
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
            return worker.run(point, Path(folder), cache=False, limit_s=limit_s)
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
