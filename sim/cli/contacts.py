"""`leomix contacts`."""

from __future__ import annotations

import sys
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli.options import SetKeys, overrides_of, spread_out
from sim.errors import InputError
from sim.files import check_file
from statements import Code

if TYPE_CHECKING:
    from sim.cli.contact_list import ContactList
    from sim.world.world import World


@dataclass(frozen=True)
class OverSites:
    """Places, a span and a mask: what is asked of elements that are in no scenario."""

    site: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]LAT,LON[,ALT_M]", help="a place on the ground, degrees; repeat it"
        ),
    ] = None
    sites: Annotated[
        Path | None,
        typer.Option(
            help="CSV of places: name, latitude_deg, longitude_deg, altitude_m, min_elevation_deg"
        ),
    ] = None
    start: Annotated[str | None, typer.Option(metavar="UTC", help="2026-08-22T00:00:00Z")] = None
    days: Annotated[float | None, typer.Option(help="length of the span, days")] = None
    min_elevation: Annotated[float | None, typer.Option(metavar="DEG", help="mask, degrees")] = None
    checksum: Annotated[
        str | None,
        typer.Option(metavar="WHETHER", help="wrong or missing checksums: verify, or ignore"),
    ] = None

    @property
    def given(self) -> bool:
        """Whether any of it was given."""
        return any(value is not None for value in astuple(self))

    def contacts(self, elements: Path, *, skip_bad: bool) -> ContactList:
        """Return the contacts of the satellites of a file."""
        from sim.cli.contact_list import ElementFile, of_elements

        return of_elements(
            ElementFile(elements, skip_bad, self.checksum or "verify"),
            self.site or [],
            self.sites,
            self.start,
            self.days,
            self.min_elevation,
        )


@dataclass(frozen=True)
class Listed:
    """What is listed of a scenario in place of its contacts, and how."""

    isl: Annotated[
        bool, typer.Option("--isl", help="windows between the SCENARIO's satellites instead")
    ] = False
    summary: Annotated[
        bool,
        typer.Option("--summary", help="one line per site, and per satellite that is a client"),
    ] = False

    def check(self, *, of_scenario: bool) -> None:
        """Raise InputError for what does not go together, or without a scenario."""
        if self.isl and (not of_scenario or self.summary):
            raise InputError.of_option(
                "contacts", Code.CONFLICT, "--isl goes with a SCENARIO, and has no --summary"
            )

    def show(self, world: World, out: Path | None) -> None:
        """Print it, or write it to ``out``."""
        from sim.cli.contact_list import between_satellites, of_scenario

        if self.isl:
            as_text = out is None or out.suffix == ".csv"
            _show_between_satellites(between_satellites(world, as_text=as_text), out)
        else:
            _show(of_scenario(world), out, short=self.summary)


@spread_out
def contacts_command(
    scenario: Annotated[str | None, typer.Argument(metavar="[SCENARIO]")] = None,
    tle: Annotated[
        Path | None,
        typer.Option(
            help="element file (TLE, or OMM in JSON, CSV, XML or KVN), in place of a scenario"
        ),
    ] = None,
    *,
    over_sites: OverSites,
    listed: Listed,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="leave bad elements, or rows of windows, out")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            help="write all columns to .csv or .parquet, and show the summary",
        ),
    ] = None,
    set_: SetKeys = None,
) -> None:
    """List contacts: of a scenario's clusters, or of --tle over --site; or of its satellites."""
    if (scenario is None) == (tle is None):
        raise InputError.of_option(
            "contacts",
            Code.MISSING,
            "give a SCENARIO, or --tle with --site, --start, --days, --min-elevation",
        )
    if scenario is not None and over_sites.given:
        raise InputError.of_option(
            "contacts",
            Code.CONFLICT,
            "--site, --sites, --start, --days, --min-elevation and --checksum go with --tle",
        )
    if tle is not None and set_:
        raise InputError.of_option("contacts", Code.CONFLICT, "--set goes with a SCENARIO")
    listed.check(of_scenario=scenario is not None)
    if out is not None:
        from sim.trace.plain_tables import ENDINGS

        check_file(out, *ENDINGS)
    if tle is not None:
        _show(over_sites.contacts(tle, skip_bad=skip_bad), out, short=listed.summary)
        return
    import scenarios
    from sim.world.world import World

    skipping = {"orbit.skip_bad": True} if skip_bad else {}
    listed.show(World(scenarios.load(str(scenario), overrides_of(set_) | skipping)), out)


def _show(contacts: ContactList, out: Path | None, *, short: bool) -> None:
    """Print contacts, or write them to ``out`` and print their summary."""
    from sim.cli import contact_list as listing

    for line in contacts.complaints:
        print(line, file=sys.stderr)
    if out is not None:
        listing.write(contacts, out)
        print(f"wrote {len(contacts.windows)} contacts to {out}", file=sys.stderr)
    as_summary = short or out is not None
    print(listing.contacts_summary(contacts) if as_summary else listing.list_text(contacts))


def _show_between_satellites(windows: dict[str, Any], out: Path | None) -> None:
    """Print windows between satellites, or write them to ``out``."""
    from sim.cli.contact_list import COLUMN_FORMATS
    from sim.trace import plain_tables

    if out is None:
        print(plain_tables.text(windows, COLUMN_FORMATS))
    else:
        plain_tables.write(windows, out)
        print(f"wrote {len(windows['a'])} windows to {out}", file=sys.stderr)
