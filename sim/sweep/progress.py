"""Progress of a sweep: every point that ends, and the time that is left."""

import sys
import threading
import time
from collections.abc import Sequence

from sim.facts.status import COMPLETE, INTERRUPTED
from sim.formatting import Bar, duration, time_left_s
from sim.sweep.point import Point, PointOutcome
from sim.sweep.points import contender


class SweepProgress(Bar):
    """Shows every point of a sweep that ends, and the time left; if quiet, only what was moved.

    ``running`` is what points that run have done, the sum of their shares: who knows of them says
    it.
    """

    def __init__(self, points: Sequence[Point], *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self.running = 0.0
        self._unended = {point.digest: point for point in points}
        self._method = {point.digest: contender(point) for point in points}
        self._done = self._failed = 0
        self._known = set[str]()
        self._lock = threading.Lock()
        self.start(self._text(0.0))

    def __call__(self, outcome: PointOutcome) -> None:
        """Show that a point has ended."""
        with self._lock:
            self._unended.pop(outcome.digest, None)
            self._done += outcome.status == COMPLETE
            self._failed += outcome.status not in (COMPLETE, INTERRUPTED)
            self._known.add(self._method[outcome.digest])
            if outcome.note:
                print(f"note: {outcome.note}", file=sys.stderr)
        self._show()

    def look_after(self) -> None:
        """Show what is left while no point ends."""
        self._show()
        super().look_after()

    def _show(self) -> None:
        """Show what is left, counting what points that run have come to."""
        if self.quiet:
            return
        with self._lock:
            share = (self._done + self._failed + self.running) / len(self._method)
            self.update(self._text(share), share)

    def _text(self, share: float) -> str:
        """Say how many points are done, and how long the others take by the share that is done."""
        points, ended = len(self._method), self._done + self._failed
        parts = [f"{self._done} of {points} points done"]
        parts += [f"{self._failed} failed"] if self._failed else []
        if share and (left := points - ended):
            # Points of a method of which none has ended may take any time.
            unknown = {self._method[digest] for digest in self._unended} - self._known
            rest = duration(time_left_s(time.monotonic() - self._began, share))
            parts.append(f"{left} left, {'at least' if unknown else 'about'} {rest}")
        return ", ".join(parts)
