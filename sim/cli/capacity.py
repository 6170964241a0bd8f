"""`leomix capacity`: what a network carries in a day, before anybody learns anything."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.analysis.screen import steps_lines
from sim.cli.options import Json, ScenarioName, SetKeys, overrides_of
from sim.cli.output import print_json, warn
from sim.errors import InputError, located
from sim.files import check_file
from sim.formatting import Bar
from statements import Code, Set, Statement, as_json

if TYPE_CHECKING:
    from sim.page.capacity_text import Capacity
    from sim.plan.plan import Plan
    from sim.world.world import World


def capacity_command(
    network: ScenarioName,
    set_: SetKeys = None,
    *,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="STATION", help="leave a station out, and compare; repeat it"),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="write all rows and columns, too")
    ] = None,
    json_: Json = False,
) -> None:
    """Show what a network carries: GB a day, what limits it; by station, cluster, satellite."""
    import scenarios
    from sim.world.world import World

    if csv is not None:
        check_file(csv, ".csv", said_as="--csv ")
    world = World(scenarios.load(network, overrides_of(set_)))
    with Bar(quiet=False) as bar:
        bar.start("looking for contacts")
        found, plan = _capacity(world, _left_out(world, without or ()), bar)
    doubts = [*plan.doubts, *_unused_links(world)]
    if not json_:
        warn(doubts)
    if csv is not None:
        _write(found, csv)
    if json_:
        print_json(found.json | {"doubts": [as_json(doubt) for doubt in doubts]})
    else:
        print(f"{found.text}\n\n{_next(found, world, network, set_ or [])}")


def _left_out(world: World, names: Sequence[str]) -> list[str]:
    """Return the stations to leave out, each once; raise InputError where that cannot be."""
    if not names:
        return []
    stations = [station.name for station in world.sites.serving]
    for name in names:
        if not stations:
            raise InputError.of_option(
                f"--without {name}", Code.CONFLICT, "there are no stations in this network"
            )
        if name not in stations:
            near = get_close_matches(name, stations, n=1, cutoff=0.0)
            text = "no station is called so; did you mean {near!r}?"
            raise InputError.of_option(f"--without {name}", Code.WRONG_VALUE, text, near=near[0])
    left_out = [name for name in stations if name in names]
    if len(left_out) == len(stations):
        raise InputError.of_option(
            f"--without {left_out[-1]}", Code.CONFLICT, "leaves no station; keep at least one"
        )
    return left_out


def _next(found: Capacity, world: World, network: str, set_: Sequence[str]) -> str:
    """Return what may be asked next: commands, and what each gives."""
    asked = shlex.join([network, *(word for pair in set_ for word in ("--set", pair))])
    steps = []
    if found.left_out is None:
        if found.ends[0].kind != "relay":
            send = f"leomix link {asked} --send 500MB"
            steps.append((send, "how long, and in how many passes"))
        station = found.limits.station
        if station is not None and len(found.ends) > 1:
            without = f"leomix capacity {asked} --without {shlex.quote(station)}"
            steps.append((without, "a day without it"))
    study = "" if world.scenario.learning is None else " --set learning=null"
    steps.append((f"leomix run {asked}{study} -o network", "then report: map, lanes of the day"))
    return "\n".join(steps_lines(steps))


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


def _capacity(world: World, left_out: Sequence[str], bar: Bar) -> tuple[Capacity, Plan]:
    """Return what a network carries without some stations, what limits it, and its plan."""
    from sim.capacity.limits import limits_of, without
    from sim.capacity.operations import carried_in, operations, silent_services
    from sim.capacity.study import check_seen
    from sim.cli.preview import planned_outages
    from sim.execution.ready import network_plan
    from sim.execution.run_cache import WindowCache
    from sim.page.capacity_text import Capacity, LeftOut

    find = WindowCache(None).find
    before = None
    if left_out:
        before = LeftOut(left_out, operations(network_plan(world, find)))
        world = without(world, left_out)
    plan = network_plan(world, find)
    if before is None:
        with located(world):
            check_seen(world, plan)
    bar.update("adding up what links carry")
    carried = carried_in(plan)
    rows = operations(plan, carried)
    bar.update("planning with one more dish, and without a station")
    limits = limits_of(world, rows, find)
    silent = silent_services(plan, carried)
    return Capacity(rows, limits, silent, planned_outages(plan), before), plan


def _write(found: Capacity, path: Path) -> None:
    from sim.capacity.operations import capacity_table
    from sim.trace.plain_tables import without_formulas, write_batches

    table = capacity_table(found.rows)
    write_batches(without_formulas(table).combine_chunks().to_batches(), path)
