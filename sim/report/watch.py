"""`watch(folder)`: the page of a run or a sweep, written anew while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sim.errors import InputError
from sim.execution.folder import as_written, is_sweep
from sim.report.figures import Figures
from sim.report.page import Renewed, html
from sim.report.watched import Ended, State, Watched, WatchedRun, WatchedSweep
from sim.report.write import checked, report, write_page
from statements import Code

EVERY_S = 5.0
"""Seconds between two pages, unless another number is asked for."""
LEAST_S = 1.0
SHARE = 0.2
"""Share of one core that pages take, at most."""
LOOK_S = 0.5
"""Seconds between two looks at whether it has ended."""
STILL_S = 30.0
"""Seconds after which a page is written anew although there is nothing new on it."""


@dataclass
class Pages:
    """The pages of what is watched, one after the other, at ``path``.

    The next one is written ``wait_s`` after the last one: the longer, the more the last one cost.
    """

    watched: Watched
    path: Path
    every_s: float
    wait_s: float = 0.0
    _written_at: float | None = None
    _due_at: float = 0.0

    def write_if_due(self, state: State) -> bool:
        """Write a page if it is time and there is something new; return whether it was written."""
        now = time.monotonic()
        if now < self._due_at:
            return False
        began_s = time.process_time()
        still = self._written_at is not None and now - self._written_at >= STILL_S
        if not (self.watched.is_new() or still):
            return False
        is_written = self.write(state)
        cost_s = time.process_time() - began_s
        self.wait_s = max(self.every_s, cost_s * (1.0 / SHARE - 1.0))
        self._due_at = time.monotonic() + self.wait_s
        return is_written

    def write(self, state: State) -> bool:
        """Write the page by now; return whether there is one."""
        try:
            with as_written([self.watched.folder]):
                page = self.watched.page(state)
                if page is None:
                    return False
                if state.ended is None:
                    written_utc = datetime.now(UTC).isoformat(timespec="seconds")
                    every_s = max(self.wait_s, self.every_s)
                    page = replace(page, renewed=Renewed(every_s, written_utc))
                text = html(page, Figures())
        except (InputError, OSError):
            if self.watched.is_there:
                raise
            return False  # newer tables have been written meanwhile, or it has ended
        write_page(self.path, text)
        self._written_at = time.monotonic()
        return True


def watch(
    folder: str | Path,
    out: str | Path | None = None,
    every_s: float = EVERY_S,
    *,
    tell: Callable[[State], None] | None = None,
    wrote: Callable[[Path], None] | None = None,
) -> Ended:
    """Write the page of a run or a sweep anew every ``every_s`` seconds until it has ended.

    Pages take SHARE of a core at most, so that those of a large run come more seldom. The last one
    of a complete run is what :func:`sim.report.report` writes, at the same place. ``tell`` is told
    how far it has come, ``wrote`` once where the page is. Returns how it ended. Raises InputError
    for a folder in which nothing has begun, and for a file that cannot be written.
    """
    if not every_s >= LEAST_S:
        raise InputError.of_option(
            f"--every {every_s:g}", Code.WRONG_VALUE, f"must be {LEAST_S:g} s or more"
        )
    place = Path(folder)
    path = checked([place], None if out is None else Path(out))
    watched = WatchedSweep(place) if is_sweep(place) else WatchedRun(place)
    pages = Pages(watched, path, every_s)
    is_there = False
    while (state := watched.look()).ended is None:
        if tell is not None:
            tell(state)
        is_written = pages.write_if_due(state)
        if is_written and not is_there and wrote is not None:
            wrote(path)
        is_there |= is_written
        time.sleep(LOOK_S)
    if _write_last(pages, state, place) and not is_there and wrote is not None:
        wrote(path)
    return state.ended


def _write_last(pages: Pages, state: State, place: Path) -> bool:
    """Write the page of what has ended; return whether there is anything to show."""
    killed = state.ended is not None and state.ended.killed
    if killed and pages.write(state):
        return True
    try:
        report([place], pages.path)
    except InputError:
        if killed:  # its folder has no tables yet, or those of an earlier end
            return False
        raise
    return True
