"""How a sweep is run: its folder, its processes, and what it takes of before."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from sim.errors import InputError, missing
from sim.files import free_folder
from sim.sweep.crew import Crew
from statements import Code


@dataclass(frozen=True)
class SweepOptions:
    """Where and how a sweep is run; ``dask`` is the address of a scheduler."""

    out: Path | None
    workers: int = 1
    dask: str | None = None
    resume: bool = False
    join: bool = False
    keep_going: bool = False
    cache: bool = True
    max_wall_s: float = math.inf
    merge: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        for option, meant in (("--resume", self.resume), ("--join", self.join)):
            if meant and self.out is None:
                raise InputError.of_option(
                    f"{option}", Code.MISSING, "name the sweep's folder with -o DIR"
                )

    def place_of(self, scenario: str) -> Path:
        """Return the folder of a sweep: the one named, else the first free ``runs/sweep-NAME``."""
        usual = Path("runs") / f"sweep-{Path(scenario).stem}"
        return (self.out or free_folder(usual)).absolute()

    def check_dask(self) -> None:
        """Raise InputError if no scheduler can be had, before anything is written for it."""
        if self.dask is None:
            return
        try:
            import distributed  # noqa: F401

            from sim.sweep.dask_crew import connected_client
        except ImportError as error:
            raise missing("--dask", "cluster", error) from None
        with connected_client(self.dask):
            pass

    def crew(self, place: Path) -> Crew:
        """Return the processes that are to work on the sweep in a folder."""
        flags = ["--keep-going"] if self.keep_going else []
        flags += [] if self.cache else ["--no-cache"]
        if self.dask is None:
            return Crew(place, flags, self.workers)
        from sim.sweep.dask_crew import DaskCrew

        return DaskCrew(place, flags, self.dask, self.workers)


def workers(jobs: int) -> int:
    """Return the number of workers of ``-j JOBS``."""
    if jobs < 0:
        raise InputError.of_option(
            f"-j {jobs}", Code.WRONG_VALUE, "must be 1 or more, or 0 for one a core"
        )
    if jobs:
        return jobs
    if hasattr(os, "sched_getaffinity"):  # a job system may have narrowed the cores
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
