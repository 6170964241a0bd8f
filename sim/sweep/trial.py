"""What a sweep will take in time and on disk: from points that are there, else tried on one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from sim.execution.folder import COMPLETE, POINTS
from sim.formatting import as_yaml, data_size, duration
from sim.sweep.engine import Outcome, Point
from sim.sweep.folder import LOG, about_sweep, check_claim
from sim.sweep.local_engine import WorkerProcess
from sim.sweep.points import Plan
from sim.sweep.running import Sweeping, SweepOptions, free_place
from sim.sweep.worker import folder_bytes

LIMIT_S = 10.0
"""How long a point is tried."""


def tried(point: Point, limit_s: float = LIMIT_S) -> Outcome:
    """Try a point for ``limit_s`` behind its first event at most, in a worker of its own.

    Complete is also one that was ended when its time was up; its figures are those of ``measured``.
    """
    with tempfile.TemporaryDirectory() as folder:
        worker = WorkerProcess(Path(folder) / LOG)
        try:
            return worker.run(point, Path(folder), False, limit_s)
        finally:
            worker.kill()
            worker.close()


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
    """Say what is left will take by the median point that is complete, else by one that is tried.

    Also returns how the tried one ended.
    """
    if not left:
        return "nothing is left to be done", COMPLETE
    done = [outcome for outcome in sweeping.outcomes.values() if outcome.status == COMPLETE]
    if done:
        wall_s = median(outcome.figures["wall_s"] for outcome in done)
        places = (sweeping.place / POINTS / outcome.digest for outcome in done)
        size_bytes = median(map(folder_bytes, places))
        source = f"as {len(done)} complete points show"
    else:
        found, name = tried(left[0]), f"point {left[0].number}"
        if found.error:
            return f"none: {name} fails: {found.error}", found.status
        took = found.figures
        if not took["share"]:
            return f"none: not one evaluation of {name} in {took['behind_s']:.0f} s", COMPLETE
        wall_s, size_bytes = took["wall_s"], took["size_bytes"]
        source = f"tried on {name} ({took['share']:.0%} of it was run)"
    busy = min(workers, len(left))
    total = f"about {duration(wall_s * len(left) / busy)} with {busy} at a time, "
    total += f"{data_size(size_bytes * len(left))} on disk"
    text = f"{total}: {duration(wall_s)} and {data_size(size_bytes)} a point, {source}"
    return text, COMPLETE
