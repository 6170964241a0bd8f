"""What it takes to reach 85 %: every method, in cycles, hours of orbit, gradient steps and joules.

    python papers/targets.py [scenario] [seeds] [step size]

All methods take the same step size, that of the scenario if none is given. Gradient steps and
energy are those of all devices together, training and transmitting. Each run ends when it has
reached the target, or after 200 cycles.
"""

from __future__ import annotations

import sys

from by_seed import Measure, cycles_to, measured, print_means, reached
from paper_runs import line, ratio, runs, spread

import leomix

METHODS = ("synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff")
TARGET, MOST = 0.85, 200
SPENT = (
    Measure("cycles", cycles_to(TARGET), "{:g}"),
    Measure("hours of orbit", reached(TARGET, "hours"), "{:.1f}"),
    Measure("gradient steps", reached(TARGET, "gradient_steps"), "{:g}"),
    Measure("kJ", reached(TARGET, "energy_j", 1e3), "{:.0f}"),
)


def main(scenario: str = "paper-exp1-small", seeds: str = "3", step: str = "") -> None:
    """Run, and print the table."""
    fixed = {
        "seed": 0,
        "stop.cycles": MOST,
        "stop.accuracy": TARGET,
        "learning.evaluate_every_hours": leomix.load(scenario).orbit.slots.seconds / 3600,
        **({"learning.step_size": float(step)} if step else {}),
    }
    methods = {name: {"learning.method": name} for name in METHODS}
    table = measured(runs(scenario, methods, fixed=fixed, seeds=int(seeds)), SPENT)
    said = f", step size {step}" if step else ""
    print(f"{scenario}, seeds 0 to {int(seeds) - 1}{said}: until {TARGET:.2f}, median (range)\n")
    print_means(table, SPENT, 16, 24, lambda measure, own: spread(own, measure.form), head="method")
    print("\ntimes as much with the synchronous baseline")
    for method, own in table.items():
        pairs = ((table["synchronous"][one.head], own[one.head]) for one in SPENT)
        print(line(method, 16, [ratio(a.values(), b.values()) for a, b in pairs], 24))


if __name__ == "__main__":
    main(*sys.argv[1:])
