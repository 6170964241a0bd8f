"""`leomix link`: the budget of a link, one pass over time, or what a payload takes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.analysis.screen import steps_lines
from sim.cli.options import Json, ScenarioName, SetKeys, check_station, overrides_of
from sim.cli.output import print_json, warn
from sim.errors import InputError
from sim.formatting import BYTES, Bar, parse_size, percent, short_size, table, unit_for
from statements import Code, Other

if TYPE_CHECKING:
    from sim.capacity.volumes import Alone
    from sim.world.world import World

ROW = (
    "direction",
    "services",
    "whole",
    "share",
    "best_s",
    "median_s",
    "worst_mb",
    "worst_services",
)
"""Figures of a direction as JSON."""


def link_command(
    scenario: ScenarioName,
    contact: Annotated[
        int | None, typer.Option(metavar="N", help="one pass over time, by its contact_id")
    ] = None,
    station: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="station, or cluster, of the budget; default: the first by name"
        ),
    ] = None,
    send: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="what a payload of 500MB takes, in how many passes"),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", help="write .csv or .parquet")] = None,
    set_: SetKeys = None,
    *,
    json_: Json = False,
) -> None:
    """Show the link budget by elevation, one pass over time, or what a payload takes."""
    import scenarios
    from sim.capacity import budget
    from sim.world.fleet import flown_altitudes
    from sim.world.world import World

    _check(contact, station, send, out, json_=json_)
    world = World(scenarios.load(scenario, overrides_of(set_)))
    if send is not None:
        asked = shlex.join([scenario, *(word for pair in set_ or [] for word in ("--set", pair))])
        _show_payload(world, parse_size("--send", send), asked, json_=json_)
        return
    if contact is not None:
        shown = [budget.one_pass(world, contact)]
        if out is not None:
            budget.write_pass(shown[0], out)
    else:
        budgets = budget.budget(world, _place(world, station))
        if out is not None:
            budget.write(budgets, out)
        shown = [*budgets]
    warn(flown_altitudes(world.orbit))
    print(budget.heading(world))
    for one in shown:
        print(f"{'' if len(shown) == 1 else chr(10)}{one.about}")
        print(one.text)


def _check(
    contact: int | None, station: str | None, send: str | None, out: Path | None, *, json_: bool
) -> None:
    """Refuse options that do not go together."""
    if station is not None and (contact is not None or send is not None):
        name = "--send" if contact is None else "--contact"
        raise InputError.of_option("--station", Code.CONFLICT, f"does not go with {name}")
    if send is None and json_:
        text = "goes with --send"
        raise InputError.of_option("--json", Code.CONFLICT, text, Other(said="-o writes a file"))
    for name, given in (("--contact", contact), ("-o", out)):
        if send is not None and given is not None:
            text = f"does not go with {name}"
            raise InputError.of_option("--send", Code.CONFLICT, text, Other(said="use --json"))


def _place(world: World, station: str | None) -> int:
    """Return the index of a station, or cluster; 0 without a name."""
    names = [node.name for node in world.sites.nodes]
    if station is None or not names:
        return 0
    check_station("--station", station, names)
    return names.index(station)


def _show_payload(world: World, size_bytes: float, asked: str, *, json_: bool) -> None:
    """Show what a payload takes, each way: one that begins with a service and has it alone."""
    from sim.capacity.volumes import alone, services_of
    from sim.execution.ready import network_plan

    if not world.sites.nodes:
        text = "needs clusters or stations, and this network has neither"
        raise InputError.of_option("--send", Code.CONFLICT, text)
    with Bar(quiet=False) as bar:
        bar.start("looking for contacts")
        plan = network_plan(world)
        bar.update("adding up what links carry")
        found = alone(plan, services_of(plan), 8.0 * size_bytes)
    if not found:
        raise InputError.of_option("--send", Code.CONFLICT, "nobody is served in all the time")
    warn(plan.doubts)
    if json_:
        print_json([{name: getattr(one, name) for name in ROW} for one in found])
        return
    steps = [(f"leomix link {asked}", "the budget, by elevation")]
    for one in found if world.orbit.has_geometry else ():
        if one.worst_contact is not None:
            poorest = f"leomix link {asked} --contact {one.worst_contact}"
            steps.append((poorest, f"the poorest pass {one.direction}"))
    print("\n".join([_headline(found, size_bytes), *_notes(found, size_bytes)]))
    print("\n".join(["", _table(found), "", *steps_lines(steps)]))


def _headline(found: Sequence[Alone], size_bytes: float) -> str:
    size = _size(size_bytes)
    some = [one for one in found if one.median_s is not None]
    if not some:
        return f"{size}: no pass carries it in one"
    takes = ", ".join(f"{_seconds(one.median_s)} s {one.direction}" for one in some)
    first, *others = some
    shares = [f"{_of_passes(first)} it {first.direction} in one"]
    shares += [f"{_share(one)} {one.direction}" for one in others]
    shares += [f"none {one.direction}" for one in found if one not in some]
    return f"{size}: {takes}; {', '.join(shares)}"


def _of_passes(one: Alone) -> str:
    return "all passes carry" if one.share == 1.0 else f"{_share(one)} of the passes carry"


def _share(one: Alone) -> str:
    """Show a share; what is not all or nothing is never shown as that."""
    if one.whole in (0, one.services):
        return "all" if one.whole else percent(0.0, 0)
    return percent(min(max(one.share, 0.01), 0.99), 0)


def _seconds(time_s: float | None) -> str:
    return "-" if time_s is None else _figure(time_s)


def _figure(value: float) -> str:
    if value < 1.0:
        return f"{value:.2g}"
    return f"{value:,.{1 if value < 10.0 else 0}f}"


def _size(size_bytes: float) -> str:
    """Show a size as it was asked for, with all of its digits."""
    unit, unit_bytes = unit_for(size_bytes, BYTES, "B")
    return f"{size_bytes / unit_bytes:g} {unit}"


def _notes(found: Sequence[Alone], size_bytes: float) -> Iterator[str]:
    """Say what the poorest pass carries, and which passes carry nothing, or are left out."""
    from sim.capacity.capacity_text import silent_text

    for one in found:
        if one.worst_mb is not None and one.worst_services != 1:
            carries = short_size(1e6 * one.worst_mb)
            takes = f"{_size(size_bytes)} takes {one.worst_services:,} like it"
            yield f"The poorest pass {one.direction} carries {carries}: {takes}."
    for one in found:
        if one.silent:
            yield silent_text(one.silent, one.direction)
    if cut := max(one.cut for one in found):
        is_one = cut == 1
        said = f"{cut} {'pass' if is_one else 'passes'} that the start or the end cuts"
        yield f"{said} {'is' if is_one else 'are'} left out."


def _table(found: Sequence[Alone]) -> str:
    heads = [
        *("", "passes", "carry it\nin one", "best\npass, s", "median\npass, s"),
        *("poorest\npass, MB", "passes it\nthen takes"),
    ]
    rows = [
        [
            one.direction,
            f"{one.services:,}",
            _share(one),
            _seconds(one.best_s),
            _seconds(one.median_s),
            "-" if one.worst_mb is None else _figure(one.worst_mb),
            "-" if one.worst_services is None else f"{one.worst_services:,}",
        ]
        for one in found
    ]
    return table(heads, rows)
