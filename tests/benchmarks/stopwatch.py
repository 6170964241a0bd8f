"""How the benchmarks measure: one call, functions inside of a run, and ``leomix`` in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from tempfile import TemporaryFile
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

Clock = Callable[[], float]
T = TypeVar("T")


def timed(work: Callable[..., T], *given: Any, clock: Clock = perf_counter) -> tuple[float, T]:
    """Return the seconds of one call, and what it returned."""
    began = clock()
    result = work(*given)
    return clock() - began, result


class Watch:
    """Seconds spent in each part, without those of the parts that it calls."""

    def __init__(self, clock: Clock) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._clock = clock
        self._inner_s: list[float] = [0.0]

    def timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """Return ``function`` under the watch."""

        @wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._inner_s.append(0.0)
            began = self._clock()
            try:
                return function(*args, **kwargs)
            finally:
                took = self._clock() - began
                self.seconds[part] += took - self._inner_s.pop()
                self._inner_s[-1] += took

        return watched


@contextmanager
def watching(parts: Mapping[str, tuple[str, ...]], clock: Clock = perf_counter) -> Iterator[Watch]:
    """Watch all ``parts`` for a while; each names its functions where they are looked up."""
    watch = Watch(clock)
    before = []
    for part, places in parts.items():
        for place in places:
            module, _, path = place.partition(":")
            *outer, name = path.split(".")
            owner = import_module(module)
            for step in outer:
                owner = getattr(owner, step)
            before.append((owner, name, getattr(owner, name)))
            setattr(owner, name, watch.timed(getattr(owner, name), part))
    try:
        yield watch
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


class Process(NamedTuple):
    """What a process took, and what it said."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    out: str


def leomix(*words: object, **how: Any) -> Process:
    """Run a command in a process of its own."""
    return python("-m", "sim", *words, **how)


def python(*words: object, **how: Any) -> Process:
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
