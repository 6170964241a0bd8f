"""`leomix capacity`: what a network carries in a day, before anybody learns anything."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.analysis.screen import steps_lines
from sim.cli.options import Json, ScenarioName, SetKeys, check_station, overrides_of
from sim.cli.output import print_json, warn
from sim.errors import InputError, located
from sim.files import check_file
from sim.formatting import Bar
from statements import Code, Set, Statement, as_json

if TYPE_CHECKING:
    import pyarrow as pa

    from sim.capacity.capacity_text import Capacity
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
        Path | None,
        typer.Option(
            metavar="FILE.csv", help="write all rows and columns, too; - prints them alone"
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Show what a network carries: GB a day, what limits it; by station, cluster, satellite."""
    import scenarios
    from sim.world.world import World

    print_csv = csv == Path("-")
    if print_csv and json_:
        raise InputError.of_option("--csv -", Code.CONFLICT, "does not go with --json")
    if csv is not None and not print_csv:
        check_file(csv, ".csv", said_as="--csv ")
    world = World(scenarios.load(network, overrides_of(set_)))
    with Bar(quiet=False) as bar:
        bar.start("looking for contacts")
        found, plan = _capacity(world, _left_out(world, without or ()), bar)
    doubts = [*plan.doubts, *_unused_links(world)]
    if not json_:
        warn(doubts)
    if print_csv:
        print(_csv_text(found), end="")
        return
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
        check_station("--without", name, stations)
    left_out = [name for name in stations if name in names]
    if len(left_out) == len(stations):
        raise InputError.of_option(
            f"--without {left_out[-1]}", Code.CONFLICT, "leaves no station; keep at least one"
        )
    return left_out


def _next(found: Capacity, world: World, network: str, set_: Sequence[str]) -> str:
    """Return what may be asked next: commands, and what each gives."""
    from sim.capacity.limits import STATIONS, limiting_stations

    asked = shlex.join([network, *(word for pair in set_ for word in ("--set", pair))])
    steps = []
    if found.left_out is None:
        if found.ends[0].kind != "relay":
            send = f"leomix link {asked} --send 500MB"
            steps.append((send, "how long, and in how many passes"))
        stations = limiting_stations(found.rows)
        if len(stations) == 1 and len(found.ends) > 1 and found.ends[0].kind in STATIONS:
            without = f"leomix capacity {asked} --without {shlex.quote(stations[0])}"
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
    from sim.capacity.capacity_text import Capacity, LeftOut
    from sim.capacity.limits import limits_of, without
    from sim.capacity.operations import carried_in, operations, silent_services
    from sim.capacity.study import check_seen, rows_and_queues
    from sim.cli.preview import planned_outages
    from sim.execution.ready import network_plan
    from sim.execution.run_cache import WindowCache

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
    rows, _ = rows_and_queues(world, plan, carried)
    bar.update("planning with one more dish, and without a station")
    limits = limits_of(world, rows, find)
    silent = silent_services(plan, carried)
    has_traffic = bool(world.traffic)
    out = planned_outages(plan)
    return Capacity(rows, limits, silent, out, before, has_traffic=has_traffic), plan


def _write(found: Capacity, path: Path) -> None:
    from sim.trace.plain_tables import write_batches

    write_batches(_plain_rows(found).to_batches(), path)


def _csv_text(found: Capacity) -> str:
    """Return all rows and columns as CSV."""
    import pyarrow as pa
    from pyarrow.csv import write_csv

    sink = pa.BufferOutputStream()
    write_csv(_plain_rows(found), sink)
    return str(sink.getvalue().to_pybytes(), "utf-8")


def _plain_rows(found: Capacity) -> pa.Table:
    """Return all rows as a table whose text no spreadsheet takes for formulas."""
    from sim.capacity.operations import capacity_table
    from sim.trace.plain_tables import without_formulas

    return without_formulas(capacity_table(found.rows)).combine_chunks()
