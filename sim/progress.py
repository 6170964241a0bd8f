"""Progress on stderr: a bar on a terminal, now and then a line elsewhere, nothing when quiet."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenarios import Scenario

LINE_EVERY_S = 5.0


class Progress:
    """Listens to the evaluations of a run."""

    def __init__(self, scenario: Scenario, quiet: bool) -> None:
        self._quiet = quiet
        self._stop = scenario.stop
        self._bar: Any = None
        self._task: Any = None
        self._last_line = -math.inf

    def __enter__(self) -> Progress:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as RichProgress

            columns = BarColumn(), TextColumn("{task.description}")
            self._bar = RichProgress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("starting", total=1.0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, time_s: float, cycle: int, accuracy: float) -> None:
        """Show one evaluation."""
        shown = "" if math.isnan(accuracy) else f", accuracy {accuracy:.3f}"
        text = f"day {time_s / 86400:.2f}, cycle {cycle}{shown}"
        if self._bar is not None:
            self._bar.update(self._task, completed=self._share(time_s, cycle), description=text)
        elif not self._quiet and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            print(text, file=sys.stderr)

    def _share(self, time_s: float, cycle: int) -> float:
        by_days = time_s / 86400 / self._stop.days if self._stop.days else 0.0
        by_cycles = cycle / self._stop.cycles if self._stop.cycles else 0.0
        return min(1.0, max(by_days, by_cycles))
