"""What a sweep will take in time and on disk: from points that are there, else tried on one."""

from __future__ import annotations

import json
import subprocess
from statistics import median

from sim.sweeps.engine import COMPLETE, FAILED, Point
from sim.sweeps.progress import duration
from sim.sweeps.rows import POINTS
from sim.sweeps.sweeping import Sweeping
from sim.sweeps.trial import LIMIT_S, Trial, folder_bytes
from sim.sweeps.worker_process import one_thread, python
from sim.units_text import data_size
from sim.yaml_text import as_yaml

SHOWN = 3
"""Points shown at either end of the list."""


def dry_run_text(sweeping: Sweeping, workers: int) -> tuple[str, str]:
    """Show how many points there are, some of them, and what those that are left will take.

    Also returns how the point ended that was tried, ``complete`` without any.
    """
    points, left = sweeping.points, sweeping.left
    estimate, status = _estimate(sweeping, left, workers)
    lines = [
        f"points    {len(points)}: {len(sweeping.own)} of this process, {len(left)} to be run",
        *(_line(point) for point in points[:SHOWN]),
        *(["          ..."] if len(points) > 2 * SHOWN else []),
        *(_line(point) for point in points[max(SHOWN, len(points) - SHOWN) :]),
        f"folder    {sweeping.place}",
    ]
    return "\n".join([*lines, f"estimate  {estimate}"]), status


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


def tried(point: Point, limit_s: float = LIMIT_S) -> Trial:
    """Try a point for some seconds in a process of its own, as a worker would run it."""
    done = subprocess.run(
        [*python(), "-m", "sim.sweeps.trial", str(limit_s)],
        input=json.dumps(point.as_json()),
        capture_output=True,
        text=True,
        env=one_thread(),
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        return Trial(0.0, 0.0, 0.0, 0, FAILED, reason[0])
    return Trial(**json.loads(done.stdout))
