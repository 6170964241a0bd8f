"""What an engine of a sweep is: points in, outcomes out; how often a point is tried."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from sim.errors import Interrupted
from sim.execution.folder import CRASHED, FAILED, INTERRUPTED
from sim.execution.interrupt import on_signals

RETRIED = (FAILED, CRASHED, INTERRUPTED)
"""How a point may end that is tried once more, unless the sweep is to stop."""

ATTEMPTS = 2
"""How often a point is tried at most."""


@dataclass(frozen=True)
class Point:
    """One run of a sweep; all of it can be written as JSON.

    ``overrides`` are all keys over the scenario (a path, or a shipped name), ``values`` only those
    that are swept; ``digest`` names the resolved scenario and the folder of the run.
    """

    number: int
    digest: str
    scenario: str
    overrides: dict[str, Any]
    values: dict[str, Any]
    replication: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    """How a point ended; ``figures`` are those of its row, ``note`` is worth a line on stderr."""

    digest: str
    status: str
    error: str = ""
    attempts: int = 1
    figures: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def with_retries(attempt: Callable[[], Outcome], is_stopped: Callable[[], bool]) -> Outcome:
    """Attempt a point, and once more where that may help unless the sweep is to stop."""
    attempts, notes = 0, []
    while True:
        attempts += 1
        outcome = attempt()
        notes += [outcome.note] if outcome.note else []
        if outcome.status not in RETRIED or attempts == ATTEMPTS or is_stopped():
            return replace(outcome, attempts=attempts, note="; ".join(notes))


class Engine(Protocol):
    """Runs points, each by :func:`sim.sweep.worker.attempt` in some process.

    The methods that end things early may be called from a signal handler.
    """

    def run(self, points: Sequence[Point], folder: Path, cache: bool) -> Iterator[Outcome]:
        """Run ``points`` (no two of one digest) in ``folder/DIGEST`` and yield how each ended.

        Outcomes come as they come, one a point that was started: a point that failed or crashed
        has been tried ``ATTEMPTS`` times by then. ``cache`` uses the store of training results.
        """
        ...

    def hold(self) -> None:
        """Start no more points; those that are running are finished."""
        ...

    def stop(self) -> None:
        """Start no more points, and ask those that are running to save and end."""
        ...

    def kill(self) -> None:
        """End every process now."""
        ...


# Ctrl-C of a sweep: the first has what runs saved, the second ends it at once.


@contextmanager
def asking_to_stop(engine: Engine, max_wall_s: float) -> Iterator[Callable[[], bool]]:
    """Stop ``engine`` on SIGINT, SIGTERM and SIGHUP, and when ``max_wall_s`` are over.

    Yields what tells whether that was asked for.
    """
    asked = False

    def stop(why: str) -> None:
        nonlocal asked
        asked = True
        engine.stop()
        print(f"{why}: what runs is being saved (Ctrl-C to end at once)", file=sys.stderr)

    def ask() -> None:
        if asked:
            engine.kill()
            raise Interrupted("stopped at once")
        stop("stopping")

    last = threading.Timer(min(max_wall_s, threading.TIMEOUT_MAX), stop, ("wall time is over",))
    last.daemon = True
    with on_signals(ask):
        last.start()
        try:
            yield lambda: asked
        finally:
            last.cancel()
