"""Fig. 5 and 6 of EMS-FL: how many cycles each scheme takes at three step sizes, and how it falls.

    python papers/ems_fl_fig_5_6.py

The step sizes are ours, as those of the paper were not available; five seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, median
from typing import Any

from paper_runs import Run, printed, runs, spread, table

TARGET = 0.85
STEP = "learning.step_size"
STEPS = (0.02, 0.1, 0.5)
VARIANTS = {
    "EMS-FL": {"learning.method": "emsfl-enhanced"},
    "baseline": {"learning.method": "synchronous"},
}


def curve(run: Run) -> Any:
    """Return the accuracy on the global test set at the first evaluation of each cycle."""
    rows = run.result.metrics
    return rows[(rows.scope == "global") & rows.accuracy.notna()].groupby("cycle").accuracy.first()


def cycles(run: Run) -> float:
    """Return the complete cycles after which the accuracy is at the target; inf if never."""
    accuracy = curve(run)
    reached = accuracy.index[accuracy >= TARGET]
    return float(reached[0]) if len(reached) else math.inf


def fall(run: Run) -> tuple[float, float]:
    """Return how far the accuracy fell below an earlier one, and in which cycle."""
    depth = curve(run).cummax() - curve(run)
    return float(depth.max()), float(depth.idxmax())


def cells(made: Sequence[Run]) -> list[str]:
    """Return the median of cycles, the mean last accuracy, and the fall of the worst seed."""
    depth, cycle = max(map(fall, made))
    final = mean(float(curve(run).iloc[-1]) for run in made)
    return [
        spread(map(cycles, made)),
        f"{final:.3f}",
        f"{depth:.3f}",
        f"{cycle:g}" if depth else "-",
    ]


def main() -> None:
    """Run both schemes, and print cycles to the target beside the paper's."""
    made = runs("ems_fl_steps", "paper-exp1-small", {"seed": 0}, VARIANTS, {STEP: STEPS}, 5)
    by_row = {
        (step, name): [run for run in made if (run.values[STEP], run.variant) == (step, name)]
        for step in STEPS
        for name in VARIANTS
    }
    head = ("", "", f"cycles to {TARGET:.2f}", "final accuracy", "largest fall", "in cycle")
    rows = [[f"step size {step:g}", name, *cells(own)] for (step, name), own in by_row.items()]
    print(table(head, rows), end="\n\n")
    measured, paper = {}, {}
    for step in sorted(STEPS, key=lambda step: step != 0.1):
        baseline, own = (median(map(cycles, by_row[step, name])) for name in ("baseline", "EMS-FL"))
        figure = f"step size {step:g}: cycles of baseline over those of EMS-FL"
        measured[figure] = ratio = baseline / own
        paper[figure] = ("2", abs(ratio - 2) <= 0.5) if step == 0.1 else ("at least 1", ratio >= 1)
    print(printed(measured, paper))


if __name__ == "__main__":
    main()
