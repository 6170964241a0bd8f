"""A sweep as far as it has come, read from its folder while it goes on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.execution.folder import MANIFEST, POINTS, SWEEP
from sim.execution.live import run_beat
from sim.facts.status import COMPLETE
from sim.sweep.engine import Outcome, Point
from sim.sweep.folder import ROWS, Sweep, read_about, read_sweep
from sim.sweep.rows import outcome_in, outcomes_of, rows_table
from statements import Code


class SoFar:
    """How the points of the sweep in a folder have ended by the last :meth:`look`.

    ``sweep.parquet`` is behind: the folders of points tell the rest. What has not been written anew
    is not read again. ``running`` are the signs of life of the points that run. Raises InputError
    for a folder that holds no sweep.
    """

    def __init__(self, place: Path) -> None:
        about = read_about(place)
        if about is None:
            raise InputError.of_file(
                place, Code.NO_FILE, f"no folder of a sweep (it has no {SWEEP})"
            )
        self._place = place
        self._about = about
        self._points = [Point(**point) for point in about["points"]]
        self._read: dict[Path, int] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.running: list[dict[str, Any]] = []

    @property
    def points(self) -> int:
        """How many points the sweep has."""
        return len(self._points)

    @property
    def complete(self) -> int:
        """How many of them are complete."""
        return self._ended(complete=True)

    @property
    def failed(self) -> int:
        """How many of them have ended otherwise."""
        return self._ended(complete=False)

    @property
    def sweep(self) -> Sweep:
        """The sweep with the rows that there are by now."""
        return Sweep(self._place, self._about, rows_table(self._points, self.outcomes))

    def look(self) -> None:
        """Look at what is there by now; raise InputError where nothing is left of it."""
        if not (self._place / SWEEP).is_file():
            raise InputError.of_file(
                self._place,
                Code.NOT_RECORDED,
                "the sweep in it has ended, and nothing of it is kept",
            )
        if self._is_new(self._place / ROWS):
            self.outcomes |= outcomes_of(read_sweep(self._place).rows)
        self.running = []
        for digest in sorted(self._begun()):
            place = self._place / POINTS / digest
            if beat := run_beat(place):
                self.running.append(beat)
            elif self._is_new(place / MANIFEST) and (found := outcome_in(place, digest)):
                self.outcomes[digest] = found

    def _begun(self) -> set[str]:
        """Return the digests of points that have a folder, and are not known to be complete."""
        there = {entry.name for entry in os.scandir(self._place / POINTS)}
        known = self.outcomes
        return {
            point.digest
            for point in self._points
            if point.digest in there
            and (point.digest not in known or known[point.digest].status != COMPLETE)
        }

    def _is_new(self, path: Path) -> bool:
        """Whether a file has been written since this was asked last."""
        try:
            written = path.stat().st_mtime_ns
        except OSError:
            return False
        before, self._read[path] = self._read.get(path), written
        return written != before

    def _ended(self, *, complete: bool) -> int:
        ended = (self.outcomes.get(point.digest) for point in self._points)
        return sum(one is not None and (one.status == COMPLETE) == complete for one in ended)
