"""`leomix validate` and `link`: what a scenario would do, before it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sim.cli.options import ScenarioName, SetKeys, load, overrides_of


def validate_command(
    scenario: ScenarioName,
    set_: SetKeys = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="also tell memory and time, by a trial of seconds")
    ] = False,
) -> None:
    """Check a scenario without running it, and show what it would do."""
    from sim.cli import dry_run
    from sim.engine.setup import build

    built, overrides = build(load(scenario, set_, None)), overrides_of(set_, None)
    lines = [
        *built.doubts,
        *(dry_run.missing_data(built.learner) or dry_run.learning_doubts(built, overrides)),
    ]
    for warning in lines:
        print(f"warning: {warning}", file=sys.stderr)
    print(dry_run.plan_text(built))
    if estimate:
        print(f"\n{dry_run.estimate_text(built, scenario, overrides)}")


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
