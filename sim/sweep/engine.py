"""An engine of a sweep: points in, outcomes out. Where their processes run is up to the engine."""

from __future__ import annotations

import sys
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.errors import Interrupted
from sim.execution.interrupt import on_signals


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


LOOK_EVERY_S = 0.5
"""Seconds between two looks at how many points may run, and whether to stop."""

Submit = Callable[[Point], Future[Any]]
"""Hands a point out to a thread."""


class Engine(ABC):
    """Hands points out to threads, here or elsewhere, each with a process that runs one at a time.

    ``held``, which a signal handler may set too, lets it start no more points; those that run are
    finished, or saved and ended if it is ``stopped`` as well. ``lost`` says that no other will end.
    """

    def __init__(self) -> None:
        self.lost = self.held = self.stopped = False

    def run(
        self, points: Sequence[Point], folder: Path, *, cache: bool
    ) -> Generator[Outcome, None, None]:
        """Run ``points`` (no two of one digest) in ``folder/DIGEST`` and yield how each ended.

        As many are handed out at a time as there are threads. Outcomes come as they come, one a
        point that was started: a point that failed or crashed has been tried twice by then.
        ``cache`` uses the store of training results. What still runs when this is left is killed.
        """
        waiting = deque(points)
        busy = dict[Future[Any], Path]()
        asked = False
        with self._submitting(points, folder, cache=cache) as submit:
            while not self.lost and (busy or (waiting and not self.held)):
                while waiting and not self.held and len(busy) < self._threads():
                    point = waiting.popleft()
                    busy[submit(point)] = folder / point.digest
                if self.stopped and not asked:
                    asked = True
                    self._save(list(busy.values()))
                for future in wait(busy, LOOK_EVERY_S, FIRST_COMPLETED).done:
                    if not self.lost:
                        yield self._outcome(busy.pop(future).name, future)

    @abstractmethod
    def _submitting(
        self, points: Sequence[Point], folder: Path, *, cache: bool
    ) -> AbstractContextManager[Submit]:
        """Yield what hands a point out; end what still runs when this is left."""

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


PATIENCE_S = 5.0
"""Seconds that a point which is to stop may go on with a training; then it is broken off."""


@contextmanager
def asking_to_stop(engine: Engine, max_wall_s: float) -> Iterator[Callable[[], bool]]:
    """Stop ``engine`` on a signal and after ``max_wall_s``; yield what tells whether it was."""
    asked = False

    def stop(why: str) -> None:
        nonlocal asked
        asked = True
        engine.held = engine.stopped = True
        print(
            f"{why}: what runs is being saved; a training that takes longer than "
            f"{PATIENCE_S:.0f} s is broken off, and done again with --resume (Ctrl-C to end at "
            "once)",
            file=sys.stderr,
        )

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
