"""`leomix link`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sim.cli.options import ScenarioName, SetKeys, load


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
