"""How a sweep is to be run, as the command line asks for it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.errors import InputError
from sim.sweeps.engine import Engine, Point

LOG = "workers.log"
"""What runs have printed, in the sweep's folder."""

ENGINES = ("local", "dask")


@dataclass(frozen=True)
class How:
    """Where and how a sweep is run; ``shard`` is the number of a part, from 0, and of all parts."""

    out: Path | None
    workers: int
    engine: str
    scheduler: str | None
    resume: bool
    keep_going: bool
    shard: tuple[int, int]
    cache: bool
    max_wall_s: float = math.inf

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.engine not in ENGINES:
            raise InputError(f"--engine {self.engine}: must be one of {', '.join(ENGINES)}")
        if (self.scheduler is not None) != (self.engine == "dask"):
            raise InputError("--engine dask and --scheduler ADDRESS go together")
        for option, meant in (("--resume", self.resume), ("--shard", self.shard[1] > 1)):
            if meant and self.out is None:
                raise InputError(f"{option}: name the sweep's folder with -o DIR")

    @property
    def part(self) -> str:
        """A name of the shard, for files that shards must not share."""
        return f"shard-{self.shard[0] + 1}-of-{self.shard[1]}"

    def own(self, points: Sequence[Point]) -> list[Point]:
        """Return the points of this shard."""
        number, parts = self.shard
        return [point for point in points if point.number % parts == number]

    def check_engine(self) -> None:
        """Raise InputError if the engine cannot be had, before anything is written for it."""
        if self.scheduler is not None:
            from sim.sweeps.dask_engine import connected

            with connected(self.scheduler):
                pass

    def new_engine(self, place: Path, lock: int) -> Engine:
        """Return the engine for a sweep in ``place``, whose lock workers are to hold."""
        if self.engine == "dask":
            from sim.sweeps.dask_engine import DaskEngine

            return DaskEngine(self.scheduler, self.workers)
        from sim.sweeps.local_engine import LocalEngine

        return LocalEngine(self.workers, place / LOG, lock)


def workers(jobs: int) -> int:
    """Return the number of workers of ``-j JOBS``."""
    if jobs < 0:
        raise InputError(f"-j {jobs}: must be 1 or more, or 0 for one a core")
    return jobs or _cores()


def _cores() -> int:
    """Return the cores that this process may use, which a job system may have narrowed."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def shard(text: str | None) -> tuple[int, int]:
    """Return number (from 0) and parts of ``i/N``, where i is 1 to N; all of it without a text."""
    if text is None:
        return 0, 1
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    number, parts = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= parts:
        raise InputError(f"--shard {text}: should be i/N with i from 1 to N, like 2/8")
    return number - 1, parts


def scenario_name(name: str) -> str:
    """Return the name of a shipped scenario, or the absolute path of a file that is there."""
    import scenarios

    if name in scenarios.shipped():
        return name
    if not Path(name).is_file():
        scenarios.load(name)  # says what there is instead
    return str(Path(name).resolve())
