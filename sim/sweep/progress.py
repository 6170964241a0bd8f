"""Progress of a sweep: every point that ends, and the time that is left."""

import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sim.execution.live import run_beat, share_done
from sim.facts.status import COMPLETE, INTERRUPTED
from sim.formatting import Bar, duration, how_far, time_left_s
from sim.sweep.point import Outcome, Point
from sim.sweep.points import contender, labelled

MOST_RUNNING = 6
"""Running points that are shown below the bar: those that are furthest behind."""


class SweepProgress(Bar):
    """Shows every point of a sweep that ends, and the time left; if quiet, only what was moved.

    The bar has a line for each point that runs, as far as the ``folders`` tell in which they do, by
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
        """Show what is left, and what points that run have come to."""
        if self.quiet:
            return
        with self._lock:
            running = [(share_done(beat) or 0.0, point, beat) for point, beat in self._beats()]
            ended = self._done + self._failed + sum(share for share, _, _ in running)
            share = ended / len(self._method)
            self.update(self._text(share), share)
            if not self.shown:
                return
            behind = sorted(running, key=lambda one: one[0])[:MOST_RUNNING]
            behind.sort(key=lambda one: one[1].number)  # so that lines keep their places
            self.update_parts([(_line(point, beat), done) for done, point, beat in behind])

    def _beats(self) -> Iterator[tuple[Point, dict[str, Any]]]:
        """Yield the points that run, each with the sign of life of its run."""
        for digest, point in self._unended.items():
            if digest in self.folders and (beat := run_beat(self.folders[digest])) is not None:
                yield point, beat

    def _text(self, share: float) -> str:
        """Say how many points are done, and how long the others take by the share that is done."""
        points, ended = len(self._method), self._done + self._failed
        parts = [f"{self._done} of {points} points done"]
        parts += [f"{self._failed} failed"] if self._failed else []
        if ended and (left := points - ended):
            # Points of a method of which none has ended may take any time.
            unknown = {self._method[digest] for digest in self._unended} - self._known
            rest = duration(time_left_s(time.monotonic() - self._began, share))
            parts.append(f"{left} left, {'at least' if unknown else 'about'} {rest}")
        return ", ".join(parts)


def _line(point: Point, beat: dict[str, Any]) -> str:
    """Say which point runs, how far it has come, and how accurate its model is by now."""
    parts = [labelled(point.values, point.values), f"seed {point.seed}"]
    keys = ("time_s", "span_s", "cycle", "cycles")
    parts.append(how_far(*(beat[key] for key in keys)) if "time_s" in beat else "starting")
    if beat.get("accuracy") is not None:
        parts.append(f"accuracy {beat['accuracy']:.3f}")
    return ", ".join(part for part in parts if part)
