"""`leomix capacity`: what a network carries in a day, before anybody learns anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.cli.options import Json, ScenarioName, SetKeys, overrides_of
from sim.cli.output import print_json, warn
from sim.files import check_file
from sim.formatting import Bar
from statements import Code, Set, Statement, as_json

if TYPE_CHECKING:
    from sim.cli.capacity_text import Capacity
    from sim.plan.plan import Plan
    from sim.plan.windows import Find
    from sim.world.world import World

MINUTE = "%Y-%m-%d %H:%M"
ALL_SERVED = 0.999
"""Share of the hours in view that is served from which one more dish is not tried."""


def capacity_command(
    network: ScenarioName,
    set_: SetKeys = None,
    *,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="write all rows and columns, too")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.html", help="write a page that opens offline, too"),
    ] = None,
    json_: Json = False,
) -> None:
    """Show what a network carries: GB a day, busy hours, gaps; by station, cluster, satellite."""
    import scenarios
    from sim.world.world import World

    if csv is not None:
        check_file(csv, ".csv", said_as="--csv ")
    if page is not None:
        from sim.report.write import checked

        check_file(page, ".html", ".htm", said_as="--report ")
        page = checked((), page)
    world = World(scenarios.load(network, overrides_of(set_)))
    with Bar(quiet=False) as bar:
        bar.start("looking for contacts")
        found, plan = _capacity(world, bar)
    doubts = [*plan.doubts, *_unused_links(world)]
    if not json_:
        warn(doubts)
    if csv is not None:
        _write(found, csv)
    if page is not None:
        _write_page(found, plan, world, Path(network).stem, page)
    if json_:
        print_json(found.json | {"doubts": [as_json(doubt) for doubt in doubts]})
    else:
        print(found.text)


def _unused_links(world: World) -> Iterator[Statement]:
    """Say that links between satellites carry nothing here unless messages are routed over them."""
    isl = world.link.isl
    if isl is not None and isl.route == "direct":
        yield Statement.doubt(
            Code.UNUSED,
            "link.isl",
            "is not counted: with route 'direct' links carry what a method sends over them, and "
            "bytes to and from the server go in passes",
            Set("link.isl.route", "earliest"),
        )


def _capacity(world: World, bar: Bar) -> tuple[Capacity, Plan]:
    """Return what a network carries, and its plan; what one more dish gives is planned anew."""
    from sim.cli.capacity_text import Capacity
    from sim.execution.window_cache import WindowCache
    from sim.plan.operations import one_more, operations

    windows = WindowCache(None)
    plan = _plan(world, windows.find)
    bar.update("adding up what links carry")
    found = Capacity(operations(plan), out=[*_planned_outages(plan)])
    more = one_more(world) if found.served_share < ALL_SERVED else None
    if more is not None:
        bar.update("planning with one more dish")
        found = replace(found, more=(more, operations(_plan(more.world, windows.find))))
    return found, plan


def _planned_outages(plan: Plan) -> Iterator[str]:
    """Yield who is out as planned, from when to when."""
    planned = {} if plan.faults is None else plan.faults.outages.planned
    for who, out in planned.items():
        for begin_s, end_s in out.between(0.0, plan.stop_s).spans():
            begin, end = (f"{plan.start + timedelta(seconds=s):{MINUTE}}" for s in (begin_s, end_s))
            yield f"{who} from {begin} to {end}"


def _plan(world: World, find: Find) -> Plan:
    """Return the plan of a network: nobody in it need be served, and nothing of learning counts."""
    from sim.errors import located
    from sim.plan.plan import make_plan
    from sim.plan.plan_size import CONTACT_BYTES, check_plan

    with located(world.scenario):
        check_plan(world, CONTACT_BYTES)
        return make_plan(world, find, all_served=False)


def _write(found: Capacity, path: Path) -> None:
    from sim.plan.operations import Operations
    from sim.trace.arrow import pa
    from sim.trace.plain_tables import without_formulas, write_batches

    columns = zip(Operations._fields, zip(*found.rows, strict=True), strict=True)
    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in columns})
    write_batches(without_formulas(table).combine_chunks().to_batches(), path)


def _write_page(found: Capacity, plan: Plan, world: World, name: str, path: Path) -> None:
    from sim.execution.identity import portable
    from sim.plan.budget import budget, heading
    from sim.plan.operations import lanes
    from sim.plots.views import map_at
    from sim.report.capacity_page import DAY_S, Network, capacity_page
    from sim.report.figures import Figures
    from sim.report.page import MOST_ROWS, html
    from sim.report.scenario_text import scenario_yaml
    from sim.report.write import write_page
    from sim.world.scenery import scenery_of

    view = None
    links = ""
    if world.orbit.has_geometry:
        each = [f"{one.about}\n{one.text}" for one in budget(world)]
        links = "\n\n".join([heading(world), *each])
        view = map_at(scenery_of(world.scenario), plan.start, world.orbit.min_elevation_deg)
    out = {} if plan.faults is None else plan.faults.outages.planned
    drawn_s = min((float(one.begin_s[0]) for one in out.values()), default=0.0)
    said = scenario_yaml(portable(world))
    network = Network(
        name, plan.start, plan.stop_s, lanes(plan), view, DAY_S * (drawn_s // DAY_S), said, links
    )
    first, *others = found.tables(MOST_ROWS)
    tables = [first, *found.table_with_more(), *others]
    shown = capacity_page(network, found.finding, found.advice, tables)
    write_page(path, html(shown, Figures()))
