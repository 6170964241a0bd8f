"""A sweep under way: its points run in a folder that is claimed, and their rows are kept."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from learning.own.code import RunningCode
from sim.errors import InputError, Interrupted, SimulationError
from sim.execution import claim
from sim.execution.folder import POINTS, SWEEP, read_manifest
from sim.execution.live import LIVE
from sim.facts.status import COMPLETE, INTERRUPTED
from sim.files import from_here, trouble_text
from sim.formatting import as_yaml
from sim.sweep import folder as sweep_folder
from sim.sweep.doubts import doubt_lines
from sim.sweep.engine import Engine, Outcome, Point, asking_to_stop
from sim.sweep.folder import Sweep, There, read_sweep
from sim.sweep.points import SweepPlan, scenario_name
from sim.sweep.progress import SweepProgress
from sim.sweep.request import SweepOptions, SweepRequest, workers
from sim.sweep.rows import outcome_in, rows_table
from sim.sweep.specs import read_spec
from sim.sweep.variants import Axes
from sim.sweep.worker_process import LOG
from statements import UNSERVABLE


def sweep(  # noqa: PLR0913 (a documented signature)
    scenario: str | Path,
    keys: Mapping[str, str | Sequence[Any]],
    out: str | Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    variants: str | Path | Mapping[str, Mapping[str, Any]] | None = None,
    sampling: str = "grid",
    samples: int | None = None,
    replications: int = 1,
    jobs: int = 1,
    devices: Sequence[str] = (),
    resume: bool = False,
    keep_going: bool = False,
    cache: bool = True,
    quiet: bool = True,
) -> Sweep:
    """Run ``scenario`` for combinations of values of ``keys``, as ``leomix sweep`` does.

    ``scenario`` is a path or a shipped name. ``keys`` maps dotted keys to values, or to a text like
    ``400:1200:50``; ``variants`` are sets of keys by name, or a file of them, and vary like the
    values of one key. They are combined as a ``sampling`` of ``grid``, ``zip`` or ``random`` (with
    ``samples``), each with ``replications`` seeds. ``jobs`` processes run the points (0: one per
    core), at least one on each of ``devices``, like ``["cuda:0", "cuda:1"]``. ``out`` is a new
    folder (default: a free one in ``runs``), or with ``resume`` that of a sweep to continue.
    Returns the sweep with the rows that there are; their ``status`` says which points failed.
    Raises InputError for wrong input, before anything runs.
    """
    plan = SweepPlan(
        scenario=scenario_name(scenario),
        overrides=dict(overrides or {}),
        axes=axes_of(keys, variants),
        sampling=sampling,
        samples=samples,
        replications=replications,
    )
    options = SweepOptions(
        out=Path(out) if out else None,
        workers=workers(jobs),
        devices=tuple(devices),
        resume=resume,
        keep_going=keep_going,
        cache=cache,
    )
    request = SweepRequest(plan, options, many=True)
    return read_sweep(run_sweep(request, quiet=quiet, doubts=not quiet).place)


def axes_of(
    keys: Mapping[str, str | Sequence[Any]],
    variants: str | Path | Mapping[str, Mapping[str, Any]] | None,
) -> Axes:
    """Return what is varied: values by key, or texts that name them, and variants or a file."""
    # A list is written as YAML, where texts are quoted: a comma or colon in one is not a SPEC's.
    specs = {
        key: read_spec(key, spec if isinstance(spec, str) else as_yaml(list(spec))[1:-1])
        for key, spec in keys.items()
    }
    if isinstance(variants, str | Path):
        return Axes.of(specs, Path(variants))
    return Axes.named(specs, variants)


def run_sweep(request: SweepRequest, *, quiet: bool, doubts: bool) -> Sweeping:
    """Run the points that are left, and return the sweep with its rows.

    ``quiet`` shows no progress; ``doubts`` about the points are said on stderr.
    """
    options = request.options
    place = request.place
    may_be_there = options.resume or options.shard[1] > 1
    there = sweep_folder.check_claim(place, request.about, resume=may_be_there)
    is_new = there is There.NOTHING
    options.check_engine()
    if changed := sweep_folder.changed_since(place, request.about):
        print(f"note: {from_here(place)}: {changed.text}", file=sys.stderr)
    if there is There.PART:
        sweep_folder.check_versions(place)
    sweep_folder.claim(place, request.about, there=there, part=options.part)
    try:
        with (
            sweep_folder.among(place, options.shard[1]),
            sweep_folder.locked(place, options.part) as lock,
        ):
            sweeping = Sweeping(place, request.points, options)
            sweeping.collect()
            if sweeping.left:
                sweep_folder.check_versions(place)
            if doubts:
                for doubt in doubt_lines(sweeping.left, cache=options.cache):
                    print(f"warning: {doubt}", file=sys.stderr, flush=True)
            try:
                engine = options.new_engine(lock)
                left, folders = sweeping.left, place / POINTS
                with SweepProgress(left, engine, quiet=quiet, place=folders) as progress:
                    sweeping.run(engine, progress)
            finally:
                log = place / LOG
                if options.shard[1] == 1 and log.exists() and not log.stat().st_size:
                    log.unlink(missing_ok=True)  # of several shards others may be writing to it
        return sweeping
    finally:
        # What came to nothing is not in the way of the corrected command.
        if is_new and options.shard[1] == 1:
            sweep_folder.give_up_if_unused(place)


ROWS_EVERY_S = 5.0
"""Seconds between two writings of the rows."""

COLLECTING_S = 600.0
"""Seconds to wait for other shards that collect all rows."""


@dataclass
class Sweeping:
    """One sweep, or one shard of it; ``trouble`` says what could not be written, if anything."""

    place: Path
    points: Sequence[Point]
    options: SweepOptions
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    trouble: str = ""
    _written_at: float = 0.0

    def collect(self) -> None:
        """Find out how the points ended that were run before, or by others."""
        for digest, point in {point.digest: point for point in self.points}.items():
            place = self.place / POINTS / digest
            if digest not in self.outcomes and place.is_dir():
                found = outcome_in(place, digest)
                if found is not None and not _of_other_code(point, place):
                    self.outcomes[digest] = found
                    if (place / LIVE).exists():  # its process was killed when it was complete
                        with contextlib.suppress(InputError, SimulationError), claim.locked(place):
                            pass

    @cached_property
    def tasks(self) -> list[Point]:
        """Own points that have a run: of equal ones the first, whichever shard owns it."""
        first = {point.digest: point for point in reversed(self.points)}
        own = self.options.own(self.points)
        return [point for point in own if first[point.digest] is point]

    @property
    def left(self) -> list[Point]:
        """Points that are to be run: what failed is run again."""
        done = {digest for digest, one in self.outcomes.items() if one.status == COMPLETE}
        return [point for point in self.tasks if point.digest not in done]

    def run(self, engine: Engine, on_outcome: Callable[[Outcome], None]) -> None:
        """Run what is left and keep the rows; raise Interrupted if it was asked to stop."""
        left = self.left
        options = self.options
        self._written_at = time.monotonic()
        try:
            ended = engine.run(left, (self.place / POINTS).resolve(), cache=options.cache)
            with asking_to_stop(engine, options.max_wall_s) as asked, contextlib.closing(ended):
                for outcome in ended:
                    self.outcomes[outcome.digest] = outcome
                    on_outcome(outcome)
                    if time.monotonic() - self._written_at >= ROWS_EVERY_S:
                        # Where this cannot be, or another shard is at it, the last time will tell.
                        with contextlib.suppress(OSError, InputError):
                            self._keep_rows(0.0)
                        self._written_at = time.monotonic()
                    ended_well = outcome.status in (COMPLETE, INTERRUPTED)
                    # What can never be served is a result, not a mistake.
                    if not (ended_well or options.keep_going or outcome.code in UNSERVABLE):
                        engine.held = True
                stopped = asked()
        finally:
            try:
                self._keep_rows(COLLECTING_S)
            except OSError as error:
                # The points are kept, and what is known of them can still be shown.
                self.trouble = trouble_text(error)
        if stopped:
            raise Interrupted(f"go on with: --resume -o {from_here(self.place)}")

    @property
    def kept(self) -> bool:
        """Whether the sweep has a folder: one that came to nothing is taken back."""
        return (self.place / SWEEP).exists()

    def rows(self) -> pa.Table:
        """Return the rows of all points."""
        return rows_table(self.points, self.outcomes)

    def _keep_rows(self, patience_s: float) -> None:
        """Write the rows, one shard after the other: none overwrites those of another."""
        with sweep_folder.locked(self.place, "rows", patience_s):
            self.collect()
            sweep_folder.write_rows(self.place, self.rows(), self.options.part)


def _of_other_code(point: Point, place: Path) -> bool:
    """Whether code of the user's has changed since a point was run, that no scenario names."""
    own = read_manifest(place).get("own_modules", {}) if point.code else {}
    return bool(own) and bool(RunningCode(point.code).differing(own))
