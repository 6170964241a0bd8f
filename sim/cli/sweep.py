"""`leomix sweep`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli import options, output
from sim.cli.options import spread_out
from sim.cli.output import ExitCode

if TYPE_CHECKING:
    import pyarrow as pa

    from sim.sweep.options import SweepOptions
    from sim.sweep.points import SweepPlan
    from sim.sweep.running import Sweeping


@dataclass(frozen=True)
class Varied:
    """What is swept: values of keys, and the seeds of each combination."""

    sweep: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="KEY=SPEC", help="vary a key: a,b,c or start:stop:step"),
    ] = None
    variants: options.VariantsFile = None
    replications: Annotated[
        int, typer.Option(metavar="N", help="runs of each combination; run r has seed + r")
    ] = 1

    def plan(self, source: str, overrides: Mapping[str, Any], *, keep_going: bool) -> SweepPlan:
        """Return the plan of a sweep of a scenario (name or file); InputError for wrong keys."""
        from sim.sweep.points import SweepPlan
        from sim.sweep.varied import Axes, read_pairs

        axes = Axes.of(read_pairs(self.sweep or ()), self.variants)
        return SweepPlan(source, overrides, axes, self.replications, keep_going)


@dataclass(frozen=True)
class Processes:
    """Where a sweep is run: its folder, its processes, and what goes on."""

    out: Annotated[Path | None, options.output("default runs/sweep-NAME")] = None
    jobs: options.Jobs = 1
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="run points on the workers of this Dask scheduler"),
    ] = None
    resume: Annotated[bool, options.go_on("sweep")] = False
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="go on with other points when one has failed")
    ] = False
    join: Annotated[
        bool, typer.Option("--join", help="begin the sweep in -o, or work on it beside others")
    ] = False
    merge: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="take the complete points of another folder; repeat it"),
    ] = None

    def sweep_options(self, limits: options.Limits) -> SweepOptions:
        """Return them for a sweep with these limits; InputError where they do not go together."""
        from sim.sweep.options import SweepOptions, workers

        return SweepOptions(
            out=self.out,
            workers=workers(self.jobs),
            dask=self.dask,
            resume=self.resume,
            keep_going=self.keep_going,
            join=self.join,
            cache=not limits.no_cache,
            max_wall_s=limits.max_wall_s,
            merge=tuple(self.merge or ()),
        )


@spread_out
def sweep_command(
    scenario: options.ScenarioName,
    varied: Varied,
    overrides: options.Overrides,
    processes: Processes,
    *,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="show the points, and run nothing"),
    ] = False,
    limits: options.Limits,
    shown: options.OutputOptions,
) -> None:
    """Run a scenario many times with some of its keys varied."""
    from sim.sweep.points import scenario_name
    from sim.sweep.running import rehearse, run_sweep

    how = processes.sweep_options(limits)
    keys = overrides.by_key()
    plan = varied.plan(scenario_name(scenario), keys, keep_going=how.keep_going)
    if dry_run:
        text, are_refused = rehearse(plan, how)
        print(text)
        if are_refused:
            raise typer.Exit(ExitCode.WRONG_INPUT)
        return
    done = run_sweep(plan, how, quiet=shown.quiet, doubts=True)
    _show(done, as_json=shown.json_, is_brief=how.join and shown.quiet)
    left = len(done.left)
    if left or done.trouble:  # rows that could not be written leave something to be done
        some = left < len(done.tasks) or done.is_out_of_time
        raise typer.Exit(ExitCode.PARTLY if some else ExitCode.FAILED)


def _show(done: Sweeping, *, as_json: bool, is_brief: bool) -> None:
    """Say on stderr what is left to be done, and show the rows on stdout.

    In brief, that is the folder alone: of many processes that join, each would show the same rows.
    """
    from sim.files import from_here
    from sim.sweep.rows import printed_rows, reuse_text, sha256_text

    rows = done.rows()
    keys = list(done.points[0].values)
    for line in _remaining(done, rows, keys):
        print(line, file=sys.stderr)
    ended = "has ended" if done.left or done.trouble else "is complete"
    named = from_here(done.place)
    elsewhere = f"leomix report {named}"
    with output.showing(f"the sweep {ended}, its table", elsewhere, json_=as_json):
        if as_json:
            output.print_json(printed_rows(rows))
            return
        said, steps = ("", []) if is_brief else _finding(done)
        print(said, end="\n\n" if said else "")
        below = {
            "trainings": "" if is_brief else reuse_text(rows),
            "sweep sha256": "" if is_brief else sha256_text(rows),
            "sweep folder": str(named) if done.kept else "",
        }
        for head, text in below.items():
            if text:
                print(f"{head:<14} {text}")
        print("\n".join(["", *steps]), end="\n" if steps else "")


def _finding(done: Sweeping) -> tuple[str, list[str]]:
    """Return what the sweep has found, and what to do next; nothing where no rows are kept."""
    from sim.analysis.comparison_text import comparison_text
    from sim.sweep import read_sweep
    from sim.sweep.comparison import compare_sweep, next_steps

    if not done.kept or done.trouble:  # what was written is not there, or of before
        return "", []
    sweep = read_sweep(done.place)
    found = compare_sweep(sweep)
    return comparison_text(found), next_steps(sweep, found)


def _remaining(done: Sweeping, rows: pa.Table, keys: Sequence[str]) -> Iterator[str]:
    """Say which points have failed, what is left to be done, and how to go on."""
    from sim.files import from_here
    from sim.sweep.rows import failures_text, no_room

    place = from_here(done.place)
    again = f"go on with: --resume -o {place}"
    yield from failures_text(rows, keys)
    if not done.kept:
        yield f"none of {len(done.tasks)} points is done; mend what failed: nothing is kept"
    elif done.left:
        mend = f"free space on the disk of {place}" if no_room(rows) else "mend what failed"
        left = f"{len(done.left)} of {len(done.tasks)} points are not done; {mend}, then {again}"
        yield f"{left} (past failures with --keep-going)"
    if done.trouble:
        yield f"{done.trouble}; the points are kept, {again}"
