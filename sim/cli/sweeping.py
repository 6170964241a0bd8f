"""What `leomix sweep` does: from a plan to a folder of runs and their rows."""

from __future__ import annotations

from pathlib import Path

from sim.errors import InputError
from sim.files import free_folder
from sim.sweep.engine import Point
from sim.sweep.folder import LOG, about_sweep, among, check_claim, claim, give_up_if_unused, locked
from sim.sweep.points import MOST_POINTS, Plan
from sim.sweep.supervisor import How, Sweeping
from sim.sweep.text import SweepProgress
from sim.sweep.trial import dry_run_text


def points_of(plan: Plan, yes: bool) -> list[Point]:
    """Return all points of a sweep; InputError for what is wrong, and for very many unless meant.

    How many there are is known before any is made.
    """
    if plan.count > MOST_POINTS and not yes:
        raise InputError(
            f"{plan.count:,} points are more than {MOST_POINTS:,}; add --yes if that is meant"
        )
    return list(plan.points())


def rehearse(plan: Plan, points: list[Point], how: How) -> tuple[str, str]:
    """Return what would be done, as text, and how a point ended that was tried for it.

    Nothing is written.
    """
    place = how.out or _free_folder(plan)
    check_claim(place, about_sweep(points, plan.asked), resume=True)
    sweeping = Sweeping(place, points, how.own(points))
    sweeping.collect()
    return dry_run_text(sweeping, how.workers)


def run_points(plan: Plan, points: list[Point], how: How, quiet: bool) -> Sweeping:
    """Run the points that are left, and return the sweep with its rows."""
    place = how.out or _free_folder(plan)
    may_be_there = how.resume or how.shard[1] > 1
    about = about_sweep(points, plan.asked)
    check_claim(place, about, may_be_there)
    how.check_engine()
    is_new = claim(place, about, may_be_there, how.part)
    try:
        return _run(place, points, how, quiet)
    finally:
        # What came to nothing is not in the way of the corrected command.
        if is_new and how.shard[1] == 1:
            give_up_if_unused(place)


def _run(place: Path, points: list[Point], how: How, quiet: bool) -> Sweeping:
    with among(place, how.shard[1]), locked(place, how.part) as lock:
        sweeping = Sweeping(place, points, how.own(points), how.part)
        sweeping.collect()
        with SweepProgress(len(sweeping.left), quiet) as progress:
            engine = how.new_engine(place, lock)
            sweeping.run(engine, how.cache, how.keep_going, progress, how.max_wall_s)
        if how.shard[1] == 1:  # else others may be writing to it
            _remove_if_empty(place / LOG)
    return sweeping


def _free_folder(plan: Plan) -> Path:
    """Return the first free ``runs/sweep-NAME``, with a number behind it if need be."""
    return free_folder(Path("runs") / f"sweep-{Path(plan.scenario).stem}")


def _remove_if_empty(log: Path) -> None:
    if log.exists() and log.stat().st_size == 0:
        log.unlink(missing_ok=True)
