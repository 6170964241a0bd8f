"""The bar of a run: how far it has come, what is left, and what its model came to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sim.analysis.evaluations import followed, judged_of
from sim.cli.output import warn
from sim.engine.progress import share_done
from sim.facts.observer import Observer
from sim.formatting import STILL_EVERY_S, Bar, counted, duration, how_far, seconds, time_left_s
from sim.world.world import World
from statements import Statement

REFRESH_S = 0.1
"""Wall time between two looks at the simulated clock."""


class Progress(Bar, Observer):
    """Shows how far a run has come, how long the rest takes, and what its model came to."""

    def __init__(self, world: World, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self._world = world
        self._so_far: Callable[[], Mapping[str, Any]] | None = None
        self._measured = ""
        self._next_look = -math.inf
        self.doubts: tuple[Statement, ...] = ()
        self._first: float | None = None
        self._latest = 0.0
        self.start("getting ready")

    def doubted(self, doubts: Sequence[Statement]) -> None:
        """Print what may be wrong while there is time to stop."""
        self.doubts += tuple(doubts)
        warn(doubts)

    def follows(self, so_far: Callable[[], Mapping[str, Any]]) -> None:
        """Ask this from the first event on how far the run has come."""
        self._so_far = so_far

    def measured(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show an evaluation: what it measured of all clusters together, which is the first row."""
        pooled = rows[0]
        data = self._world.learning.data
        judged = judged_of(self._world.learning.loss, data.objective)
        validates = data.validation > 0
        if pooled["time_s"] > 0.0:
            self._measured = followed(pooled, judged, of_validation=validates, digits=3)
        self._next_look = -math.inf
        if not self.quiet:
            self._show(time.monotonic())

    def event(self, number: int, time_s: float) -> None:
        """Show how far the run is: after every event, so it must be cheap."""
        self._latest = now = time.monotonic()
        self._first = self._first or now
        if self.shown and now >= self._next_look:
            self._next_look = now + REFRESH_S
            self._show(now)

    def look_after(self) -> None:
        """Show how far the run is while a computation goes on."""
        self._show(time.monotonic())
        super().look_after()

    def _show(self, now: float) -> None:
        if self._so_far is None or self._first is None:
            return
        beat = self._so_far()
        self.update(self._text(beat, now - self._first, now - self._latest), share_done(beat))

    def _text(self, beat: Mapping[str, Any], took_s: float, still_s: float) -> str:
        """Say how far a run has come in ``took_s``, whose last event was ``still_s`` ago."""
        rounds, share = beat["rounds"], share_done(beat)
        parts = [how_far(beat["time_s"], beat["span_s"], beat["cycle"], beat["cycles"])]
        parts += [counted(rounds, "round")] if rounds else []
        if share and took_s > 0.0:
            about = "at most" if self._world.stop.early else "about"
            pace = f" at {_pace(took_s / rounds)} a round" if rounds else ""
            parts.append(f"{about} {duration(time_left_s(took_s, share))} left{pace}")
        if still_s > STILL_EVERY_S:
            parts.append(f"no event for {duration(still_s)}")
        tested = self._measured
        if not tested and self._world.learning.train:
            tested = f"first test at {beat['next_test_s'] / 3600:.2f} h"
        return "; ".join(part for part in (", ".join(parts), tested) if part)


def _pace(round_s: float) -> str:
    return duration(round_s) if round_s >= 0.1 else seconds(round_s)
