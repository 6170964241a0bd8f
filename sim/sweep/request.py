"""A sweep that is asked for: what is swept, how it is run, and the points that this makes."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sim.errors import InputError, missing
from sim.files import free_folder
from sim.sweep.crew import Crew
from sim.sweep.point import Point
from sim.sweep.points import SweepPlan
from sim.sweep.varied import MOST_POINTS
from statements import Code, Other, Statement


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

    def check_dask(self) -> None:
        """Raise InputError if no scheduler can be had, before anything is written for it."""
        if self.dask is None:
            return
        try:
            import distributed  # noqa: F401

            from sim.sweep.dask_crew import connected
        except ImportError as error:
            raise missing("--dask", "cluster", error) from None
        with connected(self.dask):
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


@dataclass(frozen=True)
class SweepRequest:
    """A sweep of ``plan``, run as ``options`` say.

    Raises InputError where the two do not go together, for too many points, and for a wrong one.
    """

    plan: SweepPlan
    options: SweepOptions

    def __post_init__(self) -> None:
        """Make the points, first of all their number; the folder before code of the user's runs."""
        _ = self.place
        if self.plan.count > MOST_POINTS:
            raise InputError(
                Statement.of(
                    Code.WRONG_VALUE,
                    "",
                    f"{{points:,}} points are more than {MOST_POINTS:,}",
                    Other(said="take coarser steps"),
                    points=self.plan.count,
                )
            )
        _ = self.points

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """All points, in the order of the rows."""
        return tuple(self.plan.points())

    @cached_property
    def place(self) -> Path:
        """The sweep's folder: the one that was named, else the first free ``runs/sweep-NAME``."""
        usual = Path("runs") / f"sweep-{Path(self.plan.scenario).stem}"
        return (self.options.out or free_folder(usual)).absolute()

    @cached_property
    def about(self) -> dict[str, Any]:
        """What ``sweep.json`` says of it."""
        return self.plan.about(self.points)
