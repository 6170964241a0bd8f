"""A worker process as the supervisor sees it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from sim.sweeps.engine import CRASHED, Outcome, Point
from sim.sweeps.worker import STOP

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Environment variables by which libraries are told how many threads to use."""


class WorkerProcess:
    """Runs one point at a time, in a session of its own: Ctrl-C reaches the supervisor only."""

    def __init__(self, log: Path, lock: int | None) -> None:
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [*python(), "-m", "sim.sweeps.worker"],
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
        """Have a point run; a worker that dies of it makes it a crashed one."""
        assert self._process.stdout is not None  # a pipe
        self._say({"point": point.as_json(), "folder": str(folder), "cache": cache})
        answer = self._process.stdout.readline()
        # A worker that is killed while it answers leaves half a line.
        if answer.endswith(b"\n"):
            return Outcome.from_json(json.loads(answer))
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
        # A worker that is gone (or closed) is told of by its missing answer.
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
