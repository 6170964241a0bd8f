"""Time to 85 % in the paper's slots: every method at three step sizes, several seeds.

    python docs/studies/cycles.py [paper-slots | paper-slots-idle] [seeds] [step sizes]

Each method is then taken at its own best step size (least median time, then best final accuracy),
and compared with the synchronous baseline at its best. Time is counted in complete cycles, as in
the paper, and in slots, for which the model is evaluated at the end of each slot.
"""

from __future__ import annotations

import sys
from statistics import mean, median

from batch import METHODS, Outcome, ratio, run_all, spread

STEP_SIZES = (0.02, 0.05, 0.1)
SLOT_S = 600.0


def main(scenario: str = "paper-slots", seeds: str = "5", *steps: str) -> None:
    """Run, and print both tables."""
    sizes = [float(step) for step in steps] or STEP_SIZES
    grid = [(method, step) for method in METHODS for step in sizes]
    points = [
        (
            scenario,
            {
                "learning.method": method,
                "learning.step_size": step,
                "learning.evaluate_every_hours": SLOT_S / 3600,
                "seed": seed,
            },
        )
        for method, step in grid
        for seed in range(int(seeds))
    ]
    outcomes = run_all(points)
    n = int(seeds)
    found = {key: outcomes[i * n : (i + 1) * n] for i, key in enumerate(grid)}
    print(f"{scenario}, seeds 0 to {n - 1}: time to 0.85, median (range)\n")
    print(f"{'method':<16}{'step':>6}{'cycles':>16}{'slots':>18}{'final':>8}{'own mass':>16}")
    for (method, step), rows in found.items():
        print(f"{method:<16}{step:>6}{_row(rows)}")
    best = {m: min(sizes, key=lambda s: _rank(found[m, s])) for m in METHODS}
    reference = found["synchronous", best["synchronous"]]
    print("\nbest step size of each method")
    for method in METHODS:
        rows = found[method, best[method]]
        gains = [
            ratio([measure(row) for row in reference], [measure(row) for row in rows])
            for measure in (_cycles, _slots)
        ]
        print(f"{method:<16}{best[method]:>6}{_row(rows)}   {gains[0]} cycles, {gains[1]} slots")


def _row(rows: list[Outcome]) -> str:
    mass = "-"
    if rows[0].mass is not None:
        ends = [min(row.mass[i] for row in rows if row.mass) for i in (0, 1)]
        mass = f">= {ends[0]:.2f}, {ends[1]:.2f}"
    final = mean(row.final for row in rows)
    times = f"{spread(map(_cycles, rows)):>16}{spread(map(_slots, rows)):>18}"
    return f"{times}{final:>8.3f}{mass:>16}"


def _rank(rows: list[Outcome]) -> tuple[float, float]:
    return median(map(_slots, rows)), -mean(row.final for row in rows)


def _cycles(row: Outcome) -> float:
    """Cycles that are complete, or in which the accuracy is reached."""
    return row.cycles


def _slots(row: Outcome) -> float:
    """Slots until the accuracy is reached."""
    return row.hours * 3600 / SLOT_S


if __name__ == "__main__":
    main(*sys.argv[1:])
