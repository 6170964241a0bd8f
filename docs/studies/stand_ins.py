"""What the link decides: every method with payloads of an 8B mixture, and with its own small ones.

    python docs/studies/stand_ins.py [seeds]

One small mixture is trained in both (`quickstart-8b`). Each run ends when it has reached the
target, or with the scenario's last cycle; bytes and energy are those of all devices until then.
"""

from __future__ import annotations

import sys

from batch import TARGET, Columns, grouped, print_columns, run_all, seeded

SCENARIO = "quickstart-8b"
METHODS = ("synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff")
SMALL = {"learning.sized_as": None, "compute.tflops": None, "compute.seconds_per_round": 20}
"""A round takes 20 s either way: the FLOPs of the 8B mixture at 125 TFLOP/s."""


def main(seeds: str = "3") -> None:
    """Run, and print both tables."""
    n = int(seeds)
    fixed = {"stop.accuracy": TARGET, "learning.evaluate_every_hours": 3}
    for title, sizes in (("sized as llama-3-8b-x3", {}), ("as small as it is trained", SMALL)):
        points = [(SCENARIO, {**fixed, **sizes, "learning.method": name}) for name in METHODS]
        found = dict(zip(METHODS, grouped(run_all(seeded(points, n)), n), strict=True))
        print(f"{SCENARIO}, {title}, seeds 0 to {n - 1}: until {TARGET:.2f}, median (range)\n")
        print_columns(found, COLUMNS)
        print()


COLUMNS: Columns = {
    "days": (lambda row: row.hours / 24, "{:.1f}"),
    "cycles": (lambda row: row.cycles, "{:g}"),
    "MB up": (lambda row: row.up_bytes / 1e6, "{:.0f}"),
    "MB down": (lambda row: row.down_bytes / 1e6, "{:.0f}"),
    "gradient steps": (lambda row: row.gradient_steps, "{:g}"),
    "MJ": (lambda row: row.energy_j / 1e6, "{:.2f}"),
}


if __name__ == "__main__":
    main(*sys.argv[1:])
