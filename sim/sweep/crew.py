"""The processes that work on a sweep for one command: of this machine, or of a Dask cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from sim.process.installation import HOME
from sim.sweep.folder import LOG
from sim.sweep.join import CANNOT

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Environment variables that set how many threads libraries use: one in a worker."""


def started(place: Path, flags: Sequence[str]) -> subprocess.Popen[str]:
    """Start a process that works on the sweep in a folder, in a session of its own.

    Ctrl-C does not reach it. It ends with this process, which holds the other end of its stdin.
    """
    # It looks into the working directory only if leomix itself lies there.
    path = [] if Path.cwd() == HOME else ["-P"]
    with open(place / LOG if place.is_dir() else os.devnull, "ab") as log:
        return subprocess.Popen(
            [sys.executable, *path, "-m", "sim.sweep.join", str(place), *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **dict.fromkeys(THREADS, "1")},
            start_new_session=True,
            text=True,
        )


class Crew:
    """So many processes of this machine; one that dies is replaced while the others get on."""

    def __init__(self, place: Path, flags: Sequence[str], count: int) -> None:
        self._place = place
        self._flags = flags
        self._count = count
        self._barren = 0
        self._claimed = -1
        self.is_stopped = False

    def __enter__(self) -> Self:
        self._running = [self._started() for _ in range(self._count)]
        return self

    def _started(self) -> subprocess.Popen[str]:
        return started(self._place, self._flags)

    def goes_on(self, claimed: Callable[[], int]) -> bool:
        """Whether any of them works; ``claimed`` counts the claims that were made until now."""
        for number, process in enumerate(self._running):
            code = process.poll()
            if code in (None, 0, CANNOT) or self.is_stopped:
                continue
            # One that dies again and again without having taken a point would do so for ever.
            now = claimed()
            self._barren = self._barren + 1 if now == self._claimed else 0
            self._claimed = now
            if self._barren < self._count:
                self._running[number] = self._started()
            if self.is_stopped:  # meanwhile
                self._running[number].terminate()
        return any(process.poll() is None for process in self._running)

    def stop(self) -> None:
        """Have points saved, given back and ended."""
        self.is_stopped = True
        for process in self._running:
            process.terminate()

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            end(process)

    def refusals(self) -> list[str]:
        """Return why processes cannot work on the sweep, each line once."""
        said = [one.stdout.read() for one in self._running if one.poll() == CANNOT and one.stdout]
        return list(dict.fromkeys(line.strip() for line in said))


def kill(process: subprocess.Popen[str]) -> None:
    """End a process, and what it has started, now."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def end(process: subprocess.Popen[str]) -> None:
    """End a process now, and wait for it."""
    kill(process)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
