"""What is doubted of a sweep's points before the first of them runs: what a run says of itself."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sim.formatting import some
from sim.sweep.point import Point, labelled
from statements import Code, Place, Statement, by_rank, line

if TYPE_CHECKING:
    from scenarios import Scenario
    from sim.execution.ready import Plans
    from sim.plan.passes import Find

MOST_POINTS_CHECKED = 8
"""Points that are looked at before a sweep, each of which may take a plan of its contacts."""
MOST_NAMED_POINTS = 3
"""Points that are named beside what is said of them."""


@dataclass
class Looked:
    """What ``count`` points say before they run: why some are refused, by number, and doubts."""

    refused: dict[int, ValueError] = field(default_factory=dict)
    doubts: dict[Statement, list[Point]] = field(default_factory=dict)
    count: int = 0

    def lines(self) -> Iterator[str]:
        """Say what is doubted, and of which points."""
        for doubt in by_rank(self.doubts):
            values = (labelled(point.values, point.values) for point in self.doubts[doubt])
            named = [*filter(None, values)]  # of replications alone nothing tells them apart
            yield line(doubt, Place(at=some(named, MOST_NAMED_POINTS, between="; ")))


def look_at(
    points: Sequence[Point],
    *,
    most: int = MOST_POINTS_CHECKED,
    within_s: float = math.inf,
    cache: bool,
) -> Looked:
    """Return what points say before they begin: the first of each learning task, then others.

    So many are looked at, as far as there is time. With ``cache`` the contacts are looked for as
    the points do, which then find them there.
    """
    from sim.execution.ready import Plans
    from sim.execution.run_cache import RunCache
    from sim.plan.passes import find_windows

    shared = RunCache.shared() if cache else None
    find = find_windows if shared is None else shared.windows.find
    plans = Plans()  # its own: those of runs know what was drawn by chance in them
    found = Looked()
    until_s = time.monotonic() + within_s
    firsts = _first_of_each_task(points)
    rest = [] if most <= len(firsts) else [point for point in points if point not in firsts]
    for point in [*firsts, *rest][:most]:
        if time.monotonic() > until_s:
            break
        found.count += 1
        try:
            for doubt in _doubts_of(point, find, plans, is_one_of_several=len(points) > 1):
                found.doubts.setdefault(doubt, []).append(point)
        except ValueError as error:
            found.refused[point.number] = error
    return found


def _first_of_each_task(points: Sequence[Point]) -> list[Point]:
    """Return the first point of each set of values that keys of ``learning`` have."""
    first: dict[str, Point] = {}
    for point in points:
        own = {key: value for key, value in point.overrides.items() if _is_learning(key)}
        first.setdefault(json.dumps(own, sort_keys=True), point)
    return list(first.values())


def _is_learning(key: str) -> bool:
    return key.partition(".")[0] == "learning"


def _doubts_of(
    point: Point, find: Find, plans: Plans, *, is_one_of_several: bool
) -> tuple[Statement, ...]:
    """Return what is doubted of a point; raise ValueError where it would be refused."""
    import scenarios
    from sim.advice.doubts import doubts_before
    from sim.execution.ready import build, network_plan
    from sim.world.world import World

    scenario = scenarios.load(point.scenario, point.overrides)
    if scenario.learning is None:
        return network_plan(World(scenario), find).doubts
    built = build(scenario, find, plan_of=plans.of)
    writes = is_one_of_several and built.method.traits.own_learning
    return (*doubts_before(built), *(_overwritten(scenario) if writes else ()))


def _overwritten(scenario: Scenario) -> Iterator[Statement]:
    """Say where code that trains by itself writes files: points share the current folder."""
    from learning.own.code import files_of
    from learning.own.file_writes import writing
    from scenarios.files import named_code

    files = dict.fromkeys(path for name in named_code(scenario) for path in files_of(name))
    if calls := [call for path in files for call in writing(path)]:
        yield Statement.doubt(
            Code.OWN_CODE,
            "",
            "{calls}: files that code writes are in the current folder, where those of one point "
            "overwrite those of another",
            "let their names hold what the points differ in",
            calls=some(calls, MOST_NAMED_POINTS),
        )
