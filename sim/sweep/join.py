"""A process that works on a sweep: it takes the next point until all have ended.

Any number of them, on any machines that share the folder, work on one sweep; each may come and go
at any time. ``python -m sim.sweep.join FOLDER`` is one. What a run prints goes to the log; why a
process cannot work goes to stdout, a line. When its stdin ends, who has started it is
gone, and it ends at once.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import scenarios
from learning.own.raised import ANYTHING
from sim.engine.progress import share_done
from sim.errors import InputError, Interrupted, SimulationError, failure_code
from sim.execution.checkpoint import has_saved
from sim.execution.folder import POINTS, SWEEP
from sim.execution.identity import changed_code, code_of, point_identity
from sim.execution.interrupt import PATIENCE_S, on_signals
from sim.execution.result import Result
from sim.execution.running import run
from sim.execution.versions import check_versions
from sim.facts.observer import Observer
from sim.facts.status import COMPLETE, CRASHED, FAILED, INTERRUPTED, REFUSED
from sim.files import free_folder, trouble_text
from sim.process.beginning import INTERRUPTED_STATUS, tell_exits
from sim.process.garbage import collect_seldom
from sim.sweep.claims import ENDED, RELEASED, RUNNING, Claim, Claims
from sim.sweep.folder import SHARED_S, is_of_other_code, read_about
from sim.sweep.point import Point, PointOutcome, by_start
from sim.sweep.rows import outcome_in, row_figures
from sim.world.world import World
from statements import UNSERVABLE, Code, refused_json

LOOK_S = 0.5
"""Seconds between two looks where others run all that is left."""
MOST_DEATHS = 3
"""How many processes may die of a point, without a new checkpoint, until it has crashed."""
ATTEMPTS = 2
"""How often a process tries a point that fails."""
GRACE_S = 30.0
"""Seconds that a training which is broken off may take to end; else the process does."""
CANNOT = 2
"""Exit status of a process that may not, or cannot, work on the sweep."""


class StopSignal(Observer):
    """Ends a run on a signal, or when its claim was lost; a training that does not end is broken.

    What was saved last is whole, and trainings that have ended are in the store.
    """

    def __init__(self) -> None:
        self.asked = False
        self.lost = threading.Event()
        self._so_far: Callable[[], Mapping[str, Any]] = dict

    def follows(self, so_far: Callable[[], Mapping[str, Any]]) -> None:
        """Ask this how far the run has come."""
        self._so_far = so_far

    def share(self) -> float:
        """Return which share of the run is done, as far as it is known."""
        return share_done(self._so_far()) or 0.0

    def ask(self) -> None:
        """Stop; who asks again breaks off what is computed."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        threading.Thread(target=_break_off, daemon=True).start()

    def event(self, number: int, time_s: float) -> None:
        """End the run if that was asked for."""
        if self.asked:
            raise Interrupted("stopped on request", in_haste=True)
        if self.lost.is_set():
            raise Interrupted("taken over by another process", in_haste=True)


def _break_off() -> None:
    time.sleep(PATIENCE_S)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_S)
    os._exit(INTERRUPTED_STATUS)


class Joined:
    """One process that works on the sweep in a folder."""

    def __init__(self, place: Path, stop: StopSignal, *, cache: bool, keep_going: bool) -> None:
        self._place = place
        self._stop = stop
        self._cache = cache
        self._keep_going = keep_going
        self._claims = Claims(place)
        self._points: Sequence[Point] = ()
        self._read_at: tuple[int, int] | None = None
        self._start = ""

    def work(self) -> None:
        """Take points until all have ended, or it is to stop."""
        while not self._stop.asked:
            self._look_at_sweep()
            held = self._claims.look()
            ours = [held[point.digest] for point in self._points if point.digest in held]
            if not self._keep_going and any(map(is_failure, ours)):
                return
            if all(claim.state == ENDED for claim in ours) and len(ours) == len(self._points):
                return
            if not self._take_one(held):
                time.sleep(LOOK_S)

    def _look_at_sweep(self) -> None:
        """Read what the sweep is, again if it was extended meanwhile."""
        about = (self._place / SWEEP).stat()
        if self._read_at != (about.st_ino, about.st_mtime_ns):
            self._read_at = about.st_ino, about.st_mtime_ns
            said = read_about(self._place)
            assert said is not None  # it was there
            check_versions(said.get("made_with", {}))
            every = [Point(**one) for one in said["points"]]
            first = {point.digest: point for point in reversed(every)}
            self._points = by_start(sorted(first.values(), key=lambda point: point.number))

    def _take_one(self, held: Mapping[str, Claim]) -> bool:
        """Claim a point and run it; False if there is none to be had."""
        free = [
            (point, before)
            for point in self._points
            if (before := held.get(point.digest)) is None or self._is_free(before)
        ]
        begun = {point.start for point in self._points if point.digest in held}

        def rank(pair: tuple[Point, Claim | None]) -> int:
            """Those of the dead, of the data at hand, of data that nobody has, and all others."""
            point, before = pair
            kinds = (before is not None, point.start == self._start, point.start not in begun)
            return next((place for place, it_is in enumerate(kinds) if it_is), len(kinds))

        for point, before in sorted(free, key=rank):
            deaths, saved_event = (0, 0) if before is None else self._claims.deaths(before)
            number = 1 if before is None else before.number + 1
            if deaths >= MOST_DEATHS:
                text = f"its process was ended {deaths} times without a new checkpoint"
                crashed = PointOutcome(
                    point.digest, CRASHED, f"{text} (out of memory?)", attempts=deaths
                )
                self._claims.take(point.digest, number, state=ENDED, outcome=crashed)
                return True
            claim = self._claims.take(point.digest, number, deaths=deaths, saved_event=saved_event)
            if claim is not None:
                self._start = point.start
                self._run(point, claim)
                return True
        return False

    def _is_free(self, claim: Claim) -> bool:
        if claim.state == RELEASED:
            return True
        return claim.state == RUNNING and self._claims.is_dead(claim)

    def _run(self, point: Point, claim: Claim) -> None:
        claims = self._claims
        ready = self._place / POINTS / point.digest
        known = outcome_in(ready, point.digest) if ready.is_dir() else None
        if known is not None and known.status == COMPLETE and not is_of_other_code(point, ready):
            claims.end(claim, known)  # its owner died behind the rename, or it is of before
            return
        self._stop.follows(dict)  # and no longer the run before
        with claims.renewed(claim, self._stop.share) as self._stop.lost:
            claims.inherit(claim)  # to copy what another one has saved may take long
            outcome = self._attempted(point, claim)
        if claims.is_lost(claim):
            print(f"point {point.number} was taken over", file=sys.stderr)
            claims.drop(claim)
        elif outcome.status == INTERRUPTED:
            claims.release(claim)
            self._stop.asked = True  # or it would take the point again, and again
        else:
            try:
                claims.publish(claim)
                claims.end(claim, outcome)
            except OSError as error:
                why = outcome.error or trouble_text(error)
                raise SimulationError(f"point {point.number}: {why}") from error
        _let_go()

    def _attempted(self, point: Point, claim: Claim) -> PointOutcome:
        """Return how a point ended, which is tried once more where it fails."""
        notes = []
        outcome = PointOutcome(point.digest, INTERRUPTED)
        for tried in range(claim.deaths + 1, max(claim.deaths + 1, ATTEMPTS) + 1):
            outcome = attempt(
                point, self._claims.scratch(claim), cache=self._cache, observers=[self._stop]
            )
            notes += [outcome.note] if outcome.note else []
            outcome = replace(outcome, attempts=tried, note="; ".join(notes))
            if outcome.status != FAILED or self._stop.lost.is_set():
                break
        return outcome


def is_failure(claim: Claim) -> bool:
    """Whether a point has failed; what can never be served is a result, not a mistake."""
    outcome = claim.outcome
    if claim.state != ENDED or outcome is None:
        return False
    return outcome.status != COMPLETE and outcome.code not in UNSERVABLE


def _let_go() -> None:
    """Free the memory of points that are over.

    The parts of a run refer to each other, and the plan of a constellation takes hundreds of
    megabytes: the collector, which counts objects and not bytes, would come too late. What the
    first point has imported stays, and is not looked through each time.
    """
    gc.collect()
    if not gc.get_freeze_count():
        gc.freeze()


def _check_shared(place: Path) -> None:
    """Raise InputError where the sweep's folder is not seen within SHARED_S."""
    until = time.monotonic() + SHARED_S
    while not (place / SWEEP).exists():
        # A listing makes a network file system ask anew.
        if time.monotonic() > until or not place.parent.is_dir():
            host = socket.gethostname()
            text = "is not on {host}; machines must share the file system"
            raise InputError.of_file(place, Code.NO_FILE, text, host=host)
        with suppress(OSError):
            os.listdir(place)
        time.sleep(LOOK_S)


def _end_with(asked: IO[bytes]) -> None:
    """End the process, and what it has started, when who has started it does."""
    asked.read()
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(INTERRUPTED_STATUS)


def attempt(
    point: Point,
    place: Path,
    *,
    cache: bool = False,
    observers: Sequence[Observer] = (),
) -> PointOutcome:
    """Run ``point`` in the folder ``place``, going on where an earlier attempt was stopped.

    ``observers`` may raise Interrupted. What is wrong with the point, or fails, is in the outcome;
    no such error is raised.
    """
    try:
        result, note = _result(point, place, cache=cache, observers=observers)
        figures = row_figures(result)
        return PointOutcome(point.digest, COMPLETE, figures=figures, note=note)
    except (Interrupted, SimulationError, ValueError) as error:
        how = {Interrupted: INTERRUPTED, SimulationError: FAILED, ValueError: REFUSED}
        status = next(ended for kind, ended in how.items() if isinstance(error, kind))
        code = "" if status == INTERRUPTED else failure_code(error)
        said = refused_json(error) if isinstance(error, ValueError) else None
        return PointOutcome(point.digest, status, _one_line(error), code=code, said=said)
    except KeyboardInterrupt:  # before the run began, or behind it
        return PointOutcome(point.digest, INTERRUPTED, "stopped at once")
    except ANYTHING as error:
        # Whatever it was, it costs this point only; where it came from is in the workers' log.
        traceback.print_exc()
        text = f"{type(error).__name__}: {_one_line(error)}"
        return PointOutcome(point.digest, FAILED, text, code=failure_code(error))


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
            "sweep it again",
        )
    if changed := changed_code(code_of(world, running=True), point.code):
        raise InputError.of(
            Code.OWN_CODE,
            "",
            "{files}: has changed since this worker imported it",
            "start workers anew",
            files=", ".join(changed),
        )
    began = place.is_file() or (place.is_dir() and any(place.iterdir()))
    execute = partial(run, observers=observers, cache=cache, keep=False, advise=False)
    go_on = partial(execute, scenario, place, resume=True)
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


def main() -> None:
    """Work on the sweep in a folder until all of its points have ended."""
    collect_seldom()
    end = tell_exits()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what else is printed to stdout goes to stderr
    asked = os.fdopen(os.dup(0), "rb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)  # what a run starts finds nothing to read
    threading.Thread(target=_end_with, args=(asked,), daemon=True).start()
    place, flags = Path(sys.argv[1]), sys.argv[2:]
    stop = StopSignal()
    code = 0
    with on_signals(stop.ask):
        try:
            _check_shared(place)
            cache, keep_going = "--no-cache" not in flags, "--keep-going" in flags
            Joined(place, stop, cache=cache, keep_going=keep_going).work()
        except (InputError, SimulationError, OSError) as error:
            said = trouble_text(error) if isinstance(error, OSError) else str(error)
            print(" ".join(said.split()), file=answers, flush=True)
            code = CANNOT
        except KeyboardInterrupt:
            code = INTERRUPTED_STATUS
        with suppress(OSError):  # the log's disk may be full
            sys.stderr.flush()
        end(code)  # libraries are not taken apart, which takes a second


if __name__ == "__main__":
    main()
