"""`leomix tune`."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli import options, output
from sim.cli.options import spread_out

if TYPE_CHECKING:
    from sim.sweep.request import SweepOptions
    from sim.sweep.tuning import Tried, Tuning, TuningPlan


@dataclass(frozen=True)
class Tuned:
    """What is tuned: values of keys for each method or variant, and when they are compared."""

    sweep: Annotated[
        list[str],
        typer.Option(
            "-p", metavar="KEY=A,B", help="values to choose from; of learning.method: for each"
        ),
    ]
    variants: options.VariantsFile = None
    at: Annotated[
        float | None,
        typer.Option(metavar="DAYS", help="compare after so many days; default: the common end"),
    ] = None
    halving: Annotated[
        bool, typer.Option("--halving", help="only the better half goes on to twice the time")
    ] = False
    overrides: options.Overrides = field(kw_only=True)
    replications: Annotated[
        int, typer.Option(metavar="N", help="seeds of each setting; run r has seed + r")
    ] = 1

    def plan(self, source: str) -> TuningPlan:
        """Return the plan of a tuning of a scenario (name or file); InputError for wrong keys."""
        from sim.sweep.specs import read_pairs
        from sim.sweep.tuning import TuningPlan
        from sim.sweep.variants import Axes

        axes = Axes.of(read_pairs(self.sweep), self.variants)
        overrides = self.overrides.by_key()
        return TuningPlan(source, overrides, axes, self.replications, self.at, self.halving)


@dataclass(frozen=True)
class Place:
    """Where the settings are run: in which folder, and in how many processes."""

    out: Annotated[Path | None, options.output("default runs/tune-NAME")] = None
    jobs: options.Jobs = 1
    resume: Annotated[bool, options.go_on("tuning")] = False

    def sweep_options(self, limits: options.Limits) -> SweepOptions:
        """Return the options of the sweeps of a tuning."""
        from sim.sweep.request import SweepOptions, workers

        return SweepOptions(
            out=self.out,
            workers=workers(self.jobs),
            resume=self.resume,
            cache=not limits.no_cache,
            max_wall_s=limits.max_wall_s,
        )


@spread_out
def tune_command(
    scenario: options.ScenarioName,
    tuned: Tuned,
    place: Place,
    *,
    limits: options.Limits,
    shown: options.Shown,
) -> None:
    """Choose settings of each method on validation samples, and write them to chosen.yaml."""
    from sim.sweep.points import scenario_name
    from sim.sweep.tuning import CHOSEN, basis, run_tuning

    plan = tuned.plan(scenario_name(scenario))
    done = run_tuning(plan, place.sweep_options(limits), quiet=shown.quiet)
    path = done.folder / CHOSEN
    for line in done.notices():
        print(f"note: {line}", file=sys.stderr)
    with output.showing("the tuning is complete, its table", str(path), json_=shown.json_):
        if shown.json_:
            tried = [_row(one) for one in done.tried]
            found = {"judged_by": done.judged, "chosen": done.chosen, "tried": tried}
            output.print_json(found)
            return
        print(_text(done))
        print(f"chosen by      {basis(done.judged)}")
        print(f"chosen keys    {path}")
        print(f"use them       leomix sweep {scenario} --variants {path}")


def _row(one: Tried) -> dict[str, Any]:
    mean, mean_loss = (x if math.isfinite(x) else None for x in (one.mean, one.mean_loss))
    return {
        "contender": one.candidate.contender,
        "settings": dict(one.candidate.settings),
        "keys": dict(one.candidate.keys),
        "days": one.hours / 24.0,
        "seeds": len(one.accuracies),
        "validation_mean": mean,
        "validation_by_seed": {str(seed): x for seed, x in one.accuracies.items()},
        "validation_loss_mean": mean_loss,
        "validation_loss_by_seed": {str(seed): x for seed, x in one.losses.items()},
        "chosen": one.is_chosen,
    }


def _text(done: Tuning) -> str:
    """Show what was chosen, and below it what was tried, one line each."""
    from sim.analysis.comparison_text import mean_text
    from sim.analysis.judged import Judged
    from sim.analysis.over_seeds import over_seeds
    from sim.formatting import table
    from sim.sweep.tuning import BOUNDS

    lines = []
    for one in done.tried:
        values = [value for value in one.figures.values() if value is not None]
        count = f"{len(values)}"
        if len(values) < len(one.figures):
            count += f" of {len(one.figures)}"
        shown = mean_text(over_seeds(values, BOUNDS[done.judged])) if values else "-"
        mark = "chosen" if one.is_chosen else ""
        lines.append([one.candidate.name, count, f"{one.hours / 24:.2f}", shown, mark])
    unit = " (nats)" if done.judged == Judged.LOSS else ""
    best = [one for one in done.tried if one.is_chosen]
    chosen = "; ".join(f"{one.candidate.name} ({done.judged.merit(one.merit):.3f})" for one in best)
    heads = ["", "seeds", "days", f"{done.judged.on_validation}{unit} [95 %]", ""]
    return f"Best on validation samples: {chosen}.\n{table(heads, lines)}"
