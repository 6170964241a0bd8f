"""Progress of a sweep: every point that ends, and the time that is left."""

import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from sim.execution.live import run_beat, share_done
from sim.facts.status import COMPLETE, INTERRUPTED
from sim.formatting import STILL_EVERY_S, Bar, duration, how_far, some, time_left_s
from sim.sweep.point import Outcome, Point
from sim.sweep.points import contender, labelled

LINE_EVERY_S = 5.0
"""Seconds between two lines of points that end, where there is no bar."""
MOST_RUNNING = 6
"""Running points that are shown below the bar: those that are furthest behind."""
MOST_NAMED = 4
"""Methods of which the accuracy so far is shown."""
SLOW = 2.0
"""How many times the mean time of a point nothing has ended for, to be said."""


class SweepProgress(Bar):
    """Shows every point of a sweep that ends, and the time left; if quiet, only what was moved.

    So many run ``at_once``. The bar has a line for each point that runs, as far as the ``folders``
    tell in which they do, by digest: who knows of them fills them in.
    """

    def __init__(self, points: Sequence[Point], at_once: int, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self.folders: Mapping[str, Path] = {}
        self._unended = {point.digest: point for point in points}
        self._method = {point.digest: contender(point) for point in points}
        self._left = Counter(self._method.values())
        self._at_once = at_once
        self._done = self._failed = 0
        self._known = set[str]()
        self._ends: list[float] = []
        self._wall_s: dict[str, list[float]] = {}
        self._accuracy: dict[str, list[float]] = {}
        self._lock = threading.Lock()
        self.start(self._text(), len(points))

    def __call__(self, outcome: Outcome) -> None:
        """Show that a point has ended."""
        with self._lock:
            self._unended.pop(outcome.digest, None)
            self._done += outcome.status == COMPLETE
            self._failed += outcome.status not in (COMPLETE, INTERRUPTED)
            self._ends.append(time.monotonic())
            method = self._method[outcome.digest]
            self._left[method] -= 1
            self._known.add(method)
            if outcome.status == COMPLETE:
                for kept, key in ((self._wall_s, "wall_s"), (self._accuracy, "accuracy_final")):
                    if outcome.figures.get(key) is not None:
                        kept.setdefault(method, []).append(outcome.figures[key])
            if outcome.note:
                print(f"note: {outcome.note}", file=sys.stderr)
            self._show(LINE_EVERY_S if len(self._ends) > 1 else 0.0)

    def look_after(self) -> None:
        """Show what is left while no point ends."""
        with self._lock:
            self._show(STILL_EVERY_S)
            if self.shown:
                self.update_parts(self._running())

    def _running(self) -> list[tuple[str, float]]:
        """Return what points that run have come to, and their share of simulated time."""
        running = [(share_done(beat) or 0.0, point, beat) for point, beat in self._beats()]
        behind = sorted(running, key=lambda one: one[0])[:MOST_RUNNING]
        behind.sort(key=lambda one: one[1].number)  # so that lines keep their places
        return [(_line(point, beat), share) for share, point, beat in behind]

    def _beats(self) -> list[tuple[Point, dict[str, Any]]]:
        """Return the points that run, each with the sign of life of its run."""
        folders = self.folders
        running = [(one, folders[d]) for d, one in self._unended.items() if d in folders]
        found = ((one, run_beat(folder)) for one, folder in running)
        return [(point, beat) for point, beat in found if beat is not None]

    def _show(self, every_s: float) -> None:
        """Show what is left on the bar, or in a line where the last one is ``every_s`` ago."""
        if self.shown:
            self.update(self._text(), self._done + self._failed)
        elif not self.quiet and time.monotonic() - self._last_line >= every_s:
            self._last_line = time.monotonic()
            print(self._text(), file=sys.stderr)

    def _text(self) -> str:
        points = len(self._method)
        ended = self._done + self._failed
        left = points - ended
        now = time.monotonic()
        parts = [f"{self._done} of {points} points done"]
        parts += [f"{self._failed} failed"] if self._failed else []
        still_s = now - max(self._ends, default=self._began)
        if ended and left:
            is_slow = still_s > SLOW * self._mean_s(self._ends)
            # Points of a method of which none has ended may take any time.
            unknown = any(
                count for method, count in self._left.items() if method not in self._known
            )
            about = "at least" if is_slow or unknown else "about"
            rest_s = self._rest_s(now, is_slow=is_slow)
            parts.append(f"{left} left{f', {about} {duration(rest_s)}' if rest_s > 0.0 else ''}")
            if is_slow and still_s > LINE_EVERY_S:
                parts.append(f"no point has ended for {duration(still_s)}")
        elif left and still_s > LINE_EVERY_S:
            parts.append(f"{left} left, the first ones have run for {duration(still_s)}")
        return "; ".join([", ".join(parts), *self._so_far()])

    def _so_far(self) -> Iterator[str]:
        """Say what complete points of each method have come to in the mean, and which take long."""
        found = {method: mean(values) for method, values in self._accuracy.items()}
        if found:
            named = [f"{method} {value:.3f}".strip() for method, value in found.items()]
            yield f"accuracy {some(named, MOST_NAMED)}"
        took_s = {method: mean(values) for method, values in self._wall_s.items()}
        if len(took_s) > 1:
            slowest = max(took_s, key=lambda method: took_s[method])
            yield f"slowest {slowest}, {duration(took_s[slowest])} a point"

    def _rest_s(self, now: float, *, is_slow: bool) -> float:
        """Return how long what is left may take; not above 0 where that is not known."""
        points, took_s = len(self._method), now - self._began
        if shares := sum(share_done(beat) or 0.0 for _, beat in self._beats()):
            return time_left_s(took_s, (len(self._ends) + shares) / points)
        # Where nothing has ended for long, it takes as long as if a point had ended now.
        mean_s = self._mean_s([*self._ends[:-1], now] if is_slow else self._ends)
        return mean_s * math.ceil(points / self._at_once) - took_s

    def _mean_s(self, ends: Sequence[float]) -> float:
        """Return how long a point takes in the mean: each began when a place became free."""
        places = self._at_once
        # The sum of all ends less the sum of all begins, as those of one place follow each other.
        return sum(end - self._began for end in ends[-places:]) / len(ends)


def _line(point: Point, beat: dict[str, Any]) -> str:
    """Say which point runs, how far it has come, and how accurate its model is by now."""
    parts = [labelled(point.values, point.values), f"seed {point.seed}"]
    keys = ("time_s", "span_s", "cycle", "cycles")
    parts.append(how_far(*(beat[key] for key in keys)) if "time_s" in beat else "starting")
    if beat.get("accuracy") is not None:
        parts.append(f"accuracy {beat['accuracy']:.3f}")
    return ", ".join(part for part in parts if part)
