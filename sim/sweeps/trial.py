"""A point run for some seconds, to see what all of it would take: `python -m sim.sweeps.trial`.

It reads a point as JSON from stdin and writes a :class:`Trial` as JSON on stdout. Its argument is
how many seconds behind the first event it may take.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import Interrupted, SimulationError
from sim.sweeps.engine import COMPLETE, FAILED, REFUSED, Point
from sim.sweeps.worker import own_stdout

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
        """Seconds that all of the point would take; inf if nothing can be told."""
        return self.before_s + self.behind_s / self.share if self.share else float("inf")

    @property
    def all_bytes(self) -> float:
        """Bytes that all of the point would leave on disk."""
        return self.size_bytes / self.share if self.share else float("inf")


class Watch:
    """Looks on as a run goes by, and ends it when its time is up."""

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

    def each_event(self, number: int) -> None:
        """Take the time, and raise Interrupted when it is up."""
        if self._first is None:
            self._first = time.monotonic()
        if self.behind_s > self._limit_s:
            raise Interrupted("that is enough")

    def each_time(self, time_s: float) -> None:
        """Take down how far the run has come in simulated time."""
        if self._stop.days:
            self.share = min(1.0, max(self.share, time_s / 86400 / self._stop.days))

    def listen(self, time_s: float, cycle: int, accuracy: float) -> None:
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
    from sim.checkpoint import CHECKPOINT
    from sim.running import run

    watch = Watch(scenario, limit_s)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        try:
            run(
                scenario,
                place,
                listen=watch.listen,
                each_event=watch.each_event,
                each_time=watch.each_time,
            )
            watch.share = 1.0
        except Interrupted:
            pass
        except ValueError as error:
            return _none(REFUSED, error)
        except SimulationError as error:
            return _none(FAILED, error)
        # What is saved to go on from is not there at the end.
        size = folder_bytes(place) - folder_bytes(place / CHECKPOINT)
        return Trial(watch.before_s, watch.behind_s, watch.share, size, peak_bytes=_peak_bytes())


def _peak_bytes() -> int:
    """Most memory that this process has had; Linux counts in kibibytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _none(status: str, error: Exception) -> Trial:
    return Trial(0.0, 0.0, 0.0, 0, status, " ".join(str(error).split()))


def folder_bytes(place: Path) -> int:
    """Return the size of all files in a folder."""
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def main() -> None:
    """Try the point on stdin, for as many seconds as the command line says."""
    answer = own_stdout()
    point = Point.from_json(json.load(sys.stdin))
    print(json.dumps(asdict(trial(point, float(sys.argv[1])))), file=answer, flush=True)


if __name__ == "__main__":
    main()
