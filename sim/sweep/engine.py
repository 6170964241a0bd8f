"""An engine of a sweep: points in, outcomes out. Where their processes run is up to the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sim.sweep.point import Outcome, Point

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
        self, points: Sequence[Point], folder: Path, cache: bool
    ) -> Generator[Outcome, None, None]:
        """Run ``points`` (no two of one digest) in ``folder/DIGEST`` and yield how each ended.

        As many are handed out at a time as there are threads. Outcomes come as they come, one a
        point that was started: a point that failed or crashed has been tried twice by then.
        ``cache`` uses the store of training results. What still runs when this is left is killed.
        """
        waiting = deque(points)
        busy = dict[Future[Any], Path]()
        asked = False
        with self._submitting(points, folder, cache) as submit:
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
        self, points: Sequence[Point], folder: Path, cache: bool
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
