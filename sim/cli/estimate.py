"""`leomix validate --estimate`: what a run will take in memory, time and on disk."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

from learning.architecture.footprint import PHASES, is_there
from learning.hardware import free_bytes
from sim.engine.cost import FACTOR, Cost, Pace, cost_of
from sim.engine.memory import Need, bytes_of, counts_of, needs_of, peak_of
from sim.engine.setup import Build
from sim.errors import SimulationError
from sim.formatting import data_size, duration
from sim.sweep.point import Outcome, Point
from sim.sweep.trial import tried

TRIAL_S = 5.0
"""Seconds behind its first event that a run is tried for."""


def estimate_text(
    built: Build, source: str, overrides: Mapping[str, Any], cost: Cost | None = None
) -> str:
    """Return a table of what a run takes; the run is tried for some seconds on this machine.

    ``source`` and ``overrides`` are what it was loaded from, ``cost`` is what is known of it. One
    that does not fit into memory is not tried.
    """
    needs = needs_of(built, counts_of(built))
    free = free_bytes("cpu")
    total = bytes_of(peak_of(needs))
    known = "free memory is not known here" if free is None else f"of {data_size(free)} free"
    rows = [("memory", f"about {data_size(total)}", known)]
    rows += _steps(needs)
    if free is not None and total > free:
        rows.append(("time", "-", "not tried: the run does not fit into memory"))
    else:
        rows += _tried(built, source, overrides, cost)
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    return "\n".join(f"{a.ljust(widths[0])}  {b.rjust(widths[1])}  {c}" for a, b, c in rows)


def _steps(needs: Sequence[Need]) -> Iterator[tuple[str, str, str]]:
    """Yield a row for each need: what is there for long, then each phase, with its sum."""
    for need in needs:
        if need.when not in PHASES:
            yield f"  {need.what}", data_size(need.bytes), need.figures
    for phase, words in PHASES.items():
        of_phase = [need for need in needs if need.when == phase]
        together = bytes_of([need for need in needs if is_there(need.when, phase)])
        if of_phase:
            before = " but changes and devices" if phase == "before" else ""
            yield f"  {words}", data_size(together), f"with all of the above{before}"
        for need in of_phase:
            yield f"    {need.what}", data_size(need.bytes), need.figures


def estimated_s(built: Build, source: str, overrides: Mapping[str, Any]) -> float | None:
    """Return how long a run takes here by a trial, None where neither it nor rounds tell.

    Raises SimulationError for a run that fails.
    """
    outcome, cost = _trial(built, source, overrides, None)
    if outcome.error:
        raise SimulationError(outcome.error)
    return _whole_s(outcome.figures, cost)


def _trial(
    built: Build, source: str, overrides: Mapping[str, Any], cost: Cost | None
) -> tuple[Outcome, Cost | None]:
    """Try a run; return what came of it, and what the run costs with the pace that it had."""
    point = Point(
        number=0,
        digest="",
        scenario=source,
        overrides=dict(overrides),
        values={},
        replication=0,
        seed=built.scenario.seed,
    )
    outcome = tried(point, TRIAL_S)
    if outcome.error:
        return outcome, cost
    if cost is None:
        cost = cost_of(built)
    pace = outcome.figures["pace"]
    if cost is not None and cost.pace is None and pace is not None:
        cost = replace(cost, pace=Pace(**pace))
    return outcome, cost


def _whole_s(took: Mapping[str, Any], cost: Cost | None) -> float | None:
    """Return the seconds of the whole run: by the share that was tried, or else by its rounds."""
    if isfinite(took["wall_s"]):
        return float(took["wall_s"])
    if cost is None or cost.wall_s is None:
        return None
    return float(took["before_s"] + max(cost.wall_s, took["tried_s"]))


def _tried(
    built: Build, source: str, overrides: Mapping[str, Any], cost: Cost | None
) -> list[tuple[str, str, str]]:
    outcome, cost = _trial(built, source, overrides, cost)
    if outcome.error:
        return [("time", "-", f"none, the run fails: {outcome.error}")]
    took = outcome.figures
    whole_s = _whole_s(took, cost)
    training = [] if cost is None else _training(cost)
    begins = f"and {duration(took['before_s'])} before it begins"
    if not isfinite(took["wall_s"]):
        trial = f"a trial of {duration(took['tried_s'])} came to {took['share']:.1%} of it"
        if cost is None or whole_s is None:
            least_s = took["before_s"] + took["tried_s"]
            return [
                ("time", f"over {duration(least_s)}", f"{trial}, too little to tell"),
                *training,
            ]
        by_rounds = f"by its {cost.rounds_text}, {begins}, within a factor of {FACTOR}: {trial}"
        return [("time", f"about {duration(whole_s)}", by_rounds), *training]
    source = f"tried: {took['share']:.1%} of it took {duration(took['behind_s'])}"
    return [
        ("time", f"about {duration(took['wall_s'])}", f"{source}, {begins}"),
        *training,
        ("disk", data_size(took["size_bytes"]), "by what the trial wrote"),
        ("tried in", data_size(took["peak_bytes"]), "of memory"),
    ]


def _training(cost: Cost) -> list[tuple[str, str, str]]:
    """Return a row on the rounds that are trained, and how long each of them takes."""
    known = cost.trains and cost.training_s is not None
    shown = f"about {duration(cost.training_s or 0.0)}" if known else "-"
    return [("training", shown, ": ".join(filter(None, (cost.rounds_text, cost.pace_text))))]
