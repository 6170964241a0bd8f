"""The bar of a run: evaluations, and the simulated time in between."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sim.analysis.judged import by_objective, followed
from sim.cli.output import warn
from sim.engine.progress import span_s
from sim.facts.observer import Observer
from sim.formatting import Bar, how_far
from sim.world.world import World
from statements import Statement

REFRESH_S = 0.1
"""Wall time between two looks at the simulated clock."""


class Progress(Bar, Observer):
    """Shows a run's evaluations, and the simulated time in between."""

    def __init__(self, world: World, *, quiet: bool) -> None:
        super().__init__(quiet=quiet, width=20, rest=True)
        self._cycles = world.stop.cycles
        self._span_s = span_s(world)
        self._cycle = 0
        self._cycle_s = 0.0
        self._data = world.learning.data
        self._measured = ""
        self._next_look = -math.inf
        self.doubts: tuple[Statement, ...] = ()
        self._first: tuple[float, float] | None = None
        self.start("getting ready")

    def doubted(self, doubts: Sequence[Statement]) -> None:
        """Print what may be wrong while there is time to stop."""
        self.doubts += tuple(doubts)
        warn(doubts)

    def measured(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show an evaluation: what it measured of all clusters together, which is the first row."""
        pooled = rows[0]
        time_s = pooled["time_s"]
        if pooled["cycle"] > self._cycle:
            self._cycle = pooled["cycle"]
            self._cycle_s = time_s
        judged, validates = by_objective(self._data.objective), self._data.validation > 0
        self._measured = followed(pooled, judged, of_validation=validates, digits=3)
        self._next_look = -math.inf
        self.event(0, time_s)

    def event(self, number: int, time_s: float) -> None:
        """Show the simulated time: after every event, so it must be cheap."""
        if self.quiet or (now := time.monotonic()) < self._next_look:
            return
        self._next_look = now + REFRESH_S
        self._first = self._first or (now, time_s)
        end_s = self._end_s()
        share = None if end_s is None else time_s / end_s
        self.update(self._text(time_s, now), share, None if end_s is None else 1.0)

    def _end_s(self) -> float | None:
        """When the run will end: its span, or sooner if cycles go on coming as they have."""
        ends_s = [] if self._span_s is None else [self._span_s]
        if self._cycles is not None and self._cycle:
            ends_s.append(self._cycle_s * self._cycles / self._cycle)
        return min(ends_s, default=None)

    def _text(self, time_s: float, now: float) -> str:
        parts = [how_far(time_s, self._span_s, self._cycle, self._cycles)]
        if self._measured:
            parts.append(self._measured)
        began, from_s = self._first or (now, time_s)
        if now > began:
            parts.append(f"{(time_s - from_s) / (now - began) / 3600:.3g} h/s")
        return ", ".join(parts)
