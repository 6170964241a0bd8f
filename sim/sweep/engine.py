"""What an engine of a sweep is: points in, outcomes out; how it is asked to stop."""

from __future__ import annotations

import sys
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.errors import Interrupted
from sim.execution.interrupt import on_signals

LOOK_EVERY_S = 0.5
"""Seconds between two looks at how many points may run, and whether to stop."""


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


class Engine(ABC):
    """Hands points out to threads, here or elsewhere, each with a process that runs one at a time.

    The methods that end things early may be called from a signal handler.
    """

    def __init__(self) -> None:
        self.lost = False
        self._held = False
        self._stopped = False

    @abstractmethod
    def run(
        self, points: Sequence[Point], folder: Path, cache: bool
    ) -> Generator[Outcome, None, None]:
        """Run ``points`` (no two of one digest) in ``folder/DIGEST`` and yield how each ended.

        Outcomes come as they come, one a point that was started: a point that failed or crashed
        has been tried twice by then. ``cache`` uses the store of training results. What still runs
        when this is left is killed.
        """

    def hold(self) -> None:
        """Start no more points; those that are running are finished."""
        self._held = True

    def stop(self) -> None:
        """Start no more points, and have those that are running saved and ended."""
        self._held = self._stopped = True

    def handed_out(
        self, points: Sequence[Point], folder: Path, submit: Callable[[Point], Future[Any]]
    ) -> Iterator[Outcome]:
        """``submit`` as many points at a time as there are threads; yield how each ended."""
        waiting, busy, asked = deque(points), dict[Future[Any], Path](), False
        while not self.lost and (busy or (waiting and not self._held)):
            while waiting and not self._held and len(busy) < self._threads():
                point = waiting.popleft()
                busy[submit(point)] = folder / point.digest
            if self._stopped and not asked:
                asked = True
                self._save(list(busy.values()))
            for future in wait(busy, LOOK_EVERY_S, FIRST_COMPLETED).done:
                if not self.lost:
                    yield self._outcome(busy.pop(future).name, future)

    @abstractmethod
    def _threads(self) -> int:
        """How many points may be handed out at a time, one at least."""

    @abstractmethod
    def _save(self, places: Sequence[Path]) -> None:
        """Have the points saved and ended that run in these folders."""

    def _outcome(self, digest: str, future: Future[Any]) -> Outcome:
        """Return how a point ended; ``lost`` is set where no other will ever end."""
        outcome: Outcome = future.result()
        return outcome


# Ctrl-C of a sweep: the first has what runs saved, the second ends it at once.


@contextmanager
def asking_to_stop(engine: Engine, max_wall_s: float) -> Iterator[Callable[[], bool]]:
    """Stop ``engine`` on a signal and after ``max_wall_s``; yield what tells whether it was."""
    asked = False

    def stop(why: str) -> None:
        nonlocal asked
        asked = True
        engine.stop()
        print(f"{why}: what runs is being saved (Ctrl-C to end at once)", file=sys.stderr)

    def ask() -> None:
        if asked:
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
