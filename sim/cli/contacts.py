"""`leomix contacts`."""

from __future__ import annotations

import sys
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.cli.options import SetKeys, overrides_of, spread_out
from sim.errors import InputError
from sim.files import check_file

if TYPE_CHECKING:
    from scenarios import Scenario
    from sim.cli.contact_listing import ContactList


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

    @property
    def given(self) -> bool:
        """Whether any of it was given."""
        return any(value is not None for value in astuple(self))

    def contacts(self, elements: Path, *, skip_bad: bool) -> ContactList:
        """Return the contacts of the satellites of a file."""
        from sim.cli.contact_search import of_elements

        return of_elements(
            elements,
            self.site or [],
            self.sites,
            self.start,
            self.days,
            self.min_elevation,
            skip_bad=skip_bad,
        )


@spread_out
def contacts_command(
    scenario: Annotated[str | None, typer.Argument(metavar="[SCENARIO]")] = None,
    tle: Annotated[
        Path | None,
        typer.Option(help="element file (TLE, or OMM in JSON, CSV or XML), in place of a scenario"),
    ] = None,
    *,
    over_sites: OverSites,
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
    import scenarios
    from sim.cli.contact_search import of_scenario
    from sim.trace import plain_tables

    if (scenario is None) == (tle is None):
        raise InputError(
            "contacts: give a SCENARIO, or --tle with --site, --start, --days, --min-elevation"
        )
    if scenario is not None and (over_sites.given or skip_bad):
        raise InputError(
            "contacts: --site, --sites, --start, --days, --min-elevation and --skip-bad "
            "go with --tle"
        )
    if tle is not None and set_:
        raise InputError("contacts: --set goes with a SCENARIO")
    if isl and (scenario is None or summary):
        raise InputError("contacts: --isl goes with a SCENARIO, and has no --summary")
    if out is not None:
        check_file(out, *plain_tables.ENDINGS)
    if tle is not None:
        _show(over_sites.contacts(tle, skip_bad=skip_bad), out, short=summary)
        return
    loaded = scenarios.load(str(scenario), overrides_of(set_))
    if isl:
        _show_between_satellites(loaded, out)
    else:
        _show(of_scenario(loaded), out, short=summary)


def _show(contacts: ContactList, out: Path | None, *, short: bool) -> None:
    """Print contacts, or write them to ``out`` and print their summary."""
    from sim.cli import contact_listing as listing

    for line in contacts.complaints:
        print(line, file=sys.stderr)
    if out is not None:
        listing.write(contacts, out)
        print(f"wrote {len(contacts.windows)} contacts to {out}", file=sys.stderr)
    as_summary = short or out is not None
    print(listing.summary_text(contacts) if as_summary else listing.list_text(contacts))


def _show_between_satellites(scenario: Scenario, out: Path | None) -> None:
    """Print the windows between a scenario's satellites, or write them to ``out``."""
    from sim.cli.contact_listing import SHOWN
    from sim.cli.contact_search import between_satellites
    from sim.trace import plain_tables

    as_text = out is None or out.suffix == ".csv"
    windows = between_satellites(scenario, as_text=as_text)
    if out is None:
        print(plain_tables.text(windows, SHOWN))
    else:
        plain_tables.write(windows, out)
        print(f"wrote {len(windows['a'])} windows to {out}", file=sys.stderr)
