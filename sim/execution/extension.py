"""A run that is extended: one with a later stop goes on where one with an earlier stop has been."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scenarios.scenario import Stop
from sim.errors import InputError
from sim.execution.checkpoint import hand_over, run_of
from sim.execution.folder import MANIFEST, POINTS, is_sweep
from sim.execution.identity import Named, NamedBuild
from sim.facts.status import COMPLETE
from sim.files import from_here
from statements import Code, Other


class GoesAnotherWay(Exception):
    """What was kept is not how a run with the later stop begins: it is gone, and is done anew."""


LIMITS = ("days", "cycles", "rounds")
"""Keys of ``stop`` at the first of which a run ends, whatever it has learnt."""


def begin(place: Path, named: NamedBuild, before: Mapping[str, Any] | None) -> bool:
    """Make the folder of a run with an earlier stop that of this one; return whether it was one.

    ``before`` is its manifest, if it came to write one. Raises InputError where it stops later, or
    could not be what this run would have been by then.
    """
    of = run_of(place) if before is None else before
    if not is_of_another_stop(of, named):
        return False
    _check_no_point(place)
    _check_later(place, _stop_of(of), named.stop)
    _check_not_tuned(place, named)
    if before is not None and before["status"] == COMPLETE:
        _check_not_ended_early(place, before, named.stop)
    hand_over(place, named.about)
    (place / MANIFEST).unlink(missing_ok=True)
    return True


def is_of_another_stop(of: Mapping[str, Any], named: Named) -> bool:
    """Whether a run, as its manifest or its checkpoint has it, differs by its stop alone."""
    if not of or of.get("besides_stop") != named.besides_stop:
        return False
    return _stop_of(of) != named.stop


def _stop_of(of: Mapping[str, Any]) -> dict[str, Any]:
    stop: dict[str, Any] = of["stop"] if "stop" in of else of["scenario"]["stop"]
    return stop


def _check_no_point(place: Path) -> None:
    if place.parent.name == POINTS and is_sweep(place.parent.parent):
        raise InputError.of_file(
            from_here(place),
            Code.WRONG_FILE,
            "is a point of a sweep, whose rows would not be those of its points",
            Other(said="name another folder, or sweep with the later stop"),
        )


def _check_later(place: Path, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for key in (*LIMITS, *Stop.EARLY):
        before, after = was.get(key), now[key]
        if after is None:
            continue
        if before is None or (after > before if key == "loss" else after < before):
            raise InputError.of_file(
                from_here(place),
                Code.WRONG_FILE,
                "holds a run that stops later: at stop.{key} {before}, and not at {after}",
                Other(said="name another folder"),
                key=key,
                before="null" if before is None else before,
                after=after,
            )


def _check_not_tuned(place: Path, named: NamedBuild) -> None:
    cycles = named.build.world.learning.gate_tuning_cycles
    if named.build.method.traits.tunes_at_the_end and cycles:
        raise InputError.of_file(
            from_here(place),
            Code.WRONG_FILE,
            f"holds a run whose last {cycles} cycles are tuned, counted back from its stop",
            Other(said="run it anew in another folder, or with learning.gate_tuning_cycles=0"),
        )


def _check_not_ended_early(place: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for key in Stop.EARLY:
        was, wanted = before["scenario"]["stop"].get(key), now[key]
        has_ended_it = f"stop.{key}" in (before.get("ended_by") or ())
        if has_ended_it and wanted is not None and wanted == was:
            further = "lower" if key == "loss" else "raise"
            raise InputError.of_file(
                from_here(place),
                Code.WRONG_FILE,
                f"holds a run that has reached stop.{key} {wanted:g}",
                Other(said=f"{further} that, or leave it out"),
            )
