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
    from sim.cli.dry_run import missing_data, plan_text
    from sim.engine.setup import build

    built = build(load(scenario, set_, None))
    missing = missing_data(built.learner)
    for warning in (*built.plan.doubts, *missing):
        print(f"warning: {warning}", file=sys.stderr)
    print(plan_text(built))
    if estimate:
        from sim.cli.estimate import estimate_text

        print(f"\n{estimate_text(built, scenario, overrides_of(set_, None))}")
