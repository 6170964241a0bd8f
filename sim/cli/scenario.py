"""`leomix validate` and `link`: what a scenario would do, before it runs."""

from pathlib import Path
from typing import Annotated

import typer

from sim.cli.options import ScenarioName, SetKeys, overrides_of
from sim.cli.output import warn
from sim.errors import InputError
from sim.formatting import Bar


def validate_command(
    scenario: ScenarioName,
    set_: SetKeys = None,
    *,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="also tell memory and time, by a trial of seconds")
    ] = False,
) -> None:
    """Check a scenario without running it, and show what it would do."""
    import scenarios
    from sim.cli.foreseen import foreseen
    from sim.cli.preview import plan_text
    from sim.cli.training_doubts import as_shipped, learning_doubts, missing_data
    from sim.engine import memory
    from sim.engine.doubts import doubts_of, gap_doubts
    from sim.engine.setup import build

    overrides = overrides_of(set_)
    with Bar(quiet=False) as bar:
        bar.start("looking for contacts")
        built = build(scenarios.load(scenario, overrides))
        lacking = missing_data(built.scenario, built.learner)
        too_large = None
        try:
            memory.check(built)
        except InputError as error:  # what it would be is shown all the same, but not tried
            too_large = error
        in_gaps = gap_doubts(built.scenario, built.method, built.learner, built.plan, built.compute)
        warn([*doubts_of(built), *in_gaps, *foreseen(built), *lacking])
        lines = [plan_text(built)]
        cost = None
        if not as_shipped(built.scenario, overrides):
            from sim.engine.cost import cost_of, pace_of  # simulates, which imports more

            pace = None
            if built.learner.trains and not lacking and too_large is None:
                bar.update("trying a few steps of training")  # with a module of one's own seconds
                warn(learning_doubts(built))
                pace = pace_of(built)
            elif built.method.own_learning:
                warn(built.try_hooks())
            bar.update("counting rounds of training")
            cost = cost_of(built, pace=pace)
            lines += [] if cost is None else [f"in all {cost.text}"]
    print("\n".join(lines))
    if estimate:
        from sim.cli.estimate import estimate_text  # which simulates

        print(f"\n{estimate_text(built, scenario, overrides, cost)}")
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
    import scenarios
    from sim.plan import budget

    loaded = scenarios.load(scenario, overrides_of(set_))
    if contact is not None:
        shown = [budget.one_pass(loaded, contact)]
        if out is not None:
            budget.write_pass(shown[0], out)
    else:
        budgets = budget.budget(loaded)
        if out is not None:
            budget.write(budgets, out)
        shown = [*budgets]
    print(budget.heading(loaded))
    for one in shown:
        print(f"{'' if len(shown) == 1 else chr(10)}{one.about}")
        print(one.text)
