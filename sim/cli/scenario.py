"""`leomix validate`, `link` and `contacts`: what a scenario would do, before it runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from sim.cli.options import ScenarioName, SetKeys, load, overrides_of, warn
from sim.errors import InputError
from sim.files import check_file
from sim.formatting import Bar


def validate_command(
    scenario: ScenarioName,
    set_: SetKeys = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="also tell memory and time, by a trial of seconds")
    ] = False,
) -> None:
    """Check a scenario without running it, and show what it would do."""
    from sim.cli import dry_run
    from sim.cli.foreseen import foreseen
    from sim.engine import memory
    from sim.engine.setup import build

    built, overrides = build(load(scenario, set_, None)), overrides_of(set_, None)
    lacking, too_large = dry_run.missing_data(built.scenario, built.learner), None
    try:
        memory.check(built)
    except InputError as error:  # what it would be is shown all the same, but not tried
        too_large = error
    warn([*built.doubts, *built.gap_doubts, *foreseen(built), *lacking])
    if built.learner.trains and not lacking and too_large is None:
        with Bar(quiet=False) as bar:  # a module of one's own takes seconds: torch is imported
            bar.start("trying a few steps of training")
            found = dry_run.learning_doubts(built, overrides)
        warn(found)
    print(dry_run.plan_text(built))
    if estimate:
        print(f"\n{dry_run.estimate_text(built, scenario, overrides)}")
    if too_large is not None:
        raise too_large


def link_command(
    scenario: ScenarioName,
    contact: Annotated[
        int | None, typer.Option(metavar="N", help="one pass over time, by its contact_id")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", help="write .csv or .parquet")] = None,
    set_: SetKeys = None,
) -> None:
    """Show the link budget by elevation, or one pass over time."""
    from sim.plan import budget as command

    loaded = load(scenario, set_, None)
    tables = command.budget(loaded) if contact is None else command.one_pass(loaded, contact)
    if out is not None:
        command.write(tables, out)
    print(command.heading(loaded))
    print(command.text(loaded, tables))


def contacts_command(
    scenario: Annotated[str | None, typer.Argument(metavar="[SCENARIO]")] = None,
    tle: Annotated[
        Path | None,
        typer.Option(help="element file (TLE, or OMM in JSON, CSV or XML), in place of a scenario"),
    ] = None,
    site: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]LAT,LON[,ALT_M]", help="a place on the ground, degrees; repeat it"
        ),
    ] = None,
    sites: Annotated[
        Path | None,
        typer.Option(
            help="CSV of places: name, latitude_deg, longitude_deg, altitude_m, min_elevation_deg"
        ),
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="UTC", help="2026-08-22T00:00:00Z")] = None,
    days: Annotated[float | None, typer.Option(help="length of the span, days")] = None,
    min_elevation: Annotated[
        float | None, typer.Option(metavar="DEG", help="mask, degrees")
    ] = None,
    isl: Annotated[
        bool, typer.Option("--isl", help="windows between the SCENARIO's satellites instead")
    ] = False,
    summary: Annotated[bool, typer.Option("--summary", help="one line per site")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave bad elements out")] = False,
    out: Annotated[
        Path | None,
        typer.Option("-o", help="write all columns to .csv or .parquet, and show the summary"),
    ] = None,
    set_: SetKeys = None,
) -> None:
    """List contacts: of a scenario's clusters, or of --tle over --site; or of its satellites."""
    from sim.cli import contact_listing as listing
    from sim.trace import arrow

    if (scenario is None) == (tle is None):
        raise InputError(
            "contacts: give a SCENARIO, or --tle with --site, --start, --days, --min-elevation"
        )
    with_tle = (site, sites, start, days, min_elevation, skip_bad or None)
    if scenario is not None and any(value is not None for value in with_tle):
        raise InputError(
            "contacts: --site, --sites, --start, --days, --min-elevation and --skip-bad "
            "go with --tle"
        )
    if tle is not None and set_:
        raise InputError("contacts: --set goes with a SCENARIO")
    if isl and (scenario is None or summary):
        raise InputError("contacts: --isl goes with a SCENARIO, and has no --summary")
    if out is not None:
        check_file(out, *arrow.ENDINGS)
    if isl:
        windows = listing.between_satellites(
            load(str(scenario), set_, None), as_text=out is None or out.suffix == ".csv"
        )
        if out is None:
            print(arrow.text(windows, listing.SHOWN))
        else:
            arrow.write(windows, out)
            print(f"wrote {len(windows['a'])} windows to {out}", file=sys.stderr)
        return
    if tle is not None:
        found = listing.of_elements(tle, site or [], sites, start, days, min_elevation, skip_bad)
    else:
        found = listing.of_scenario(load(str(scenario), set_, None))
    for line in found.complaints:
        print(line, file=sys.stderr)
    if out is not None:
        listing.write(found, out)
        print(f"wrote {len(found.windows)} contacts to {out}", file=sys.stderr)
    short = summary or out is not None
    print(listing.summary_text(found) if short else listing.list_text(found))
