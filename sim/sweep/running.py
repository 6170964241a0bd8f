"""A sweep as a whole: its options, the sweep under way in a folder that is claimed, its dry run."""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from learning.hardware import only, seen_without
from sim.errors import InputError, Interrupted, missing
from sim.execution.folder import COMPLETE, INTERRUPTED, POINTS, REFUSED, SWEEP
from sim.files import folder_bytes, free_folder, trouble_text
from sim.formatting import as_yaml, data_size, duration, some
from sim.sweep import folder as sweep_folder
from sim.sweep.engine import LOG, Engine, Holds, LocalEngine, Outcome, Point, asking_to_stop, tried
from sim.sweep.folder import NO_CONTACT, Sweep, read_sweep, why_none
from sim.sweep.points import MOST_POINTS, Plan, labelled, read_spec, swept_method
from sim.sweep.text import SweepProgress

if TYPE_CHECKING:
    from sim.plan.plan import Plan as ContactPlan


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
    devices: Sequence[str] = (),
    resume: bool = False,
    keep_going: bool = False,
    cache: bool = True,
    quiet: bool = True,
) -> Sweep:
    """Run ``scenario`` for combinations of values of ``keys``, as ``leomix sweep`` does.

    ``scenario`` is a path or a shipped name. ``keys`` maps dotted keys to values, or to a text like
    ``400:1200:50``; they are combined as a ``sampling`` of ``grid``, ``zip`` or ``random`` (with
    ``samples``), each with ``replications`` seeds. ``jobs`` processes run the points (0: one per
    core), at least one on each of ``devices``, like ``["cuda:0", "cuda:1"]``. ``out`` is a new
    folder (default: a free one in ``runs``), or with ``resume`` that of a sweep to continue.
    Returns the sweep with the rows that there are; their ``status`` says which points failed.
    Raises InputError for wrong input, before anything runs.
    """
    # A list is written as YAML, where texts are quoted: a comma or colon in one is not a SPEC's.
    specs = {
        key: read_spec(key, spec if isinstance(spec, str) else as_yaml(list(spec))[1:-1])
        for key, spec in keys.items()
    }
    name = scenario_name(str(scenario))
    plan = Plan(name, dict(overrides or {}), specs, sampling, samples, replications)
    options = SweepOptions(
        Path(out) if out else None,
        workers(jobs),
        devices=tuple(devices),
        resume=resume,
        keep_going=keep_going,
        cache=cache,
    )
    points = points_of(plan, options, yes=True)
    return read_sweep(run_points(plan, points, options, quiet).place)


def points_of(plan: Plan, options: SweepOptions, yes: bool) -> list[Point]:
    """Return all points; InputError for a wrong one, and first for too many unless meant."""
    if plan.count > MOST_POINTS and not yes:
        raise InputError(
            f"{plan.count:,} points are more than {MOST_POINTS:,}; add --yes if that is meant"
        )
    points = list(plan.points())
    if options.devices:
        is_swept = "learning.device" in plan.specs
        if is_swept or plan.read(points[0].overrides).learning.device != "auto":
            raise InputError("--devices: learning.device is given as well; leave one of them out")
    return points


def run_points(plan: Plan, points: list[Point], options: SweepOptions, quiet: bool) -> Sweeping:
    """Run the points that are left, and return the sweep with its rows."""
    place = options.out or free_place(plan)
    may_be_there = options.resume or options.shard[1] > 1
    about = plan.about(points)
    is_new = not sweep_folder.check_claim(place, about, may_be_there)
    options.check_engine()
    sweep_folder.claim(place, about, is_new, options.part)
    try:
        with (
            sweep_folder.among(place, options.shard[1]),
            sweep_folder.locked(place, options.part) as lock,
        ):
            sweeping = Sweeping(place, points, options)
            sweeping.collect()
            with SweepProgress(sweeping.left, quiet) as progress:
                sweeping.run(options.new_engine(lock), progress)
            log = place / LOG
            if options.shard[1] == 1 and log.exists() and not log.stat().st_size:
                log.unlink(missing_ok=True)  # of several shards others may be writing to it
        return sweeping
    finally:
        # What came to nothing is not in the way of the corrected command.
        if is_new and options.shard[1] == 1:
            sweep_folder.give_up_if_unused(place)


def free_place(plan: Plan) -> Path:
    """Return the first free ``runs/sweep-NAME``, with a number behind it if need be."""
    return free_folder(Path("runs") / f"sweep-{Path(plan.scenario).stem}")


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
        for digest in dict.fromkeys(point.digest for point in self.points):
            place = self.place / POINTS / digest
            if digest not in self.outcomes and place.is_dir():
                found = sweep_folder.outcome_in(place, digest)
                if found is not None:
                    self.outcomes[digest] = found

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
        left, options = self.left, self.options
        self._written_at = time.monotonic()
        try:
            ended = engine.run(left, (self.place / POINTS).resolve(), options.cache)
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
                    why = sweep_folder.why_none(vars(outcome))
                    if not (ended_well or options.keep_going or why == NO_CONTACT):
                        engine.held = True
                stopped = asked()
        finally:
            try:
                self._keep_rows(COLLECTING_S)
            except OSError as error:
                # The points are kept, and what is known of them can still be shown.
                self.trouble = trouble_text(error)
        if stopped:
            raise Interrupted(f"go on with: --resume -o {self.place}")

    @property
    def kept(self) -> bool:
        """Whether the sweep has a folder: one that came to nothing is taken back."""
        return (self.place / SWEEP).exists()

    def rows(self) -> pa.Table:
        """Return the rows of all points."""
        return sweep_folder.rows_table(self.points, self.outcomes)

    def _keep_rows(self, patience_s: float) -> None:
        """Write the rows, one shard after the other: none overwrites those of another."""
        with sweep_folder.locked(self.place, "rows", patience_s):
            self.collect()
            sweep_folder.write_rows(self.place, self.rows(), self.options.part)


ENGINES = ("local", "dask")


@dataclass(frozen=True)
class SweepOptions:
    """Where and how a sweep is run; ``shard`` is the number of a part, from 0, and of all parts."""

    out: Path | None
    workers: int = 1
    devices: tuple[str, ...] = ()
    engine: str = "local"
    scheduler: str | None = None
    resume: bool = False
    keep_going: bool = False
    shard: tuple[int, int] = (0, 1)
    cache: bool = True
    max_wall_s: float = math.inf

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.engine not in ENGINES:
            raise InputError(f"--engine {self.engine}: must be one of {', '.join(ENGINES)}")
        if (self.scheduler is not None) != (self.engine == "dask"):
            raise InputError("--engine dask and --scheduler ADDRESS go together")
        if self.devices and self.engine == "dask":
            raise InputError("--devices: goes with --engine local; Dask's workers have their own")
        for device in self.devices:
            text = ""
            if not re.fullmatch(r"cuda:(0|[1-9]\d{0,2})", device):
                text = "should be cuda:N, like cuda:0,cuda:1; on the CPU -j N runs several points"
            elif self.devices.count(device) > 1:
                text = "is named twice; name it once, -j N deals more processes to the devices"
            elif seen := seen_without(device):
                text = f"torch sees {seen}; name what is there, or leave --devices out"
            if text:
                raise InputError(f"--devices {device}: {text}")
        for option, meant in (("--resume", self.resume), ("--shard", self.shard[1] > 1)):
            if meant and self.out is None:
                raise InputError(f"{option}: name the sweep's folder with -o DIR")

    @property
    def part(self) -> str:
        """A name of the shard, for files that shards must not share."""
        return f"shard-{self.shard[0] + 1}-of-{self.shard[1]}"

    def own(self, points: Sequence[Point]) -> list[Point]:
        """Return the points of this shard."""
        number, parts = self.shard
        return [point for point in points if point.number % parts == number]

    def check_engine(self) -> None:
        """Raise InputError if the engine cannot be had, before anything is written for it."""
        if self.scheduler is None:
            return
        try:
            import distributed  # noqa: F401

            from sim.sweep.dask_engine import connected
        except ImportError as error:
            raise missing("--engine dask", "cluster", error) from None
        with connected(self.scheduler):
            pass

    def new_engine(self, lock: int) -> Engine:
        """Return the engine of a sweep whose ``lock`` workers of this machine are to hold."""
        if self.scheduler is not None:
            from sim.sweep.dask_engine import DaskEngine

            return DaskEngine(self.scheduler, self.workers)
        return LocalEngine(self.holds(lock))

    def holds(self, lock: int | None = None) -> list[Holds]:
        """Return what each process of this machine holds: devices in turn, at least one each."""
        visible: list[str | None] = [*map(only, self.devices)] or [None]
        count = max(self.workers, len(visible))
        return [Holds(lock, visible[number % len(visible)]) for number in range(count)]


def workers(jobs: int) -> int:
    """Return the number of workers of ``-j JOBS``."""
    if jobs < 0:
        raise InputError(f"-j {jobs}: must be 1 or more, or 0 for one a core")
    if jobs:
        return jobs
    if hasattr(os, "sched_getaffinity"):  # a job system may have narrowed the cores
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def shard(text: str | None) -> tuple[int, int]:
    """Return number (from 0) and parts of ``i/N``, where i is 1 to N; all of it without a text."""
    if text is None:
        return 0, 1
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    number, parts = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= parts:
        raise InputError(f"--shard {text}: should be i/N with i from 1 to N, like 2/8")
    return number - 1, parts


def scenario_name(name: str) -> str:
    """Return the name of a shipped scenario, or the absolute path of a file that is there."""
    import scenarios

    if name in scenarios.shipped():
        return name
    if not Path(name).is_file():
        scenarios.load(name)  # says what there is instead
    return str(Path(name).resolve())


# What a sweep will take in time and on disk: by the points that are there, else tried on one.


SHOWN = 3
"""Points shown at either end of the list."""
LOOK_S = 10.0
"""Wall time for which contacts of points are looked for before any is run."""


def rehearse(plan: Plan, points: list[Point], options: SweepOptions) -> tuple[str, str]:
    """Show how many points there are, some of them, and what those that are left will take.

    Also returns how the point ended that was tried, ``complete`` without any. Writes nothing.
    """
    place = options.out or free_place(plan)
    sweep_folder.check_claim(place, plan.about(points), resume=True)
    sweeping = Sweeping(place, points, options)
    sweeping.collect()
    own, left = options.own(points), sweeping.left
    without, doubts, looked_at = _looked_at(left)
    ready = [point for point in left if point.number not in without]
    estimate, status = "none: all points are refused", REFUSED
    if ready or not left:
        estimate, status = _estimate(sweeping, ready)
    foreseen = [
        f"{why_none({'status': REFUSED, 'error': why})}  point {number}: {why}"
        for number, why in without.items()
    ]
    if looked_at < len(left):
        foreseen.append(f"contacts of the first {looked_at} points were looked at")
    doubted = [f"warning   {_points_named(numbers)}: {line}" for line, numbers in doubts.items()]
    foreseen += doubted[:SHOWN]
    if len(doubted) > SHOWN:
        foreseen.append(f"warning   and {len(doubted) - SHOWN} more like these")
    lines = [
        f"points    {len(points)}: {len(own)} of this process, {len(left)} to be run",
        *(_line(point) for point in points[:SHOWN]),
        *(["          ..."] if len(points) > 2 * SHOWN else []),
        *(_line(point) for point in points[max(SHOWN, len(points) - SHOWN) :]),
        *foreseen,
        f"folder    {place}",
        f"estimate  {estimate}",
    ]
    return "\n".join(lines), status


def _looked_at(points: Sequence[Point]) -> tuple[dict[int, str], dict[str, list[int]], int]:
    """Look at contacts of points, as far as there is time: first at one point of each method.

    Returns why points are refused for their contacts, by number; the numbers of the points by what
    is doubted of their rounds in gaps; and how many points were looked at. Contacts of points that
    differ only in what is learnt are looked for once.
    """
    import scenarios
    from sim.devices.compute import compute_of
    from sim.engine.gap_rounds import gap_doubts
    from sim.engine.setup import method_of
    from sim.plan import make_plan

    until_s = time.monotonic() + LOOK_S
    known: dict[str, ContactPlan | str] = {}
    without, doubts = dict[int, str](), dict[str, list[int]]()
    firsts = _first_of_each_method(points)
    others = [point for point in points if point not in firsts]
    for count, point in enumerate([*firsts, *others]):
        if time.monotonic() > until_s:
            return without, doubts, count
        scenario = scenarios.load(point.scenario, point.overrides)
        alike = scenario.model_dump_json(exclude={"description", "seed", "compute", "learning"})
        try:
            method, _, learner = method_of(scenario)
            alike = f"{alike} {method.needs_isl}"
            if alike not in known:
                known[alike] = _plan_or_why(
                    partial(make_plan, scenario, needs_isl=method.needs_isl)
                )
            plan, computes = known[alike], compute_of(scenario)
        except ValueError as error:
            without[point.number] = str(error)
            continue
        if isinstance(plan, str):
            without[point.number] = plan
            continue
        for line in gap_doubts(scenario, method, learner, plan, computes):
            doubts.setdefault(line, []).append(point.number)
    return dict(sorted(without.items())), doubts, len(points)


def _plan_or_why(make: Callable[[], ContactPlan]) -> ContactPlan | str:
    """Return a contact plan, or why there is none."""
    try:
        return make()
    except ValueError as error:
        return str(error)


def _first_of_each_method(points: Sequence[Point]) -> list[Point]:
    """Return the first point of each method among the points."""
    first: dict[str, Point] = {}
    for point in points:
        first.setdefault(swept_method(point), point)
    return list(first.values())


def _points_named(numbers: Sequence[int]) -> str:
    """Name points, the first ones of many."""
    named = some([str(number) for number in sorted(numbers)], SHOWN)
    return f"{'point' if len(numbers) == 1 else 'points'} {named}"


def _line(point: Point) -> str:
    values = labelled(point.values, point.values)
    return f"  {point.number:<7} {values}, seed {point.seed} -> {POINTS}/{point.digest}"


TRYING_S = 60.0
"""Wall time after which no point of another method is tried."""


def _estimate(sweeping: Sweeping, left: list[Point]) -> tuple[str, str]:
    """Say what is left will take by the points that are complete, else by those that are tried.

    Of each method it is the median of the former, or the first point. Also returns how a point
    ended that was tried, the first one that failed if any has.
    """
    if not left:
        return "nothing is left to be done", COMPLETE
    holds, outcomes = sweeping.options.holds(), sweeping.outcomes
    done: dict[str, list[Outcome]] = {}
    for point in {point.digest: point for point in sweeping.points}.values():
        outcome = outcomes.get(point.digest)
        if outcome is not None and outcome.status == COMPLETE:
            done.setdefault(swept_method(point), []).append(outcome)
    counts = Counter(map(swept_method, left))
    firsts = {swept_method(point): point for point in _first_of_each_method(left)}
    wall_s = size_bytes = 0.0
    counted, sources, unknown = 0, list[str](), list[str]()
    until_s = time.monotonic() + TRYING_S
    for method, count in counts.items():
        of = f" of {method}" if len(counts) > 1 else ""
        first = f"point {firsts[method].number}"
        if method in done:
            one_s = median(outcome.figures["wall_s"] for outcome in done[method])
            places = (sweeping.place / POINTS / outcome.digest for outcome in done[method])
            one_bytes: float = median(map(folder_bytes, places))
            source = f"as {len(done[method])} complete points show"
        elif time.monotonic() > until_s:
            unknown.append(f"{first}{of} was not tried")
            continue
        else:
            found = tried(firsts[method], holds=holds[0])
            if found.error:
                return f"none: {first}{of} fails: {found.error}", found.status
            took = found.figures
            if not took["share"]:
                unknown.append(f"not one evaluation of {first}{of} in {took['behind_s']:.0f} s")
                continue
            one_s, one_bytes = took["wall_s"], took["size_bytes"]
            source = f"tried on {first} ({took['share']:.0%} of it was run)"
        wall_s, size_bytes = wall_s + one_s * count, size_bytes + one_bytes * count
        counted += count
        sources.append(f"{duration(one_s)} and {data_size(one_bytes)} a point{of}, {source}")
    if not sources:
        return f"none: {'; '.join(unknown)}", COMPLETE
    busy = min(len(holds), len(left))
    about = "at least" if unknown else "about"
    total = f"{about} {duration(wall_s / busy)} with {busy} at a time, "
    total += f"{data_size(size_bytes)} on disk"
    if unknown:
        total += f" for {counted} of {len(left)} points"
    return f"{total}: {'; '.join([*sources, *unknown])}", COMPLETE
