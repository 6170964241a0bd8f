"""Cycles to 85 % in the paper's slots: every method at three step sizes, five seeds.

    python docs/studies/cycles.py [paper-slots | paper-slots-idle] [seeds]

Each method is then taken at its own best step size (fewest median cycles, then best final
accuracy), and compared with the synchronous baseline at its best.
"""

from __future__ import annotations

import sys
from statistics import mean, median

from batch import METHODS, Outcome, ratio, run_all, spread

STEP_SIZES = (0.02, 0.05, 0.1)


def main(scenario: str = "paper-slots", seeds: str = "5") -> None:
    """Run, and print both tables."""
    grid = [(method, step) for method in METHODS for step in STEP_SIZES]
    points = [
        (scenario, {"learning.method": method, "learning.step_size": step, "seed": seed})
        for method, step in grid
        for seed in range(int(seeds))
    ]
    outcomes = run_all(points)
    n = int(seeds)
    found = {key: outcomes[i * n : (i + 1) * n] for i, key in enumerate(grid)}
    print(f"{scenario}, seeds 0 to {n - 1}: cycles to 0.85, median (range)\n")
    print(f"{'method':<16}{'step':>6}{'cycles to .85':>20}{'final accuracy':>16}{'own mass':>18}")
    for (method, step), rows in found.items():
        print(f"{method:<16}{step:>6}{_row(rows)}")
    best = {m: min((s for s in STEP_SIZES), key=lambda s: _rank(found[m, s])) for m in METHODS}
    reference = [row.cycles for row in found["synchronous", best["synchronous"]]]
    print("\nbest step size of each method")
    for method in METHODS:
        rows = found[method, best[method]]
        gain = ratio(reference, [row.cycles for row in rows])
        print(f"{method:<16}{best[method]:>6}{_row(rows)}   fewer cycles: {gain}")


def _row(rows: list[Outcome]) -> str:
    mass = "-"
    if rows[0].mass is not None:
        ends = [min(row.mass[i] for row in rows if row.mass) for i in (0, 1)]
        mass = f">= {ends[0]:.2f}, {ends[1]:.2f}"
    final = mean(row.final for row in rows)
    return f"{spread(row.cycles for row in rows):>20}{final:>16.3f}{mass:>18}"


def _rank(rows: list[Outcome]) -> tuple[float, float]:
    return median(row.cycles for row in rows), -mean(row.final for row in rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
