"""A run that is extended: one with a later stop goes on where one with an earlier stop has been."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from learning.files import sync_folder
from scenarios.scenario import Stop
from sim.errors import InputError
from sim.execution.checkpoint import EXTENDING, Checkpoint, hand_over, lend, run_of
from sim.execution.folder import MANIFEST, POINTS, is_sweep, read_manifest
from sim.execution.identity import Named, NamedBuild
from sim.facts.status import COMPLETE
from sim.files import from_here
from statements import Code


class GoesAnotherWay(Exception):
    """What was kept is not how a run with the later stop begins: it is gone, and is done anew."""


STOP_LIMITS = ("days", "cycles", "rounds")
"""Keys of ``stop`` at the first of which a run ends, whatever it has learnt."""


def begin(place: Path, named: NamedBuild, before: Mapping[str, Any] | None) -> Path:
    """Return the folder in which a run begins that has the folder ``place``.

    That is ``place`` itself, unless a run with an earlier stop is complete there: then it is
    ``EXTENDING`` in it, and what is complete stays as it is. Where ``place`` has a run with an
    earlier stop that is not complete, it becomes that of this one. ``before`` is the manifest in
    it, if there is one. Raises InputError where the run there stops later, or could not be what
    this run would have been by then.
    """
    of = run_of(place) if before is None else before
    if not is_of_another_stop(of, named):
        return place
    _check_no_point(place)
    _check_later(place, _stop_of(of), named.stop)
    _check_not_tuned(place, named)
    if before is None or before["status"] != COMPLETE:
        hand_over(place, named.about)
        (place / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(place / EXTENDING, ignore_errors=True)
        return place
    _check_not_ended_early(place, before, named.stop)
    folder = place / EXTENDING
    begun = run_of(folder)
    if begun.get("identity") == named.identity:
        return folder
    if is_of_another_stop(begun, named) and _later_key(_stop_of(begun), named.stop) is None:
        hand_over(folder, named.about)
        (folder / MANIFEST).unlink(missing_ok=True)
    else:
        lend(place, folder, named.about)
    return folder


def adopt(place: Path) -> None:
    """Make an extension that is complete the run of the folder ``place`` that it extends.

    A process that is killed meanwhile leaves the folder without a manifest, and the next one that
    resumes goes on. Does nothing where no extension is complete.
    """
    folder = place / EXTENDING
    if not (folder / MANIFEST).exists() or read_manifest(folder)["status"] != COMPLETE:
        return
    (place / MANIFEST).unlink(missing_ok=True)
    Checkpoint(folder, {}).remove()
    for path in folder.iterdir():
        if path.name == MANIFEST:
            continue
        if path.is_dir():
            shutil.rmtree(place / path.name, ignore_errors=True)
        path.replace(place / path.name)
    sync_folder(place)
    (folder / MANIFEST).replace(place / MANIFEST)
    sync_folder(place)
    folder.rmdir()


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
            "name another folder, or sweep with the later stop",
        )


def _later_key(was: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return the first key by which the stop ``was`` may come later than ``now``; None without."""
    for key in (*STOP_LIMITS, *Stop.EARLY):
        before, after = was.get(key), now[key]
        if after is None:
            continue
        if before is None or (after > before if key == "loss" else after < before):
            return key
    return None


def _check_later(place: Path, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    key = _later_key(was, now)
    if key is not None:
        before = was.get(key)
        raise InputError.of_file(
            from_here(place),
            Code.WRONG_FILE,
            "holds a run that stops later: at stop.{key} {before}, and not at {after}",
            "name another folder",
            key=key,
            before="null" if before is None else before,
            after=now[key],
        )


def _check_not_tuned(place: Path, named: NamedBuild) -> None:
    cycles = named.build.world.learning.gate_tuning_cycles
    if named.build.method.traits.tunes_at_the_end and cycles:
        raise InputError.of_file(
            from_here(place),
            Code.WRONG_FILE,
            f"holds a run whose last {cycles} cycles are tuned, counted back from its stop",
            "run it anew in another folder, or with learning.gate_tuning_cycles=0",
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
                f"{further} that, or leave it out",
            )
