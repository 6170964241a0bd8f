"""Run a sweep: claim its folder, skip what is done, run the rest, and keep the rows."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from sim.errors import InputError, Interrupted
from sim.file_trouble import trouble_text
from sim.sweeps.engine import COMPLETE, INTERRUPTED, Engine, Outcome, Point
from sim.sweeps.figures import outcome_in
from sim.sweeps.folder import write_rows
from sim.sweeps.lock import locked
from sim.sweeps.rows import POINTS, rows_table
from sim.sweeps.signals import asking_to_stop

ROWS_EVERY_S = 5.0
"""Seconds between two writings of the rows."""

COLLECTING_S = 600.0
"""Seconds to wait for other shards that collect all rows."""

Hear = Callable[[Outcome], None]


@dataclass
class Sweeping:
    """One sweep, or one shard of it: the points of all, and those that are its own.

    ``trouble`` says what could not be written, if anything could not.
    """

    place: Path
    points: Sequence[Point]
    own: Sequence[Point]
    part: str = "rows"
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    trouble: str = ""
    _written_at: float = 0.0

    def collect(self) -> None:
        """Find out how the points ended that were run before, or by others."""
        for digest in dict.fromkeys(point.digest for point in self.points):
            place = self.place / POINTS / digest
            if digest not in self.outcomes and place.is_dir():
                found = outcome_in(place, digest)
                if found is not None:
                    self.outcomes[digest] = found

    @cached_property
    def tasks(self) -> list[Point]:
        """Own points that have a run: of equal ones the first, whoever owns it."""
        first = {point.digest: point for point in reversed(self.points)}
        return [point for point in self.own if first[point.digest] is point]

    @property
    def left(self) -> list[Point]:
        """Points that are to be run: what failed is run again."""
        return [point for point in self.tasks if not self.is_complete(point)]

    def run(
        self,
        engine: Engine,
        cache: bool,
        keep_going: bool,
        hear: Hear,
        max_wall_s: float = math.inf,
    ) -> None:
        """Run the points that are left, for so long at most; the rows are kept whatever happens.

        Raises Interrupted if it was asked to stop, or its time was over.
        """
        left = self.left
        self._written_at = time.monotonic()
        try:
            with asking_to_stop(engine, max_wall_s) as asked:
                for outcome in engine.run(left, (self.place / POINTS).resolve(), cache):
                    self._take(outcome, hear)
                    if outcome.status not in (COMPLETE, INTERRUPTED) and not keep_going:
                        engine.hold()
                stopped = asked()
        finally:
            self._keep_rows()
        if stopped:
            raise Interrupted(f"go on with: --resume -o {self.place}")

    def rows(self) -> pa.Table:
        """Return the rows of all points."""
        return rows_table(self.points, self.outcomes)

    def is_complete(self, point: Point) -> bool:
        """Tell whether a point's run is done."""
        outcome = self.outcomes.get(point.digest)
        return outcome is not None and outcome.status == COMPLETE

    def _take(self, outcome: Outcome, hear: Hear) -> None:
        self.outcomes[outcome.digest] = outcome
        hear(outcome)
        if time.monotonic() - self._written_at >= ROWS_EVERY_S:
            # If this cannot be written, or another shard is at it, the last time will tell: points
            # go on being run.
            with contextlib.suppress(OSError, InputError), locked(self.place, "rows", 0.0):
                self.collect()
                write_rows(self.place, self.rows(), self.part)
            self._written_at = time.monotonic()

    def _keep_rows(self) -> None:
        try:
            # One shard after the other, so that none overwrites rows with what it knew before.
            with locked(self.place, "rows", COLLECTING_S):
                self.collect()
                write_rows(self.place, self.rows(), self.part)
        except OSError as error:
            # The points are kept, and what is known of them can still be shown.
            self.trouble = trouble_text(error)
