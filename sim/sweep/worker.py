"""How a point is run, once: what it is refused by or fails by is its outcome.

``python -m sim.sweep.worker`` tries the point of its command line for some seconds, in a folder.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import scenarios
from learning.own.code import running_code_digest
from learning.own.raised import ANYTHING
from scenarios.scenario import Stop
from sim.errors import InputError, Interrupted, SimulationError, failure_code
from sim.execution.checkpoint import CHECKPOINT, has_saved
from sim.execution.identity import changed_code, code_of, point_identity
from sim.execution.interrupt import PATIENCE_S
from sim.execution.result import Result
from sim.execution.running import run
from sim.facts.observer import Observer
from sim.facts.status import COMPLETE, FAILED, INTERRUPTED, REFUSED
from sim.files import folder_bytes, free_folder
from sim.sweep.point import Outcome, Point
from sim.sweep.rows import figures_of
from sim.world.world import World
from statements import Code, Other, Statement, refused_json


def attempt(
    point: Point,
    place: Path,
    *,
    cache: bool = False,
    observers: Sequence[Observer] = (),
    limit_s: float | None = None,
) -> Outcome:
    """Run ``point`` in the folder ``place``, going on where an earlier attempt was stopped.

    ``observers`` may raise Interrupted. With ``limit_s`` the point is only tried for so long, and
    the figures are those of ``measured``. What is wrong with the point, or fails, is in the
    outcome; no such error is raised.
    """
    try:
        if limit_s is not None:
            return Outcome(point.digest, COMPLETE, figures=measured(point, place, limit_s))
        result, note = _result(point, place, cache=cache, observers=observers)
        figures = figures_of(result)
        return Outcome(point.digest, COMPLETE, figures=figures, note=note)
    except (Interrupted, SimulationError, ValueError) as error:
        how = {Interrupted: INTERRUPTED, SimulationError: FAILED, ValueError: REFUSED}
        status = next(ended for kind, ended in how.items() if isinstance(error, kind))
        code = "" if status == INTERRUPTED else failure_code(error)
        said = refused_json(error) if isinstance(error, ValueError) else None
        return Outcome(point.digest, status, _one_line(error), code=code, said=said)
    except KeyboardInterrupt:  # before the run began, or behind it
        return Outcome(point.digest, INTERRUPTED, "stopped at once")
    except ANYTHING as error:
        # Whatever it was, it costs this point only; where it came from is in the workers' log.
        traceback.print_exc()
        text = f"{type(error).__name__}: {_one_line(error)}"
        return Outcome(point.digest, FAILED, text, code=failure_code(error))


def _result(
    point: Point, place: Path, *, cache: bool, observers: Sequence[Observer]
) -> tuple[Result, str]:
    """Return the result of a point; what could not be resumed is put aside, and said."""
    scenario = scenarios.load(point.scenario, point.overrides)
    world = World(scenario)
    if point_identity(world).digest != point.digest:
        raise InputError.of_file(
            point.scenario,
            Code.WRONG_FILE,
            "has changed since the sweep began, or a file that it names",
            Other(said="sweep it again"),
        )
    if changed := changed_code(code_of(world, running_code_digest), point.code):
        raise InputError(
            Statement.of(
                Code.OWN_CODE,
                "",
                "{files}: has changed since this worker imported it",
                Other(said="start workers anew"),
                files=", ".join(changed),
            )
        )
    began = place.is_file() or (place.is_dir() and any(place.iterdir()))
    go_on = partial(run, scenario, place, resume=True, observers=observers, cache=cache, keep=False)
    resumed = has_saved(place)
    try:
        return go_on(), ""
    except (InputError, SimulationError) as error:
        # Anew only where that may help; a disk that is full would be filled further.
        in_the_way = began if isinstance(error, InputError) else resumed
        if not in_the_way or isinstance(error.__cause__, OSError):
            raise
        # An earlier one may be there.
        aside = free_folder(place.with_name(f"{point.digest}.aside"))
        place.replace(aside)
        ready = place.with_name(point.digest)
        note = f"{ready}: cannot be resumed ({_one_line(error)}); moved to {aside}"
    return go_on(), note


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


LEAST_SHARE = 0.02
"""The share of a run that tells what all of it takes; less of it does not."""
LEAST_ACCOUNTED = 0.5
"""The part of a trial's time that has to be that of the share which was run."""


class _TimeIsUpError(KeyboardInterrupt):
    """A trial is broken off where nothing else ends it."""


class _Watch(Observer):
    """Measures how far a run comes, and ends it when its time is up.

    A run that ``trains`` has come as far as its last evaluation: training is computed when the
    model is asked for. One that is at it beyond its time for PATIENCE_S is broken off: by the
    ``alarm``, which is told at the first event after how many seconds that is.
    """

    def __init__(
        self,
        stop: Stop,
        limit_s: float,
        *,
        trains: bool,
        alarm: Callable[[float], None] | None = None,
    ) -> None:
        self._alarm = alarm
        self._stop = stop
        self._limit_s = limit_s
        self._trains = trains
        self._began = time.monotonic()
        self._first: float | None = None
        self._reached = self._ended = self._began
        self.share = 0.0
        self._complete = False

    @property
    def before_s(self) -> float:
        """Seconds before the first event."""
        return (self._first or self._reached) - self._began

    @property
    def behind_s(self) -> float:
        """Seconds from the first event until the run came to its ``share``, or until its end."""
        return self._reached - (self._first or self._reached)

    def event(self, number: int, time_s: float) -> None:
        """Take the time, and raise Interrupted when it is up."""
        now = time.monotonic()
        if self._first is None:
            self._first = now
            if self._alarm is not None:
                self._alarm(self._limit_s + PATIENCE_S)
        if not self._trains and self._stop.days:
            self.share = min(1.0, max(self.share, time_s / 86400 / self._stop.days))
            self._reached = now
        if now - self._first > self._limit_s:
            raise Interrupted("that is enough", in_haste=True)

    def evaluated(self, time_s: float, cycle: int, accuracy: float) -> None:
        """Take down how far the run has come, in time and in cycles."""
        reached = cycle / self._stop.cycles if self._stop.cycles else 0.0
        if self._trains and self._stop.days:
            reached = max(reached, time_s / 86400 / self._stop.days)
        if reached > self.share:
            self.share = min(1.0, reached)
            self._reached = time.monotonic()

    def ended(self, share: float) -> None:
        """Take down that the run has ended, having come to this ``share`` at least."""
        self._ended = time.monotonic()
        self._complete = share == 1.0
        if share == 1.0 or not self.share:
            self._reached = self._ended
        self.share = max(self.share, share)

    @property
    def is_telling(self) -> bool:
        """Whether the share that was run tells what all of it takes.

        It does if it is not tiny, and most of the time went into it: of a single event that takes
        long, or a training that was broken off, nobody knows how much is left.
        """
        return self._complete or (
            self.share >= LEAST_SHARE and self.behind_s >= LEAST_ACCOUNTED * self.tried_s
        )

    @property
    def tried_s(self) -> float:
        """Seconds from the first event until it was ended."""
        return self._ended - (self._first or self._ended)


@contextmanager
def _alarmed() -> Iterator[None]:
    """Break off what is computed when an alarm goes off, which :func:`_set_alarm` sets within."""

    def break_off(*_: object) -> None:
        raise _TimeIsUpError

    before = signal.signal(signal.SIGALRM, break_off)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _set_alarm(after_s: float) -> None:
    """Raise SIGALRM after so long: it ends a process in which nobody waits for it."""
    signal.setitimer(signal.ITIMER_REAL, after_s)


def measured(point: Point, folder: Path, limit_s: float) -> dict[str, Any]:
    """Run a point in a ``folder`` of no other for ``limit_s`` at most; return what that took.

    ``wall_s`` and ``size_bytes`` are those of all of it, inf where too little was run to tell; it
    came to ``share`` of that, in ``before_s`` to the first event and ``behind_s`` since, and ended
    ``tried_s`` behind it. A short point is run twice, as the first time pays for what a worker
    imports once.
    """
    scenario = scenarios.load(point.scenario, point.overrides)
    trains = scenario.learning is not None and scenario.learning.train
    began = time.monotonic()
    for place in (folder / "first", folder / "second"):
        watch = _Watch(scenario.stop, limit_s, trains=trains, alarm=_set_alarm)
        share = 0.0
        with suppress(Interrupted, _TimeIsUpError), _alarmed():
            run(scenario, place, observers=[watch])
            share = 1.0
        watch.ended(share)
        if watch.share < 1.0 or time.monotonic() - began >= limit_s:
            break
    share = watch.share
    known = watch.is_telling
    # What is saved to go on from is not there at the end.
    size_bytes = folder_bytes(place) - folder_bytes(place / CHECKPOINT)
    return {
        "before_s": watch.before_s,
        "behind_s": watch.behind_s,
        "tried_s": watch.tried_s,
        "share": share,
        "wall_s": watch.before_s + watch.behind_s / share if known else math.inf,
        "size_bytes": size_bytes / share if known else math.inf,
    }


def main() -> None:
    """Try a point, and print its outcome as JSON."""
    fields, folder, limit_s = json.loads(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what else is printed to stdout goes to stderr
    outcome = attempt(Point(**fields), folder, limit_s=limit_s)
    print(json.dumps(asdict(outcome)), file=answers, flush=True)


if __name__ == "__main__":
    main()
