"""A sweep as a whole: claimed, locked, run or tried, and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.files import free_folder
from sim.formatting import as_yaml
from sim.sweep.engine import Point
from sim.sweep.folder import (
    LOG,
    Sweep,
    about_sweep,
    among,
    check_claim,
    claim,
    give_up_if_unused,
    locked,
    read_sweep,
)
from sim.sweep.points import MOST_POINTS, Plan
from sim.sweep.spec import read_spec
from sim.sweep.supervisor import Sweeping, SweepOptions, scenario_name, workers
from sim.sweep.text import SweepProgress
from sim.sweep.trial import dry_run_text


def sweep(
    scenario: str | Path,
    keys: Mapping[str, str | Sequence[Any]],
    out: str | Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    sampling: str = "grid",
    samples: int | None = None,
    replications: int = 1,
    jobs: int = 1,
    resume: bool = False,
    keep_going: bool = False,
    cache: bool = True,
    quiet: bool = True,
) -> Sweep:
    """Run ``scenario`` for combinations of values of ``keys``, as ``leomix sweep`` does.

    ``scenario`` is a path or a shipped name. ``keys`` maps dotted keys to values, or to a text like
    ``400:1200:50``; they are combined as a ``sampling`` of ``grid``, ``zip`` or ``random`` (with
    ``samples``), each with ``replications`` seeds. ``jobs`` processes run the points (0: one per
    core). ``out`` is a new folder (default: a free one in ``runs``), or with ``resume`` that of a
    sweep to continue. Returns the sweep with the rows that there are; their ``status`` says which
    points failed. Raises InputError for wrong input, before anything runs.
    """
    # A list is written as YAML, where texts are quoted: a comma or colon in one is not a SPEC's.
    specs = {
        key: read_spec(key, spec if isinstance(spec, str) else as_yaml(list(spec))[1:-1])
        for key, spec in keys.items()
    }
    name = scenario_name(str(scenario))
    plan = Plan(name, dict(overrides or {}), specs, sampling, samples, replications)
    options = SweepOptions(
        out=None if out is None else Path(out),
        workers=workers(jobs),
        resume=resume,
        keep_going=keep_going,
        cache=cache,
    )
    return read_sweep(run_points(plan, points_of(plan, yes=True), options, quiet).place)


def points_of(plan: Plan, yes: bool) -> list[Point]:
    """Return all points of a sweep; InputError for what is wrong, and for very many unless meant.

    How many there are is known before any is made.
    """
    if plan.count > MOST_POINTS and not yes:
        raise InputError(
            f"{plan.count:,} points are more than {MOST_POINTS:,}; add --yes if that is meant"
        )
    return list(plan.points())


def rehearse(plan: Plan, points: list[Point], options: SweepOptions) -> tuple[str, str]:
    """Return what would be done, as text, and how a point ended that was tried for it.

    Nothing is written.
    """
    place = options.out or _free_folder(plan)
    check_claim(place, about_sweep(points, plan.asked), resume=True)
    sweeping = Sweeping(place, points, options.own(points))
    sweeping.collect()
    return dry_run_text(sweeping, options.workers)


def run_points(plan: Plan, points: list[Point], options: SweepOptions, quiet: bool) -> Sweeping:
    """Run the points that are left, and return the sweep with its rows."""
    place = options.out or _free_folder(plan)
    may_be_there = options.resume or options.shard[1] > 1
    about = about_sweep(points, plan.asked)
    check_claim(place, about, may_be_there)
    options.check_engine()
    is_new = claim(place, about, may_be_there, options.part)
    try:
        return _run(place, points, options, quiet)
    finally:
        # What came to nothing is not in the way of the corrected command.
        if is_new and options.shard[1] == 1:
            give_up_if_unused(place)


def _run(place: Path, points: list[Point], options: SweepOptions, quiet: bool) -> Sweeping:
    with among(place, options.shard[1]), locked(place, options.part) as lock:
        sweeping = Sweeping(place, points, options.own(points), options.part)
        sweeping.collect()
        with SweepProgress(len(sweeping.left), quiet) as progress:
            engine = options.new_engine(lock)
            sweeping.run(engine, options.cache, options.keep_going, progress, options.max_wall_s)
        log = place / LOG
        if options.shard[1] == 1 and log.exists() and not log.stat().st_size:
            log.unlink(missing_ok=True)  # of several shards others may be writing to it
    return sweeping


def _free_folder(plan: Plan) -> Path:
    """Return the first free ``runs/sweep-NAME``, with a number behind it if need be."""
    return free_folder(Path("runs") / f"sweep-{Path(plan.scenario).stem}")
