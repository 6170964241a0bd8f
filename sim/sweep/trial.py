"""A trial of a point, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from sim.facts.status import CRASHED
from sim.process.installation import HOME
from sim.sweep.point import Outcome, Point

LOG = "workers.log"
"""What runs have printed, in the sweep's folder."""
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Environment variables that set how many threads libraries use: one in a worker."""

LIMIT_S = 10.0
"""How long a point is tried."""


def tried(point: Point, limit_s: float = LIMIT_S, device: str | None = None) -> Outcome:
    """Try a point for ``limit_s`` behind its first event at most, in a process of its own.

    Complete is also one that was ended when its time was up; its figures are those of ``measured``.
    Of CUDA devices it sees those that ``CUDA_VISIBLE_DEVICES`` names ``device``, with None all.
    """
    path = [] if Path.cwd() == HOME else ["-P"]
    own = {} if device is None else {"CUDA_VISIBLE_DEVICES": device}
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, *path, "-m", "sim.sweep.worker"]
        process = subprocess.Popen(
            [*line, json.dumps(asdict(point)), folder, str(limit_s)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **own, **dict.fromkeys(THREADS, "1")},
            start_new_session=True,
        )
        try:
            answer, _ = process.communicate()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
    if answer.endswith(b"\n"):
        return Outcome(**json.loads(answer))
    return Outcome(point.digest, CRASHED, _death(code))


def _death(code: int) -> str:
    if code >= 0:
        return f"its process ended with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    memory = " (out of memory?)" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}"
