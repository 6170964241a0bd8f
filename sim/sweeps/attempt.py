"""One attempt at one point, in the process that calls: what every engine does with a point."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sim.checkpoint import has_saved
from sim.errors import InputError, Interrupted, SimulationError
from sim.sweeps.engine import COMPLETE, FAILED, INTERRUPTED, REFUSED, Outcome, Point

if TYPE_CHECKING:
    from scenarios import Scenario
    from sim.result import Result

EachEvent = Callable[[int], None]


def attempt(
    point: Point, folder: Path, cache: bool = False, each_event: EachEvent | None = None
) -> Outcome:
    """Run ``point`` in ``folder/DIGEST``, going on where an earlier attempt was stopped.

    ``each_event`` may raise Interrupted. What is wrong with the point, or fails, is in the outcome;
    no such error is raised.
    """
    from sim.sweeps.figures import figures_of

    try:
        result, note = _result(point, folder / point.digest, cache, each_event)
        figures = figures_of(result.summary, result.manifest)
        return Outcome(point.digest, COMPLETE, figures=figures, note=note)
    except Interrupted as error:
        return Outcome(point.digest, INTERRUPTED, str(error))
    except SimulationError as error:
        return Outcome(point.digest, FAILED, _one_line(error))
    except ValueError as error:
        return Outcome(point.digest, REFUSED, _one_line(error))
    except Exception as error:
        # Whatever it was, it costs this point only; where it came from is in the workers' log.
        traceback.print_exc()
        return Outcome(point.digest, FAILED, f"{type(error).__name__}: {_one_line(error)}")


def _result(
    point: Point, place: Path, cache: bool, each_event: EachEvent | None
) -> tuple[Result, str]:
    """Return the result of a point; what could not be resumed is put aside, and said."""
    from sim.running import run

    scenario = _scenario(point)
    began = place.is_file() or (place.is_dir() and any(place.iterdir()))
    resumed = has_saved(place)
    try:
        return run(scenario, place, resume=True, each_event=each_event, cache=cache), ""
    except (InputError, SimulationError) as error:
        # Anew only where that may help; a disk that is full would be filled further.
        in_the_way = began if isinstance(error, InputError) else resumed
        if not in_the_way or isinstance(error.__cause__, OSError):
            raise
        note = f"{place}: cannot be resumed ({_one_line(error)}); moved to {_put_aside(place)}"
    return run(scenario, place, resume=True, each_event=each_event, cache=cache), note


def _scenario(point: Point) -> Scenario:
    """Return the scenario of a point; raise InputError if its file is not what it was."""
    import scenarios
    from sim.sweeps.digest import digest_of

    scenario = scenarios.load(point.scenario, point.overrides)
    if digest_of(scenario) != point.digest:
        raise InputError(
            f"{point.scenario}: has changed since the sweep began; sweep it again in another folder"
        )
    return scenario


def _put_aside(place: Path) -> Path:
    """Move a folder out of the way, over the one that was moved before it."""
    aside = place.with_name(f"{place.name}.aside")
    if aside.is_dir():
        shutil.rmtree(aside)
    place.replace(aside)
    return aside


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
