"""`leomix run` and `fork`, with their progress, and `leomix sweep`."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli import options
from sim.errors import InputError, SimulationError
from sim.formatting import Bar

if TYPE_CHECKING:
    from scenarios import Scenario
    from sim.engine.observer import Observer
    from sim.execution.result import Result
    from sim.sweep.running import Sweeping


def run_command(
    scenario: options.ScenarioName,
    out: Annotated[Path | None, options.output("run folder; default runs/NAME-METHOD-SEED")] = None,
    set_: options.SetKeys = None,
    seed: options.Seed = None,
    resume: Annotated[bool, options.go_on("run")] = False,
    no_cache: options.NoCache = False,
    max_wall: options.MaxWall = None,
    tensorboard: options.Board = None,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Simulate a scenario and write its run folder."""
    from sim.execution.running import run
    from sim.files import free_folder

    within_s = options.wall_s(max_wall)
    loaded = options.load(scenario, set_, seed)
    if resume and out is None:
        raise InputError("--resume: name the run's folder with -o DIR")
    name = loaded.source_path.stem if loaded.source_path else "scenario"
    usual = Path("runs") / f"{name}-{loaded.learning.method}-{loaded.seed}"
    place = out or free_folder(usual)
    start = partial(run, loaded, place, resume, cache=not no_cache)
    carried_out(start, loaded, place, within_s, tensorboard, quiet, json_)


def fork_command(
    run: options.RunFolder,
    at: Annotated[
        str, typer.Option(metavar="TIME", help="simulated time: 36h, 2d, 90min, 5400 (seconds)")
    ],
    set_: options.SetKeys = None,
    out: Annotated[Path | None, options.output("run folder; default RUN_DIR-fork")] = None,
    resume: Annotated[bool, options.go_on("fork")] = False,
    no_cache: options.NoCache = False,
    max_wall: options.MaxWall = None,
    tensorboard: options.Board = None,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Go on with a run from some time on with keys of its scenario changed."""
    import scenarios
    from sim.execution.folder import as_written
    from sim.execution.forks import Parent, changed, fork
    from sim.files import free_folder
    from sim.formatting import parse_seconds

    within_s, at_s = options.wall_s(max_wall), parse_seconds("--at", at)
    overrides = options.overrides_of(set_, None)
    if resume and out is None:
        raise InputError("--resume: name the fork's folder with -o DIR")
    place = out or free_folder(run.with_name(f"{run.resolve().name}-fork"))
    with as_written([run]):
        parent = Parent(run)
        parent.check_time(at_s)
        scenario = scenarios.from_stored(changed(parent.stored, overrides), {})
    start = partial(fork, run, at_s, overrides, place, resume, cache=not no_cache)
    carried_out(start, scenario, place, within_s, tensorboard, quiet, json_)


def carried_out(
    start: Callable[..., Result],
    scenario: Scenario,
    place: Path,
    max_wall_s: float,
    tensorboard: Path | None,
    quiet: bool,
    json_: bool,
) -> None:
    """Run ``start`` into ``place`` and show what came out; curves go to ``tensorboard/NAME``."""
    from sim.analysis.text import summary_text
    from sim.execution.folder import FAILED, MANIFEST, as_written, read_manifest
    from sim.execution.interrupt import stop_on_interrupt

    boards: list[Observer] = []
    if tensorboard is not None:
        from sim.export import TensorBoard

        boards.append(TensorBoard(tensorboard / place.resolve().name))
    was_there = (place / MANIFEST).is_file()
    earlier = read_manifest(place) if was_there else {}
    try:
        with Progress(scenario, quiet) as progress, stop_on_interrupt(max_wall_s) as stop:
            result = start(observers=(progress, stop, *boards))
    except SimulationError as error:
        if earlier.get("status") != FAILED or str(error) != str(earlier.get("error")):
            raise
        again = f"{error}; it failed so before, and --resume does not mend that"
        raise SimulationError(again) from error
    # What a complete run says was read, and not made here: it may be damaged.
    with as_written([place]) if was_there else nullcontext():
        warnings = [w for w in result.manifest["warnings"] if w not in progress.doubts]
        summary = result.summary
        text = summary_text(summary)
    options.warn(warnings)
    with options.showing("the run is complete, its summary", f"leomix show {place}", json_):
        if json_:
            options.print_json({**summary, "folder": str(place)})
        else:
            print(f"{text}\n{'run folder':<14} {place}")
    if progress.shown and not json_:
        print(f"next: leomix report {place}", file=sys.stderr)


REFRESH_S = 0.1
"""Wall time between two looks at the simulated clock."""
SHORT_S = 2 * 86400.0
"""Shorter runs are shown in hours."""


class Progress(Bar):
    """Shows a run's evaluations, and the simulated time in between."""

    def __init__(self, scenario: Scenario, quiet: bool) -> None:
        super().__init__(quiet, width=20, rest=True)
        self._cycles = scenario.stop.cycles
        orbit, stop = scenario.orbit, scenario.stop
        spans_s = [] if stop.days is None else [stop.days * 86400.0]
        if orbit.source == "slots" and stop.cycles is not None:
            slots = len(scenario.ground.clusters) + orbit.slots.idle
            spans_s.append(stop.cycles * slots * orbit.slots.seconds)
        self._span_s = min(spans_s, default=None)  # the longest that it may take, where it is known
        self._cycle = 0
        self._cycle_s = 0.0
        self._accuracy = math.nan
        self._next_look = -math.inf
        self.doubts: tuple[str, ...] = ()
        self._began: tuple[float, float] | None = None
        self.start("getting ready")

    def doubted(self, lines: Sequence[str]) -> None:
        """Print what may be wrong while there is time to stop."""
        self.doubts += tuple(lines)
        options.warn(lines)

    def started(self, start: datetime) -> None:
        """The bar shows days of simulation, not dates."""

    def measured(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """The accuracy is all that the bar has room for."""

    def evaluated(self, time_s: float, cycle: int, accuracy: float) -> None:
        """Show an evaluation."""
        if cycle > self._cycle:
            self._cycle, self._cycle_s = cycle, time_s
        self._accuracy = accuracy
        self._next_look = -math.inf
        self.event(0, time_s)

    def event(self, number: int, time_s: float) -> None:
        """Show the simulated time: after every event, so it must be cheap."""
        if not self.shown or (now := time.monotonic()) < self._next_look:
            return
        self._next_look = now + REFRESH_S
        self._began = self._began or (now, time_s)
        end_s = self._end_s()
        share = None if end_s is None else time_s / end_s
        self.update(self._text(time_s, now), share, None if end_s is None else 1.0)

    def _end_s(self) -> float | None:
        """When the run will end: its span, or sooner if cycles go on coming as they have."""
        ends_s = [] if self._span_s is None else [self._span_s]
        if self._cycles is not None and self._cycle:
            ends_s.append(self._cycle_s * self._cycles / self._cycle)
        return min(ends_s, default=None)

    def _text(self, time_s: float, now: float) -> str:
        short = self._span_s is not None and self._span_s < SHORT_S
        unit, unit_s = ("hour", 3600.0) if short else ("day", 86400.0)
        of = "" if self._span_s is None else f" of {self._span_s / unit_s:.1f}"
        cycles = "" if self._cycles is None else f" of {self._cycles}"
        parts = [f"{unit} {time_s / unit_s:.1f}{of}", f"cycle {self._cycle}{cycles}"]
        if not math.isnan(self._accuracy):
            parts.append(f"accuracy {self._accuracy:.3f}")
        began, from_s = self._began or (now, time_s)
        if now > began:
            parts.append(f"{(time_s - from_s) / (now - began) / 3600:.3g} h/s")
        return ", ".join(parts)


# A sweep of runs.


NONE_DONE, PARTLY = 1, 3
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
    devices: Annotated[
        str, typer.Option(metavar="cuda:N,...", help="GPUs that are dealt to the processes")
    ] = "",
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
        devices=tuple(devices.split(",")) if devices else (),
        engine=engine,
        scheduler=scheduler,
        resume=resume,
        keep_going=keep_going,
        shard=running.shard(shard),
        cache=not no_cache,
        max_wall_s=options.wall_s(max_wall),
    )
    points = running.points_of(plan, how, yes)
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
        raise typer.Exit(PARTLY if left < len(done.tasks) else NONE_DONE)


def _show(done: Sweeping, json_: bool) -> None:
    from sim.sweep.text import failures_text, no_room, reuse_text, sha256_text, table_text

    rows = done.rows()
    keys = list(done.points[0].values)
    lines, again = [*failures_text(rows, keys)], f"go on with: --resume -o {done.place}"
    if not done.kept:
        lines.append(f"none of {len(done.tasks)} points is done; mend what failed: nothing is kept")
    elif done.left:
        mend = f"free space on the disk of {done.place}" if no_room(rows) else "mend what failed"
        left = f"{len(done.left)} of {len(done.tasks)} points are not done; {mend}, then {again}"
        lines.append(f"{left} (past failures with --keep-going)")
    if done.trouble:
        lines.append(f"{done.trouble}; the points are kept, {again}")
    for line in lines:
        print(line, file=sys.stderr)
    ended = "has ended" if done.left or done.trouble else "is complete"
    with options.showing(f"the sweep {ended}, its table", f"leomix report {done.place}", json_):
        if json_:
            options.print_json(rows.to_pylist())
            return
        print(table_text(rows, keys))
        shown = {"trainings": reuse_text(rows), "sweep sha256": sha256_text(rows)}
        place = str(done.place) if done.kept else ""
        for head, text in {**shown, "sweep folder": place}.items():
            if text:
                print(f"{head:<14} {text}")
