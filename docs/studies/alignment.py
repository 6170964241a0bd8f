"""Client-expert alignment: what every policy makes of the same devices, data and passes.

    python docs/studies/alignment.py [seeds] [picture]

The scenario is aligned-digits. A row a policy: rounds until the pooled accuracy reaches the target,
and as means over all rounds the coefficient of variation of the experts' assignments and of the
samples that they serve, and the fitness of assigned pairs. Figures are means over seeds with their
95 % interval (Student's t). The picture, a file of any kind that matplotlib writes, shows the same.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from batch import Point, in_processes, seeded

from sim.analysis.over_seeds import over_seeds

SCENARIO, DAYS, TARGET = "aligned-digits", 8, 0.75
POLICIES = ("random", "greedy", "balanced-random", "balanced-fitness", "expert-driven")
EXPLORING = {"learning.options.exploration": 0.2, "learning.options.deficit_weight": 0.1}
WAYS: dict[str, dict[str, Any]] = {
    **{name: {"learning.options.policy": name} for name in POLICIES},
    "balanced-fitness, exploring": {"learning.options.policy": "balanced-fitness", **EXPLORING},
}
FIGURES = (
    f"rounds to {TARGET}",
    "CV of assignments",
    "CV of samples",
    "mean fitness",
    "last accuracy",
)


@dataclass(frozen=True)
class Outcome:
    """What a run came to, in the order of ``FIGURES``; ``rounds`` is inf if it never got there."""

    rounds: float
    assignment_variation: float
    sample_variation: float
    fitness: float
    accuracy: float


def run_one(point: Point) -> Outcome:
    """Run one setting in this process."""
    import scenarios
    import sim

    name, settings = point
    result = sim.run(scenarios.load(name, settings))
    rows = result.metrics[result.metrics.scope == "global"]
    hit = rows[rows.accuracy >= TARGET]
    load = result.summary["alignment"]
    return Outcome(
        rounds=float(hit.version.iloc[0]) if len(hit) else math.inf,
        assignment_variation=load["assignment_variation"],
        sample_variation=load["sample_variation"],
        fitness=load["fitness_mean"],
        accuracy=float(rows.accuracy.iloc[-1]),
    )


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean, and half of its 95 % interval by Student's t; inf if one never got there."""
    found = over_seeds(values)
    centre, low, high = found["mean"], found["low"], found["high"]
    half = math.nan if low is None or high is None else (high - low) / 2
    return math.inf if centre is None else centre, half


def main(seeds: str = "5", picture: str | None = None) -> None:
    """Run, print the table, and draw the picture."""
    n = int(seeds)
    points = seeded([(SCENARIO, {"stop.days": DAYS, **way}) for way in WAYS.values()], n)
    found = [astuple(outcome) for outcome in in_processes(run_one, points)]
    columns = [list(zip(*found[i : i + n], strict=True)) for i in range(0, len(found), n)]
    table = {
        name: [interval(values) for values in own] for name, own in zip(WAYS, columns, strict=True)
    }
    print(f"{SCENARIO}, {DAYS} days, seeds 0 to {n - 1}: mean +- 95 % t-interval\n")
    print(f"{'policy':<30}" + "".join(f"{head:>20}" for head in FIGURES))
    for name, cells in table.items():
        shown = [_cell(*cell, "{:.1f}" if k == 0 else "{:.3f}") for k, cell in enumerate(cells)]
        print(f"{name:<30}" + "".join(f"{text:>20}" for text in shown))
    if picture is not None:
        draw(table, picture)


def _cell(centre: float, half: float, form: str) -> str:
    if not math.isfinite(centre):
        return "not all"
    return form.format(centre) + (f" +- {form.format(half)}" if math.isfinite(half) else "")


def draw(table: dict[str, list[tuple[float, float]]], path: str) -> None:
    """Draw a panel a figure, a row a policy; what not all seeds reached is left out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(FIGURES), 3.0), layout="constrained")
    panels = figure.subplots(1, len(FIGURES), sharey=True)
    for k, (axes, title) in enumerate(zip(panels, FIGURES, strict=True)):
        for place, cells in enumerate(table.values()):
            centre, half = cells[k]
            if math.isfinite(centre):
                axes.errorbar(centre, place, xerr=np.nan_to_num(half), fmt="o", capsize=3)
        axes.set_title(title)
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(table)), list(table))
    panels[0].invert_yaxis()
    figure.savefig(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
