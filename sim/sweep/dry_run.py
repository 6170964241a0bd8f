"""The dry run of a sweep: its points, and what they will take in time and on disk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from sim.execution.folder import POINTS
from sim.execution.status import COMPLETE, REFUSED
from sim.files import folder_bytes
from sim.formatting import data_size, duration, some
from sim.sweep import folder as sweep_folder
from sim.sweep.figures import why_none
from sim.sweep.point import Outcome, Point
from sim.sweep.points import labelled, swept_method
from sim.sweep.request import SweepRequest
from sim.sweep.running import Sweeping
from sim.sweep.worker_process import tried

if TYPE_CHECKING:
    from sim.plan.plan import Plan as ContactPlan

SHOWN = 3
"""Points shown at either end of the list."""
LOOK_S = 10.0
"""Wall time for which contacts of points are looked for before any is run."""


def rehearse(request: SweepRequest) -> tuple[str, str]:
    """Show how many points there are, some of them, and what those that are left will take.

    Also returns how the point ended that was tried, ``complete`` without any. Writes nothing.
    """
    place = request.place
    points = request.points
    sweep_folder.check_claim(place, request.about, resume=True)
    sweeping = Sweeping(place, points, request.options)
    sweeping.collect()
    own = request.options.own(points)
    left = sweeping.left
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
    from sim.plan.plan import make_plan

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
