"""Idle slots (Remark 4): what slots without any cluster in view do to both schemes.

    python papers/idle.py [scenario] [seeds]

Each run ends when it has reached 85 %. The gain is cycles, or slots, of the synchronous baseline
over those of enhanced EMS-FL, as medians over seeds.
"""

from __future__ import annotations

import sys

from batch import TARGET, Outcome, grouped, ratio, run_all, seeded, slot_s_of, using
from paper_runs import spread

IDLE = (0, 4, 12)
METHODS = ("synchronous", "emsfl-enhanced")


def main(scenario: str = "paper-slots", seeds: str = "3") -> None:
    """Run, and print the table."""
    n, slot_h = int(seeds), slot_s_of(scenario) / 3600
    fixed = {"stop.accuracy": TARGET, "learning.evaluate_every_hours": slot_h}
    points = [
        (scenario, {**fixed, "orbit.slots.idle": idle, **using(method, scenario)})
        for idle in IDLE
        for method in METHODS
    ]
    found = iter(grouped(run_all(seeded(points, n)), n))
    print(f"{scenario}, seeds 0 to {n - 1}: time to {TARGET:.2f}, median (range)\n")
    print(f"{'':<5}{'synchronous':>33}{'emsfl-enhanced':>33}{'gain':>16}")
    heads = f"{'cycles':>15}{'slots':>18}"
    print(f"{'idle':<5}{heads}{heads}{'cycles':>8}{'slots':>8}")
    for idle in IDLE:
        baseline, own = next(found), next(found)
        cycles = ratio((row.cycles for row in baseline), (row.cycles for row in own))
        slots = ratio((row.hours for row in baseline), (row.hours for row in own))
        cells = f"{_cells(baseline, slot_h)}{_cells(own, slot_h)}"
        print(f"{idle:<5}{cells}{cycles:>8}{slots:>8}")


def _cells(rows: list[Outcome], slot_h: float) -> str:
    slots = spread((row.hours / slot_h for row in rows), "{:.0f}")
    return f"{spread(row.cycles for row in rows):>15}{slots:>18}"


if __name__ == "__main__":
    main(*sys.argv[1:])
