"""A sweep that is asked for: what is swept, how it is run, and the points that this makes."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from learning.hardware import only, seen_without
from sim.errors import InputError, missing
from sim.files import free_folder
from sim.sweep.engine import Engine, Point
from sim.sweep.local_engine import LocalEngine
from sim.sweep.points import SweepPlan
from sim.sweep.worker_process import Holds
from statements import Code, Other, Statement

ENGINES = ("local", "dask")


@dataclass(frozen=True)
class SweepOptions:
    """Where and how a sweep is run; ``shard`` is the number of a part, from 0, and of all parts."""

    out: Path | None
    workers: int = 1
    devices: tuple[str, ...] = ()
    engine: str = "local"
    scheduler: str | None = None
    resume: bool = False
    keep_going: bool = False
    shard: tuple[int, int] = (0, 1)
    cache: bool = True
    max_wall_s: float = math.inf

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.engine not in ENGINES:
            raise InputError.of_option(
                f"--engine {self.engine}", Code.WRONG_VALUE, f"must be one of {', '.join(ENGINES)}"
            )
        if (self.scheduler is not None) != (self.engine == "dask"):
            raise InputError(
                Statement.of(Code.CONFLICT, "", "--engine dask and --scheduler ADDRESS go together")
            )
        if self.devices and self.engine == "dask":
            raise InputError.of_option(
                "--devices",
                Code.CONFLICT,
                "goes with --engine local; Dask's workers have their own",
            )
        self._check_devices()
        for option, meant in (("--resume", self.resume), ("--shard", self.shard[1] > 1)):
            if meant and self.out is None:
                raise InputError.of_option(
                    f"{option}", Code.MISSING, "name the sweep's folder with -o DIR"
                )

    def _check_devices(self) -> None:
        """Refuse devices that are none, come twice, or are not there."""
        for device in self.devices:
            text = ""
            if not re.fullmatch(r"cuda:(0|[1-9]\d{0,2})", device):
                text = "should be cuda:N, like cuda:0,cuda:1; on the CPU -j N runs several points"
            elif self.devices.count(device) > 1:
                text = "is named twice; name it once, -j N deals more processes to the devices"
            elif seen := seen_without(device):
                text = f"torch sees {seen}; name what is there, or leave --devices out"
            if text:
                raise InputError.of_option(
                    f"--devices {device}", Code.WRONG_VALUE, "{text}", text=text
                )

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
        if self.scheduler is None:
            return
        try:
            import distributed  # noqa: F401

            from sim.sweep.dask_engine import connected
        except ImportError as error:
            raise missing("--engine dask", "cluster", error) from None
        with connected(self.scheduler):
            pass

    def new_engine(self, lock: int) -> Engine:
        """Return the engine of a sweep whose ``lock`` workers of this machine are to hold."""
        if self.scheduler is not None:
            from sim.sweep.dask_engine import DaskEngine

            return DaskEngine(self.scheduler, self.workers)
        return LocalEngine(self.holds(lock))

    def holds(self, lock: int | None = None) -> list[Holds]:
        """Return what each process of this machine holds: devices in turn, at least one each."""
        visible: list[str | None] = [*map(only, self.devices)] or [None]
        count = max(self.workers, len(visible))
        return [Holds(lock, visible[number % len(visible)]) for number in range(count)]


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


def shard(text: str | None) -> tuple[int, int]:
    """Return number (from 0) and parts of ``i/N``, where i is 1 to N; all of it without a text."""
    if text is None:
        return 0, 1
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    number, parts = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= parts:
        raise InputError.of_option(
            f"--shard {text}", Code.WRONG_VALUE, "should be i/N with i from 1 to N, like 2/8"
        )
    return number - 1, parts


MOST_POINTS = 10_000
"""Points up to which nobody is asked whether that is meant."""


@dataclass(frozen=True)
class SweepRequest:
    """A sweep of ``plan``, run as ``options`` say; ``many`` points are meant to be as many.

    Raises InputError where the two do not go together, for too many points, and for a wrong one.
    """

    plan: SweepPlan
    options: SweepOptions
    many: bool = False

    def __post_init__(self) -> None:
        """Make the points, first of all their number; the folder before code of the user's runs."""
        _ = self.place
        if self.plan.count > MOST_POINTS and not self.many:
            raise InputError(
                Statement.of(
                    Code.WRONG_VALUE,
                    "",
                    f"{{points:,}} points are more than {MOST_POINTS:,}",
                    Other(said="add --yes if that is meant"),
                    points=self.plan.count,
                )
            )
        first = self.points[0]
        if self.options.devices:
            axes = self.plan.axes
            is_swept = "learning.device" in (*axes.specs, *axes.variant_keys)
            if is_swept or self.plan.read(first.overrides).learning.device != "auto":
                raise InputError.of_option(
                    "--devices",
                    Code.CONFLICT,
                    "learning.device is given as well",
                    Other(said="leave one of them out"),
                )

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
