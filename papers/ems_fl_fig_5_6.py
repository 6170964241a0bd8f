"""Fig. 5 and 6 of EMS-FL: how many cycles each scheme takes at three step sizes, and how it falls.

    python papers/ems_fl_fig_5_6.py

The step sizes are ours, as those of the paper were not available; five seeds.
"""

from __future__ import annotations

from statistics import mean, median
from typing import Any

from by_seed import cycles_to
from paper_runs import by_variant, runs, spread, table

TARGET = 0.85
STEP = "learning.step_size"
STEPS = (0.02, 0.1, 0.5)
VARIANTS = {
    "EMS-FL": {"learning.method": "emsfl-enhanced"},
    "baseline": {"learning.method": "synchronous"},
}
CYCLES = cycles_to(TARGET)


def curve(result: Any) -> Any:
    """Return the accuracy on the global test set by cycle."""
    rows = result.metrics
    return rows[(rows.scope == "global") & rows.accuracy.notna()].groupby("cycle").accuracy.first()


def fall(result: Any) -> tuple[float, float]:
    """Return how far the accuracy fell below an earlier one, and in which cycle."""
    depth = curve(result).cummax() - curve(result)
    return float(depth.max()), float(depth.idxmax())


def main() -> None:
    """Run both schemes, and print cycles to the target beside the paper's."""
    made = runs("paper-exp1-small", VARIANTS, {STEP: STEPS}, fixed={"seed": 0}, seeds=5)
    rows, paper = [], []
    for step in STEPS:
        by_scheme = by_variant(run for run in made if run.values[STEP] == step)
        for name, results in by_scheme.items():
            depth, cycle = max(map(fall, results))
            final = mean(float(curve(result).iloc[-1]) for result in results)
            cells = [spread(map(CYCLES, results)), f"{final:.3f}", f"{depth:.3f}"]
            rows.append([f"step size {step:g}", name, *cells, f"{cycle:g}" if depth else "-"])
        baseline, own = (median(map(CYCLES, by_scheme[name])) for name in ("baseline", "EMS-FL"))
        ratio = baseline / own
        text, same = ("2", abs(ratio - 2) <= 0.5) if step == 0.1 else ("at least 1", ratio >= 1)
        figure = f"step size {step:g}: cycles of baseline over those of EMS-FL"
        paper.append([figure, text, f"{ratio:.4g}", "equal" if same else "different"])
    head = ("", "", f"cycles to {TARGET:.2f}", "final accuracy", "largest fall", "in cycle")
    print(table(head, rows), end="\n\n")
    paper.sort(key=lambda row: row[1] != "2")
    print(table(("the paper prints", "paper", "here", ""), paper))


if __name__ == "__main__":
    main()
