"""What a sweep will take in time and on disk: from points that are there, else tried on one."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sim.execution.folder import COMPLETE, CRASHED, FAILED, POINTS
from sim.formatting import as_yaml, data_size, duration
from sim.sweep.engine import Point
from sim.sweep.folder import LOG, about_sweep, check_claim
from sim.sweep.local_engine import WorkerProcess
from sim.sweep.points import Plan
from sim.sweep.running import Sweeping, SweepOptions, free_place
from sim.sweep.worker import folder_bytes

LIMIT_S = 10.0
"""How long a point is tried."""


@dataclass(frozen=True)
class Trial:
    """Seconds before the first event and behind it, and how far that went; bytes it wrote.

    ``status`` is that of a point: ``complete`` also for one that was ended when its time was up.
    ``peak_bytes`` is the most memory that the process has had by then.
    """

    status: str
    error: str
    before_s: float = 0.0
    behind_s: float = 0.0
    share: float = 0.0
    size_bytes: int = 0
    peak_bytes: int = 0

    @property
    def wall_s(self) -> float:
        """Seconds that all of the point would take; inf if that is not known."""
        return self.before_s + self.behind_s / self.share if self.share else float("inf")

    @property
    def all_bytes(self) -> float:
        """Bytes that all of the point would leave on disk."""
        return self.size_bytes / self.share if self.share else float("inf")


def tried(point: Point, limit_s: float = LIMIT_S) -> Trial:
    """Try a point for ``limit_s`` behind its first event at most, in a worker of its own."""
    with tempfile.TemporaryDirectory() as folder:
        worker = WorkerProcess(Path(folder) / LOG)
        try:
            found = worker.run(point, Path(folder), False, limit_s)
        finally:
            worker.kill()
            worker.close()
    status = FAILED if found.status == CRASHED else found.status
    return Trial(status, found.error, **found.figures)


SHOWN = 3
"""Points shown at either end of the list."""


def rehearse(plan: Plan, points: list[Point], options: SweepOptions) -> tuple[str, str]:
    """Show how many points there are, some of them, and what those that are left will take.

    Also returns how the point ended that was tried, ``complete`` without any. Writes nothing.
    """
    place = options.out or free_place(plan)
    check_claim(place, about_sweep(points, plan.asked), resume=True)
    sweeping = Sweeping(place, points, options)
    sweeping.collect()
    own, left = options.own(points), sweeping.left
    estimate, status = _estimate(sweeping, left, options.workers)
    lines = [
        f"points    {len(points)}: {len(own)} of this process, {len(left)} to be run",
        *(_line(point) for point in points[:SHOWN]),
        *(["          ..."] if len(points) > 2 * SHOWN else []),
        *(_line(point) for point in points[max(SHOWN, len(points) - SHOWN) :]),
        f"folder    {place}",
        f"estimate  {estimate}",
    ]
    return "\n".join(lines), status


def _line(point: Point) -> str:
    values = ", ".join(f"{key}={as_yaml(value)}" for key, value in point.values.items())
    return f"  {point.number:<7} {values}, seed {point.seed} -> {POINTS}/{point.digest}"


def _estimate(sweeping: Sweeping, left: list[Point], workers: int) -> tuple[str, str]:
    if not left:
        return "nothing is left to be done", COMPLETE
    known = _from_complete(sweeping)
    if known is not None:
        wall_s, size_bytes, source = known
    else:
        found = tried(left[0])
        if found.error:
            return f"none: point {left[0].number} fails: {found.error}", found.status
        wall_s, size_bytes = found.wall_s, found.all_bytes
        source = f"tried on point {left[0].number} ({found.share:.0%} of it was run)"
        if not found.share:
            text = f"none: not one evaluation of point {left[0].number} in {found.behind_s:.0f} s"
            return text, COMPLETE
    busy = min(workers, len(left))
    total = f"about {duration(wall_s * len(left) / busy)} with {busy} at a time, "
    total += f"{data_size(size_bytes * len(left))} on disk"
    text = f"{total}: {duration(wall_s)} and {data_size(size_bytes)} a point, {source}"
    return text, COMPLETE


def _from_complete(sweeping: Sweeping) -> tuple[float, float, str] | None:
    """Return seconds and bytes of the median point that is complete, and how many those are."""
    done = [outcome for outcome in sweeping.outcomes.values() if outcome.status == COMPLETE]
    if not done:
        return None
    wall_s = median(outcome.figures["wall_s"] for outcome in done)
    places = [sweeping.place / POINTS / outcome.digest for outcome in done]
    return wall_s, median(map(folder_bytes, places)), f"as {len(done)} complete points show"
