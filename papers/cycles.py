"""Time to 85 % in the paper's slots: every method at several step sizes, several seeds.

    python papers/cycles.py [scenario] [seeds] [step sizes]

The scenario is one in slots: paper-slots, paper-exp1-small, paper-exp2-small. Each method is then
taken at its own best step size (least median time, then best final accuracy), and compared with
the synchronous baseline at its best. Time is counted in complete cycles, as in the paper, and in
slots, for which the model is evaluated at the end of each slot. `fall` is the farthest that the
accuracy fell below an earlier one, in the worst of the seeds.
"""

from __future__ import annotations

import sys
from statistics import mean, median

from batch import (
    METHODS,
    TARGET,
    Outcome,
    final,
    grouped,
    masses,
    ratio,
    run_all,
    seeded,
    slot_s_of,
    using,
)
from paper_runs import spread

STEP_SIZES = (0.02, 0.05, 0.1)


def main(scenario: str = "paper-slots", seeds: str = "5", *steps: str) -> None:
    """Run, and print both tables."""
    sizes, n, slot_h = [float(step) for step in steps] or STEP_SIZES, int(seeds), _hours(scenario)
    grid = [(method, step) for method in METHODS for step in sizes]
    points = [
        (
            scenario,
            {
                **using(method, scenario),
                "learning.step_size": step,
                "learning.evaluate_every_hours": slot_h,
            },
        )
        for method, step in grid
    ]
    found = dict(zip(grid, grouped(run_all(seeded(points, n)), n), strict=True))
    print(f"{scenario}, seeds 0 to {n - 1}: time to {TARGET:.2f}, median (range)\n")
    print(f"{'method':<16}{'step':>6}{_HEADS}{'own mass':>16}")
    for (method, step), rows in found.items():
        print(f"{method:<16}{step:>6g}{_row(rows, slot_h)}")
    best = {m: min(sizes, key=lambda s: _rank(found[m, s])) for m in METHODS}
    reference = found["synchronous", best["synchronous"]]
    print("\nbest step size of each method")
    for method in METHODS:
        rows = found[method, best[method]]
        cycles = ratio((row.cycles for row in reference), (row.cycles for row in rows))
        slots = ratio((row.hours for row in reference), (row.hours for row in rows))
        shown = f"{method:<16}{best[method]:>6g}{_row(rows, slot_h)}"
        print(f"{shown}   {cycles} cycles, {slots} slots")


_HEADS = f"{'cycles':>20}{'slots':>20}{'final':>8}{'fall':>7}"


def _hours(scenario: str) -> float:
    return slot_s_of(scenario) / 3600


def _row(rows: list[Outcome], slot_h: float) -> str:
    cycles = spread(row.cycles for row in rows)
    slots = spread((row.hours / slot_h for row in rows), "{:.0f}")
    fall = max(row.fall for row in rows)
    return f"{cycles:>20}{slots:>20}{final(rows):>8}{fall:>7.3f}{masses(rows):>16}"


def _rank(rows: list[Outcome]) -> tuple[float, float]:
    return median(row.hours for row in rows), -mean(row.final for row in rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
