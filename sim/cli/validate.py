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
    from sim.cli.dry_run import learning_doubts, missing_data, plan_text
    from sim.engine.setup import build

    built, overrides = build(load(scenario, set_, None)), overrides_of(set_, None)
    lines = [*built.doubts, *(missing_data(built.learner) or learning_doubts(built, overrides))]
    for warning in lines:
        print(f"warning: {warning}", file=sys.stderr)
    print(plan_text(built))
    if estimate:
        from sim.cli.estimate import estimate_text

        print(f"\n{estimate_text(built, scenario, overrides)}")
