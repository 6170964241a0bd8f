"""How the benchmarks measure: one call, and ``leomix`` in a process."""

import os
import subprocess
import sys
from collections.abc import Callable
from tempfile import TemporaryFile
from time import perf_counter
from typing import NamedTuple, TypeVar

Clock = Callable[[], float]
T = TypeVar("T")


def timed(work, *given, clock=perf_counter):
    """Return the seconds of one call, and what it returned."""
    began = clock()
    result = work(*given)
    return clock() - began, result


class Process(NamedTuple):
    """What a process took, and what it said."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    out: str


def leomix(*words, **how):
    """Run a command in a process of its own."""
    return python("-m", "sim", *words, **how)


def python(*words, **how):
    """Run Python in a process of its own; ``how`` is what Popen takes, such as cwd and env."""
    began = perf_counter()
    line = [sys.executable, *map(str, words)]
    with TemporaryFile("w+", encoding="utf-8") as out:
        child = subprocess.Popen(line, stdout=out, **how)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{' '.join(line)}: exit code {child.returncode}")
        out.seek(0)
        said = out.read()
    cpu_s = used.ru_utime + used.ru_stime
    return Process(perf_counter() - began, cpu_s, used.ru_maxrss / 1024, said)
