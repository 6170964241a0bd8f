"""Progress of a sweep: every point that ends, and the time that is left."""

import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sim.execution.live import run_beat, share_done
from sim.facts.status import COMPLETE, INTERRUPTED
from sim.formatting import Bar, duration, time_left_s
from sim.sweep.point import Outcome, Point
from sim.sweep.points import contender


class SweepProgress(Bar):
    """Shows every point of a sweep that ends, and the time left; if quiet, only what was moved.

    What running points have done counts, as far as the ``folders`` tell in which they run, by
    digest: who knows of them fills them in.
    """

    def __init__(self, points: Sequence[Point], *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self.folders: Mapping[str, Path] = {}
        self._unended = {point.digest: point for point in points}
        self._method = {point.digest: contender(point) for point in points}
        self._done = self._failed = 0
        self._known = set[str]()
        self._lock = threading.Lock()
        self.start(self._text(0.0))

    def __call__(self, outcome: Outcome) -> None:
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
            running = sum(share_done(beat) or 0.0 for beat in self._beats())
            share = (self._done + self._failed + running) / len(self._method)
            self.update(self._text(share), share)

    def _beats(self) -> Iterator[dict[str, Any]]:
        """Yield the signs of life of the points that run."""
        for digest in self._unended:
            if digest in self.folders and (beat := run_beat(self.folders[digest])) is not None:
                yield beat

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
