"""Progress of a run: a bar on a terminal, with an estimate of the rest; elsewhere nothing."""

from __future__ import annotations

import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenarios import Scenario

REFRESH_S = 0.1
"""Wall time between two looks at the simulated clock."""
SHORT_S = 2 * 86400.0
"""A run below this is told in hours."""


class Progress:
    """Listens to a run's evaluations, and to the simulated time in between.

    ``shown`` says whether there is a bar: on a terminal that can draw one, unless ``quiet``.
    """

    def __init__(self, scenario: Scenario, quiet: bool) -> None:
        dumb = os.environ.get("TERM") == "dumb"
        self.shown = not quiet and sys.stderr.isatty() and not dumb
        self._cycles = scenario.stop.cycles
        self._span_s = _span_s(scenario)
        self._cycle = 0
        self._cycle_s = 0.0
        self._accuracy = math.nan
        self._next_look = -math.inf
        self._began: tuple[float, float] | None = None
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if self.shown:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress

            columns = BarColumn(20), TextColumn("{task.description}"), TimeRemainingColumn()
            self._bar = RichProgress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("getting ready", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, time_s: float, cycle: int, accuracy: float) -> None:
        """Hear of an evaluation."""
        if cycle > self._cycle:
            self._cycle, self._cycle_s = cycle, time_s
        self._accuracy = accuracy
        self._next_look = -math.inf
        self.at(time_s)

    def at(self, time_s: float) -> None:
        """Hear what time it is on the simulated clock: behind every event, so it must be cheap."""
        if self._bar is None or (now := time.monotonic()) < self._next_look:
            return
        self._next_look = now + REFRESH_S
        self._began = self._began or (now, time_s)
        text, end_s = self._text(time_s, now), self._end_s()
        if end_s is None:
            self._bar.update(self._task, description=text)
        else:
            self._bar.update(self._task, completed=time_s / end_s, total=1.0, description=text)

    def _end_s(self) -> float | None:
        """When the run will end: its span, or sooner if cycles go on coming as they have."""
        ends_s = [] if self._span_s is None else [self._span_s]
        if self._cycles is not None and self._cycle:
            ends_s.append(self._cycle_s * self._cycles / self._cycle)
        return min(ends_s, default=None)

    def _text(self, time_s: float, now: float) -> str:
        short = self._span_s is not None and self._span_s < SHORT_S
        unit, unit_s = ("hour", 3600.0) if short else ("day", 86400.0)
        of = "" if self._span_s is None else f" of {self._span_s / unit_s:.1f}"
        cycles = "" if self._cycles is None else f" of {self._cycles}"
        parts = [f"{unit} {time_s / unit_s:.1f}{of}", f"cycle {self._cycle}{cycles}"]
        if not math.isnan(self._accuracy):
            parts.append(f"accuracy {self._accuracy:.3f}")
        began, from_s = self._began or (now, time_s)
        if now > began:
            parts.append(f"{(time_s - from_s) / (now - began) / 3600:.3g} h/s")
        return ", ".join(parts)


def _span_s(scenario: Scenario) -> float | None:
    """Return the longest time that the scenario may take, s; None where its windows say it."""
    orbit, stop = scenario.orbit, scenario.stop
    spans_s = [] if stop.days is None else [stop.days * 86400.0]
    if orbit.source == "slots" and stop.cycles is not None:
        slots = len(scenario.ground.clusters) + orbit.slots.idle
        spans_s.append(stop.cycles * slots * orbit.slots.seconds)
    return min(spans_s, default=None)
