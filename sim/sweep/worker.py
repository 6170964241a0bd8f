"""How a point is run, once: what it is refused by or fails by is its outcome."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import scenarios
from learning.own.raised import ANYTHING
from sim.errors import InputError, Interrupted, SimulationError, failure_code
from sim.execution.checkpoint import has_saved
from sim.execution.identity import changed_code, code_of, point_identity
from sim.execution.result import Result
from sim.execution.running import run
from sim.facts.observer import Observer
from sim.facts.status import COMPLETE, FAILED, INTERRUPTED, REFUSED
from sim.files import free_folder
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
) -> Outcome:
    """Run ``point`` in the folder ``place``, going on where an earlier attempt was stopped.

    ``observers`` may raise Interrupted. What is wrong with the point, or fails, is in the outcome;
    no such error is raised.
    """
    try:
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
    if changed := changed_code(code_of(world, running=True), point.code):
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
