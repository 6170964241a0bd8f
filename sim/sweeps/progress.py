"""Progress of a sweep on stderr: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from sim.sweeps.engine import COMPLETE, INTERRUPTED, Outcome

LINE_EVERY_S = 5.0


class SweepProgress:
    """Hears of every point that ends; quiet, it only tells of folders that had to be moved."""

    def __init__(self, points: int, quiet: bool) -> None:
        self._points = points
        self._quiet = quiet
        self._done = self._failed = 0
        self._began = time.monotonic()
        self._last_line = -math.inf
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> SweepProgress:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as RichProgress

            columns = BarColumn(), TextColumn("{task.description}")
            self._bar = RichProgress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._text(), total=self._points)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, outcome: Outcome) -> None:
        """Show that a point has ended."""
        self._done += outcome.status == COMPLETE
        self._failed += outcome.status not in (COMPLETE, INTERRUPTED)
        if outcome.note:
            print(f"note: {outcome.note}", file=sys.stderr)
        if self._bar is not None:
            self._bar.update(
                self._task, completed=self._done + self._failed, description=self._text()
            )
        elif not self._quiet and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            print(self._text(), file=sys.stderr)

    def _text(self) -> str:
        ended = self._done + self._failed
        left = self._points - ended
        parts = [f"{self._done} of {self._points} points done"]
        parts += [f"{self._failed} failed"] if self._failed else []
        if ended and left:
            rest_s = (time.monotonic() - self._began) / ended * left
            parts.append(f"{left} left, about {duration(rest_s)}")
        return ", ".join(parts)


def duration(time_s: float) -> str:
    """Show a time in two figures or so: 40 s, 12 min, 3.5 h, 2.1 days."""
    for unit, scale, least in (("days", 86400.0, 172800.0), ("h", 3600.0, 7200.0)):
        if time_s >= least:
            return f"{time_s / scale:.1f} {unit}"
    return f"{time_s / 60:.0f} min" if time_s >= 120 else f"{time_s:.{0 if time_s >= 10 else 1}f} s"
