"""`leomix validate`."""

from __future__ import annotations

import sys
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
