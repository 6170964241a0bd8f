"""What it takes to reach 85 %: every method, in cycles, hours of orbit, gradient steps and joules.

    python papers/targets.py [scenario] [seeds] [step size]

All methods take the same step size, that of the scenario if none is given. Gradient steps and
energy are those of all devices together, training and transmitting. Each run ends when it has
reached the target, or after 200 cycles.
"""

from __future__ import annotations

import sys

from batch import (
    TARGET,
    Columns,
    grouped,
    print_columns,
    ratio,
    run_all,
    seeded,
    slot_s_of,
    using,
)

METHODS = ("synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff")
MOST = 200


def main(scenario: str = "paper-exp1-small", seeds: str = "3", step: str = "") -> None:
    """Run, and print the table."""
    n = int(seeds)
    fixed = {
        "stop.cycles": MOST,
        "stop.accuracy": TARGET,
        "learning.evaluate_every_hours": slot_s_of(scenario) / 3600,
        **({"learning.step_size": float(step)} if step else {}),
    }
    points = [(scenario, {**fixed, **using(method, scenario)}) for method in METHODS]
    found = dict(zip(METHODS, grouped(run_all(seeded(points, n)), n), strict=True))
    said = f", step size {step}" if step else ""
    print(f"{scenario}, seeds 0 to {n - 1}{said}: until {TARGET:.2f}, median (range)\n")
    print_columns(found, COLUMNS)
    print("\ntimes as much with the synchronous baseline")
    for method, rows in found.items():
        baseline = found["synchronous"]
        cells = [ratio(map(get, baseline), map(get, rows)) for get, _ in COLUMNS.values()]
        print(f"{method:<16}" + "".join(f"{cell:>24}" for cell in cells))


COLUMNS: Columns = {
    "cycles": (lambda row: row.cycles, "{:g}"),
    "hours of orbit": (lambda row: row.hours, "{:.1f}"),
    "gradient steps": (lambda row: row.gradient_steps, "{:g}"),
    "kJ": (lambda row: row.energy_j / 1e3, "{:.0f}"),
}


if __name__ == "__main__":
    main(*sys.argv[1:])
