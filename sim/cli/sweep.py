"""`leomix sweep`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.cli import options

if TYPE_CHECKING:
    from sim.sweep.running import Sweeping

FAILED, PARTLY = 1, 3
"""Exit status of a sweep of which no point is done, or some are and some are not."""

ENDED = {"failed": 1, "crashed": 1, "refused": 2}
"""Exit status of a dry run by how the point ended that was tried."""


def sweep_command(
    scenario: options.ScenarioName,
    sweep: Annotated[
        list[str],
        typer.Option("-p", metavar="KEY=SPEC", help="vary a key: a,b,c or start:stop:step"),
    ],
    sampling: Annotated[str, typer.Option(metavar="HOW", help="grid, zip or random")] = "grid",
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="how many random combinations")
    ] = None,
    set_: options.SetKeys = None,
    seed: options.Seed = None,
    replications: Annotated[
        int, typer.Option(metavar="N", help="runs of each combination; run r has seed + r")
    ] = 1,
    out: Annotated[Path | None, options.output("default runs/sweep-NAME")] = None,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", metavar="N", help="number of processes; 0 = one per core")
    ] = 1,
    engine: Annotated[str, typer.Option(metavar="NAME", help="local or dask")] = "local",
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="of --engine dask")
    ] = None,
    resume: Annotated[bool, options.go_on("sweep")] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="go on with other points when one has failed")
    ] = False,
    shard: Annotated[
        str | None, typer.Option(metavar="i/N", help="run only the i-th of N parts")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show points, time and disk, and run nothing")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="more than 10,000 points are meant")] = False,
    no_cache: options.NoCache = False,
    max_wall: options.MaxWall = None,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Run a scenario many times with some of its keys varied."""
    from sim.sweep import running
    from sim.sweep.points import Plan, read_pairs

    name = running.scenario_name(scenario)
    overrides, specs = options.overrides_of(set_, seed), read_pairs(sweep)
    plan = Plan(name, overrides, specs, sampling, samples, replications)
    how = running.SweepOptions(
        out=out,
        workers=running.workers(jobs),
        engine=engine,
        scheduler=scheduler,
        resume=resume,
        keep_going=keep_going,
        shard=running.shard(shard),
        cache=not no_cache,
        max_wall_s=options.wall_s(max_wall),
    )
    points = running.points_of(plan, yes)
    if dry_run:
        text, ended = running.rehearse(plan, points, how)
        print(text)
        if ended in ENDED:
            raise typer.Exit(ENDED[ended])
        return
    done = running.run_points(plan, points, how, quiet)
    _show(done, json_)
    left = len(done.left)
    if left or done.trouble:  # rows that could not be written leave something to be done
        raise typer.Exit(PARTLY if left < len(done.tasks) else FAILED)


def _show(done: Sweeping, json_: bool) -> None:
    from sim.sweep.text import failures_text, no_room, reuse_text, sha256_text, table_text

    rows = done.rows()
    keys = list(done.points[0].values)
    for line in failures_text(rows, keys):
        print(line, file=sys.stderr)
    if done.left:
        mend = f"free space on the disk of {done.place}" if no_room(rows) else "mend what failed"
        print(
            f"{len(done.left)} of {len(done.tasks)} points are not done; {mend}, then "
            f"go on with: --resume -o {done.place} (past failures with --keep-going)",
            file=sys.stderr,
        )
    if done.trouble:
        print(
            f"{done.trouble}; the points are kept, go on with: --resume -o {done.place}",
            file=sys.stderr,
        )
    ended = "has ended" if done.left or done.trouble else "is complete"
    with options.showing(f"the sweep {ended}, its table", f"leomix report {done.place}", json_):
        if json_:
            options.print_json(rows.to_pylist())
            return
        print(table_text(rows, keys))
        shown = {"trainings": reuse_text(rows), "sweep sha256": sha256_text(rows)}
        for head, text in {**shown, "sweep folder": str(done.place)}.items():
            if text:
                print(f"{head:<14} {text}")
