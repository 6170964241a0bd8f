"""A point tried for seconds: time and disk of all.

It reads a point as JSON from stdin and writes a :class:`Trial` as JSON on stdout. Its argument is
how many seconds behind the first event it may take.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from sim.engine.evaluation import Observer
from sim.errors import Interrupted, SimulationError
from sim.execution.folder import COMPLETE, FAILED, POINTS, REFUSED
from sim.formatting import as_yaml, data_size, duration
from sim.sweep.engine import Point
from sim.sweep.local_engine import one_thread, python
from sim.sweep.supervisor import Sweeping
from sim.sweep.worker import own_stdout

if TYPE_CHECKING:
    from scenarios import Scenario


LIMIT_S = 10.0
"""How long a point is tried."""


@dataclass(frozen=True)
class Trial:
    """Seconds before the first event and behind it, and how far that went; bytes it wrote.

    ``status`` is that of a point: ``complete`` also for one that was ended when its time was up.
    ``peak_bytes`` is the most memory that the process has had by then.
    """

    before_s: float
    behind_s: float
    share: float
    size_bytes: int
    status: str = COMPLETE
    error: str = ""
    peak_bytes: int = 0

    @property
    def wall_s(self) -> float:
        """Seconds that all of the point would take; inf if that is not known."""
        return self.before_s + self.behind_s / self.share if self.share else float("inf")

    @property
    def all_bytes(self) -> float:
        """Bytes that all of the point would leave on disk."""
        return self.size_bytes / self.share if self.share else float("inf")


class TrialObserver(Observer):
    """Measures how far a run comes, and ends it when its time is up."""

    def __init__(self, scenario: Scenario, limit_s: float) -> None:
        self._stop = scenario.stop
        self._limit_s = limit_s
        self._began = time.monotonic()
        self._first: float | None = None
        self.share = 0.0

    @property
    def before_s(self) -> float:
        """Seconds before the first event."""
        return (time.monotonic() if self._first is None else self._first) - self._began

    @property
    def behind_s(self) -> float:
        """Seconds since the first event."""
        return 0.0 if self._first is None else time.monotonic() - self._first

    def event(self, number: int, time_s: float) -> None:
        """Take the time, and raise Interrupted when it is up."""
        if self._stop.days:
            self.share = min(1.0, max(self.share, time_s / 86400 / self._stop.days))
        if self._first is None:
            self._first = time.monotonic()
        if self.behind_s > self._limit_s:
            raise Interrupted("that is enough")

    def evaluated(self, time_s: float, cycle: int, accuracy: float) -> None:
        """Take down how far the run has come in cycles."""
        if self._stop.cycles:
            self.share = min(1.0, max(self.share, cycle / self._stop.cycles))


def trial(point: Point, limit_s: float = LIMIT_S) -> Trial:
    """Run a point in a folder that goes away again, for ``limit_s`` at most.

    A short one is run twice, as the first time pays for what a worker imports once.
    """
    import scenarios

    scenario = scenarios.load(point.scenario, point.overrides)
    began = time.monotonic()
    found = _one_trial(scenario, limit_s)
    if found.share == 1.0 and time.monotonic() - began < limit_s:
        return _one_trial(scenario, limit_s)
    return found


def _one_trial(scenario: Scenario, limit_s: float) -> Trial:
    from resource import RUSAGE_SELF, getrusage

    from sim.execution.checkpoint import CHECKPOINT
    from sim.execution.running import run

    watch = TrialObserver(scenario, limit_s)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        try:
            run(scenario, place, observers=[watch])
            watch.share = 1.0
        except Interrupted:
            pass
        except ValueError as error:
            return _none(REFUSED, error)
        except SimulationError as error:
            return _none(FAILED, error)
        # What is saved to go on from is not there at the end.
        size = folder_bytes(place) - folder_bytes(place / CHECKPOINT)
        peak_bytes = getrusage(RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in kibibytes
        return Trial(watch.before_s, watch.behind_s, watch.share, size, peak_bytes=peak_bytes)


def _none(status: str, error: Exception) -> Trial:
    return Trial(0.0, 0.0, 0.0, 0, status, " ".join(str(error).split()))


def folder_bytes(place: Path) -> int:
    """Return the size of all files in a folder."""
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def main() -> None:
    """Try the point on stdin, for as many seconds as the command line says."""
    answer = own_stdout()
    point = Point(**json.load(sys.stdin))
    print(json.dumps(asdict(trial(point, float(sys.argv[1])))), file=answer, flush=True)


# What a sweep will take in time and on disk: from points that are there, else tried on one.


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
        [*python(), "-m", "sim.sweep.trial", str(limit_s)],
        input=json.dumps(asdict(point)),
        capture_output=True,
        text=True,
        env=one_thread(),
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        return Trial(0.0, 0.0, 0.0, 0, FAILED, reason[0])
    return Trial(**json.loads(done.stdout))


if __name__ == "__main__":
    main()
