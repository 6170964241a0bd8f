"""A sweep under way: its points run in a folder that is claimed, and their rows are kept."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from scenarios import Scenario
from scenarios.parsing import python_values
from sim.errors import Interrupted
from sim.execution.folder import POINTS, SWEEP
from sim.execution.interrupt import BROKEN_OFF, PATIENCE_S, on_signals
from sim.facts.status import COMPLETE, REFUSED, missing_status
from sim.files import from_here, trouble_text
from sim.formatting import as_yaml, counted
from sim.sweep import folder as sweep_folder
from sim.sweep.claims import ENDED, RELEASED, RUNNING, Claim, Claims
from sim.sweep.crew import Crew
from sim.sweep.doubts import Looked, look_at
from sim.sweep.folder import Sweep, There, is_of_other_code, read_sweep
from sim.sweep.options import SweepOptions, workers
from sim.sweep.point import Point, PointOutcome, labelled
from sim.sweep.points import SweepPlan, read_again, scenario_name
from sim.sweep.progress import SweepProgress
from sim.sweep.rows import outcome_in, rows_table
from sim.sweep.varied import Axes, read_spec
from statements import error_code


def sweep(  # noqa: PLR0913 (a documented signature)
    scenario: str | Path | Scenario,
    keys: Mapping[str, str | Sequence[Any]],
    out: str | Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    variants: str | Path | Mapping[str, Mapping[str, Any]] | None = None,
    replications: int = 1,
    jobs: int = 1,
    resume: bool = False,
    keep_going: bool = False,
    cache: bool = True,
    quiet: bool = True,
) -> Sweep:
    """Run ``scenario`` for combinations of values of ``keys``, as ``leomix sweep`` does.

    ``scenario`` is a path, a shipped name, or a Scenario that was loaded from one, with its
    overrides. ``keys`` maps dotted keys to values, or to a text like ``400:1200:50``; ``variants``
    are sets of keys by name, or a file of them, and vary like the values of one key. All
    combinations are run, each with ``replications`` seeds. ``jobs`` processes run the points (0:
    one per core). ``out`` is a new folder (default: a free one in ``runs``), or with ``resume``
    that of a sweep to continue.
    Returns the sweep with the rows that there are; their ``status`` says which points failed.
    Raises InputError for wrong input, before anything runs.
    """
    if isinstance(scenario, Scenario):
        name, loaded_with = read_again(scenario)
    else:
        name, loaded_with = scenario_name(scenario), {}
    plan = SweepPlan(
        scenario=name,
        overrides={**loaded_with, **python_values(overrides or {})},
        axes=axes_of(keys, variants),
        replications=python_values(replications),
        keep_going=keep_going,
    )
    options = SweepOptions(
        out=Path(out) if out else None,
        workers=workers(jobs),
        resume=resume,
        keep_going=keep_going,
        cache=cache,
    )
    return read_sweep(run_sweep(plan, options, quiet=quiet, doubts=not quiet).place)


def axes_of(
    keys: Mapping[str, str | Sequence[Any]],
    variants: str | Path | Mapping[str, Mapping[str, Any]] | None,
) -> Axes:
    """Return what is varied: values by key, or texts that name them, and variants or a file."""
    # A list is written as YAML, where texts are quoted: a comma or colon in one is not a SPEC's.
    specs = {
        key: read_spec(
            key, spec if isinstance(spec, str) else as_yaml(python_values([*spec]))[1:-1]
        )
        for key, spec in keys.items()
    }
    if isinstance(variants, str | Path):
        return Axes.of(specs, Path(variants))
    return Axes.named(specs, python_values(variants))


def run_sweep(plan: SweepPlan, options: SweepOptions, *, quiet: bool, doubts: bool) -> Sweeping:
    """Run the points that are left, and return the sweep with its rows.

    ``quiet`` shows no progress; ``doubts`` about the points are said on stderr.
    """
    place = options.place_of(plan.scenario)  # before code of the user's runs
    points = plan.points
    options.check_dask()
    is_new = _made(plan, options, place) is There.NOTHING
    try:
        for source in options.merge:
            taken = sweep_folder.take_points(place, plan.about, source)
            print(f"note: {from_here(source)}: {counted(taken, 'point')} taken", file=sys.stderr)
        sweeping = Sweeping(place, points, options)
        sweeping.collect()
        left = sweeping.left
        if left:
            sweep_folder.check_same_versions(place)
        if doubts:
            for doubt in look_at(left, cache=options.cache).lines():
                print(f"warning: {doubt}", file=sys.stderr, flush=True)
        sweeping.reopen()
        sweeping.run(quiet=quiet)
        return sweeping
    finally:
        # What came to nothing is not in the way of the corrected command.
        if not options.join:
            sweep_folder.remove_empty_log(place)
            if is_new:
                sweep_folder.give_up_if_unused(place)


def _made(plan: SweepPlan, options: SweepOptions, place: Path) -> There:
    """Make the folder that of the sweep; return what was there before."""
    about = plan.about
    goes_on = options.resume or options.join
    if options.join:
        sweep_folder.await_sweep(place)
    while True:  # once more if another process has made it meanwhile
        there = sweep_folder.check_claim(place, about, resume=goes_on)
        if changed := sweep_folder.changed_since(place, about):
            print(f"note: {from_here(place)}: {changed}", file=sys.stderr)
        if there is There.PART:
            sweep_folder.check_same_versions(place)
        if sweep_folder.claim(place, about, there=there):
            return there


LOOK_EVERY_S = 0.5
"""Seconds between two looks at the claims."""
WAIT_S = 0.05
"""Seconds between two looks at the processes."""
ROWS_EVERY_S = 5.0
"""Seconds between two writings of the rows."""


@dataclass
class Sweeping:
    """A sweep that a command works on; ``trouble`` says what could not be written, if anything."""

    place: Path
    points: Sequence[Point]
    options: SweepOptions
    outcomes: dict[str, PointOutcome] = field(default_factory=dict)
    trouble: str = ""
    is_out_of_time: bool = False

    def collect(self) -> None:
        """Find out how points ended before: by their folders, and by claims where these are.

        The figures are those of the folder; the claim adds how often the point was tried. A process
        that joins reads a folder only where its claim does not say how the point has ended.
        """
        claims = Claims(self.place)
        held = claims.look()
        for claim in held.values():
            if claim.is_damaged:
                path = from_here(claims.path(claim.digest, claim.number))
                print(f"note: {path}: is damaged, and ignored", file=sys.stderr)
        for digest, point in {point.digest: point for point in self.points}.items():
            told = held[digest].outcome if digest in held else None
            if self.options.join and told is not None:
                if told.status != COMPLETE or (self.place / POINTS / digest).is_dir():
                    self.outcomes[digest] = told
                continue
            found = self._outcome_in_folder(point)
            if found is not None:
                is_same = told is not None and told.status == found.status
                self.outcomes[digest] = (
                    replace(told, figures=found.figures) if told is not None and is_same else found
                )

    def _outcome_in_folder(self, point: Point) -> PointOutcome | None:
        """Return how a point ended by its run folder; None if that does not say it."""
        folder = self.place / POINTS / point.digest
        outcome = outcome_in(folder, point.digest) if folder.is_dir() else None
        return None if outcome is None or is_of_other_code(point, folder) else outcome

    @cached_property
    def tasks(self) -> list[Point]:
        """The points that have a run: of equal ones the first."""
        first = {point.digest: point for point in reversed(self.points)}
        return [point for point in self.points if first[point.digest] is point]

    @property
    def left(self) -> list[Point]:
        """Points that are to be run: what failed is run again."""
        done = {digest for digest, one in self.outcomes.items() if one.status == COMPLETE}
        return [point for point in self.tasks if point.digest not in done]

    def reopen(self) -> None:
        """Let what has failed be run again, or is broken, or whose folder was removed.

        A process that joins leaves what failed to users: else each of them would try it once more.
        """
        claims = Claims(self.place)
        held = claims.look()
        for point in self.left:
            claim = held.get(point.digest)
            if claim is None or claim.outcome is None:
                continue
            is_complete = claim.outcome.status == COMPLETE
            is_removed = is_complete and not (self.place / POINTS / point.digest).exists()
            if is_removed or not self.options.join:
                claims.take(point.digest, claim.number + 1, state=RELEASED)

    def run(self, *, quiet: bool) -> None:
        """Run what is left and keep the rows; raise Interrupted if it was asked to stop."""
        left = self.left
        follows = _Follows(Claims(self.place), {point.digest for point in left})
        stopped = ""
        try:
            if left:
                stopped = self._worked(left, follows, quiet=quiet)
        finally:
            self._take_in(follows)
            for point in self.left:  # its claim may be lost, as on a disk that is full
                if point.digest not in self.outcomes and (
                    outcome := self._outcome_in_folder(point)
                ):
                    self.outcomes[point.digest] = outcome
            try:
                self._keep_rows()
            except OSError as error:
                # The points are kept, and what is known of them can still be shown.
                self.trouble = trouble_text(error)
        self.is_out_of_time = stopped == OUT_OF_TIME
        if stopped and not self.is_out_of_time:
            raise Interrupted(f"go on with: --resume -o {from_here(self.place)}")

    def _worked(self, left: Sequence[Point], follows: _Follows, *, quiet: bool) -> str:
        """Have processes work on it; return why they were stopped, or ""."""
        with self.options.crew(self.place) as crew, SweepProgress(left, quiet=quiet) as progress:
            with _asking_to_stop(crew, self.options.max_wall_s) as asked:
                self._wait(crew, follows, progress)
            for line in crew.refusals():
                print(f"note: {line}", file=sys.stderr)
            self._take_in(follows, progress)
        return asked()

    def _wait(self, crew: Crew, follows: _Follows, progress: SweepProgress) -> None:
        """Wait until no process works any more; take in what ends, and keep the rows."""
        looked = written = time.monotonic()
        while crew.goes_on(follows.claimed):
            time.sleep(WAIT_S)
            now = time.monotonic()
            if now - looked >= LOOK_EVERY_S:
                looked = now
                self._take_in(follows, progress)
            if now - written >= ROWS_EVERY_S:
                written = now
                with suppress(OSError):  # where this cannot be, the last time will tell
                    self._keep_rows()

    def _take_in(self, follows: _Follows, progress: SweepProgress | None = None) -> None:
        """Take in what has ended by now."""
        for outcome in follows.ended():
            self.outcomes[outcome.digest] = outcome
            if progress is not None:
                progress(outcome)
        if progress is not None:
            progress.running = follows.running

    @property
    def kept(self) -> bool:
        """Whether the sweep has a folder: one that came to nothing is taken back."""
        return (self.place / SWEEP).exists()

    def rows(self) -> pa.Table:
        """Return the rows of all points."""
        return rows_table(self.points, self.outcomes)

    def _keep_rows(self) -> None:
        """Write the rows of all points that there are by now, again if one has ended meanwhile.

        So the last of several processes that write them at the same time has all of them.
        """
        claims = Claims(self.place)
        before: dict[str, Claim] | None = None
        while (now := _ended_in(claims)) != before:
            before = now
            told = {digest: claim.outcome for digest, claim in now.items()}
            known = {digest: one for digest, one in told.items() if one is not None}
            said = sweep_folder.read_about(self.place) or {}
            points = [Point(**one) for one in said.get("points", ())] or self.points
            # What this process has seen fail may have been run again since by another one.
            done = {digest: one for digest, one in known.items() if one.status == COMPLETE}
            sweep_folder.write_rows(self.place, rows_table(points, known | self.outcomes | done))


def _ended_in(claims: Claims) -> dict[str, Claim]:
    return {digest: one for digest, one in claims.look().items() if one.state == ENDED}


class _Follows:
    """What becomes of some points, as claims tell: each that ends is told once."""

    def __init__(self, claims: Claims, digests: set[str]) -> None:
        self._claims = claims
        self._left = digests
        self.running = 0.0

    def claimed(self) -> int:
        """Return how many claims were made until now."""
        return sum(claim.number for claim in self._claims.look().values())

    def ended(self) -> Iterator[PointOutcome]:
        """Yield how points have ended since the last time."""
        held = self._claims.look()
        own = {digest: held[digest] for digest in self._left if digest in held}
        self.running = sum(one.share for one in own.values() if one.state == RUNNING)
        for digest, one in own.items():
            if one.state == ENDED and one.outcome is not None:
                self._left.discard(digest)
                yield one.outcome


OUT_OF_TIME = "wall time is over"


@contextmanager
def _asking_to_stop(crew: Crew, max_wall_s: float) -> Iterator[Callable[[], str]]:
    """Stop the processes on a signal and after ``max_wall_s``; yield what tells why, or ""."""
    why = ""

    def stop(said: str) -> None:
        nonlocal why
        why = said
        print(f"{why}: what runs is being saved; {BROKEN_OFF.format(PATIENCE_S)}", file=sys.stderr)
        crew.stop()

    def ask() -> None:
        if why:
            raise Interrupted("stopped at once")
        stop("stopping")

    last = threading.Timer(min(max_wall_s, threading.TIMEOUT_MAX), stop, (OUT_OF_TIME,))
    last.daemon = True
    with on_signals(ask):
        last.start()
        try:
            yield lambda: why
        finally:
            last.cancel()


SHOWN = 3
"""Points shown at either end of the list."""
DRY_RUN_S = 10.0
"""Wall time for which contacts of points are looked for before any is run."""


def rehearse(plan: SweepPlan, options: SweepOptions) -> tuple[str, bool]:
    """Show how many points there are, some of them, and what is refused or doubted of the rest.

    Also returns whether all that are left are refused. Writes nothing.
    """
    place = options.place_of(plan.scenario)
    points = plan.points
    sweep_folder.check_claim(place, plan.about, resume=True)
    sweeping = Sweeping(place, points, options)
    sweeping.collect()
    left = sweeping.left
    looked = look_at(left, most=len(left), within_s=DRY_RUN_S, cache=False)
    lines = [
        f"points    {len(points)}: {len(left)} to be run",
        *(_line(point) for point in points[:SHOWN]),
        *(["          ..."] if len(points) > 2 * SHOWN else []),
        *(_line(point) for point in points[max(SHOWN, len(points) - SHOWN) :]),
        *_foreseen(looked, len(left)),
        f"folder    {from_here(place)}",
    ]
    return "\n".join(lines), bool(left) and len(looked.refused) == len(left)


def _foreseen(looked: Looked, left: int) -> Iterator[str]:
    """Say which points are refused or doubted, and of how many that was found out."""
    for number, error in sorted(looked.refused.items()):
        why = missing_status({"status": REFUSED, "code": error_code(error)})
        yield f"{why:<10}{'' if len(why) < 10 else '  '}point {number}: {error}"
    if looked.count < left:
        yield f"contacts of the first {looked.count} points were looked at"
    doubted = [f"warning   {doubt}" for doubt in looked.lines()]
    yield from doubted[:SHOWN]
    if len(doubted) > SHOWN:
        yield f"warning   and {len(doubted) - SHOWN} more like these"


def _line(point: Point) -> str:
    values = labelled(point.values, point.values)
    return f"  {point.number:<7} {values}, seed {point.seed} -> {POINTS}/{point.digest}"
