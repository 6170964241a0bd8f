"""A sweep that is asked for: what is swept, how it is run, and the points that this makes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.files import free_folder
from sim.sweep.options import SweepOptions
from sim.sweep.point import Point
from sim.sweep.points import SweepPlan

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
        """Make the points, first of all their number."""
        if self.plan.count > MOST_POINTS and not self.many:
            raise InputError(
                f"{self.plan.count:,} points are more than {MOST_POINTS:,}; "
                "add --yes if that is meant"
            )
        first = self.points[0]
        if self.options.devices:
            is_swept = "learning.device" in self.plan.specs
            if is_swept or self.plan.read(first.overrides).learning.device != "auto":
                raise InputError(
                    "--devices: learning.device is given as well; leave one of them out"
                )

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """All points, in the order of the rows."""
        return tuple(self.plan.points())

    @cached_property
    def place(self) -> Path:
        """The sweep's folder: the one that was named, else the first free ``runs/sweep-NAME``."""
        usual = Path("runs") / f"sweep-{Path(self.plan.scenario).stem}"
        return self.options.out or free_folder(usual)

    @cached_property
    def about(self) -> dict[str, Any]:
        """What ``sweep.json`` says of it."""
        return self.plan.about(self.points)
