"""An engine of a sweep: points in, outcomes out. Where their processes run is up to the engine."""

from __future__ import annotations

import json
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from learning.settings import LearningConfig
from sim.errors import Interrupted
from sim.execution.interrupt import BROKEN_OFF, PATIENCE_S, on_signals


@dataclass(frozen=True)
class Point:
    """One run of a sweep; all of it can be written as JSON.

    ``overrides`` are all keys over the scenario (a path, or a shipped name), ``values`` only those
    that are swept; ``digest`` names the resolved scenario and the folder of the run. Where the
    scenario names code of one's own, ``code`` has the digests of its files by ``MODULE:NAME``, and
    ``besides_code`` is a digest of all else.
    """

    number: int
    digest: str
    scenario: str
    overrides: dict[str, Any]
    values: dict[str, Any]
    replication: int
    seed: int
    besides_code: str = ""
    code: dict[str, str] = field(default_factory=dict)

    @cached_property
    def start(self) -> str:
        """What its data and start model depend on, as far as its keys tell.

        A process that runs points of one start after another makes them once. Where two points
        that differ have the same one, or equal ones do not, that costs time and nothing else.
        """
        own = {key: value for key, value in self.overrides.items() if _decides_start(key)}
        return json.dumps([self.seed, own], sort_keys=True)


LEARNING_KEYS = {"lora", *(part.name for part in fields(LearningConfig))}
"""Keys of ``learning:`` that decide what is trained; others are the method's."""


def _decides_start(key: str) -> bool:
    section, _, rest = key.partition(".")
    if section == "learning":
        return not rest or rest.partition(".")[0] in LEARNING_KEYS
    return section == "ground"  # whose clusters and devices hold the data


def by_start(points: Iterable[Point]) -> list[Point]:
    """Return the points so that those of one start follow one another, else in their order."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(point.start, []).append(point)
    return [point for group in groups.values() for point in group]


@dataclass(frozen=True)
class Outcome:
    """How a point ended; ``figures`` are those of its row, ``note`` is worth a line on stderr.

    ``code`` says of which kind its ``error`` is, if it was refused or failed; ``said`` is what is
    refused, as JSON.
    """

    digest: str
    status: str
    error: str = ""
    attempts: int = 1
    figures: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    code: str = ""
    said: dict[str, Any] | None = None


LOOK_EVERY_S = 0.5
"""Seconds between two looks at how many points may run, and whether to stop."""

Submit = Callable[[Point], Future[Any]]
"""Hands a point out to a thread."""


class Engine(ABC):
    """Hands points out to threads, here or elsewhere, each with a process that runs them.

    ``held``, which a signal handler may set too, lets it start no more points; those that run are
    finished, or saved and ended if it is ``stopped`` as well. ``lost`` says that no other will end.
    So many have run ``at_once`` at most.
    """

    def __init__(self) -> None:
        self.lost = self.held = self.stopped = False
        self.at_once = 1

    def run(
        self, points: Sequence[Point], folder: Path, *, cache: bool
    ) -> Generator[Outcome, None, None]:
        """Run ``points`` (no two of one digest) in ``folder/DIGEST`` and yield how each ended.

        As many are handed out at a time as there are threads, those of one start one after another
        as long as there are others to run meanwhile. Outcomes come as they come, one a point that
        was started: a point that failed or crashed has been tried twice by then. ``cache`` uses the
        store of training results. What still runs when this is left is killed.
        """
        waiting = by_start(points)
        busy = dict[Future[Any], Point]()
        asked = False
        with self._submitting(points, folder, cache=cache) as submit:
            while not self.lost and (busy or (waiting and not self.held)):
                while waiting and not self.held and len(busy) < self._threads():
                    point = self._next(waiting, busy.values())
                    waiting.remove(point)
                    busy[submit(point)] = point
                self.at_once = max(self.at_once, len(busy))
                if self.stopped and not asked:
                    asked = True
                    self._save([folder / point.digest for point in busy.values()])
                for future in wait(busy, LOOK_EVERY_S, FIRST_COMPLETED).done:
                    if not self.lost:
                        yield self._outcome(busy.pop(future).digest, future)

    def _next(self, waiting: Sequence[Point], running: Iterable[Point]) -> Point:
        """Return the point that is handed out next."""
        begun = {point.start for point in running}
        return next((point for point in waiting if point.start not in begun), waiting[0])

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


@contextmanager
def asking_to_stop(engine: Engine, max_wall_s: float) -> Iterator[Callable[[], bool]]:
    """Stop ``engine`` on a signal and after ``max_wall_s``; yield what tells whether it was."""
    asked = False

    def stop(why: str) -> None:
        nonlocal asked
        asked = True
        engine.held = engine.stopped = True
        broken_off = BROKEN_OFF.format(PATIENCE_S)
        print(f"{why}: what runs is being saved; {broken_off}", file=sys.stderr)

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
