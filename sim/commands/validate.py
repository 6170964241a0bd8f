"""`leomix validate`."""

from __future__ import annotations

import sys

from sim.commands.arguments import ScenarioName, SetKeys, load


def validate_command(scenario: ScenarioName, set_: SetKeys = None) -> None:
    """Check a scenario without running it, and show what it would do."""
    from sim.build import build
    from sim.readiness import missing_data
    from sim.validation import plan_text

    built = build(load(scenario, set_, None))
    for warning in (*built.plan.doubts, *missing_data(built.learner)):
        print(f"warning: {warning}", file=sys.stderr)
    print(plan_text(built))
