"""Where the advantage of EMS-FL goes: mixed data, and more rounds in a contact.

    python docs/studies/gain.py [seeds]

One table. The first rows vary how much of a cluster's data is its own domain (0.25 is the same
mix everywhere), the others how many local rounds a contact holds. The gain is cycles to 85 % of
the synchronous baseline over those of enhanced EMS-FL, as medians over seeds.
"""

from __future__ import annotations

import sys
from statistics import mean
from typing import Any

from batch import Outcome, ratio, run_all, spread

FRACTIONS = (1.0, 0.7, 0.4, 0.25)
ROUNDS = (1, 2, 4, 8, "fill")
METHODS = ("synchronous", "emsfl-enhanced")


def main(seeds: str = "3") -> None:
    """Run, and print the table."""
    n = int(seeds)
    changes: list[tuple[str, dict[str, Any]]] = [
        (f"own domain {value:g}", {"learning.data.own_domain_fraction": value})
        for value in FRACTIONS
    ]
    changes += [
        (
            f"rounds a contact {value}",
            # Thirty-second rounds, so that a slot of ten minutes has room for many of them;
            # disconnected phases stay those of the paper: one round a slot, three in a gap.
            {
                "learning.rounds.per_contact": value,
                "learning.rounds.per_gap_max": 3,
                "compute.seconds_per_round": 30,
            },
        )
        for value in ROUNDS
    ]
    points = [
        ("paper-slots", {**change, "learning.method": method, "seed": seed})
        for _, change in changes
        for method in METHODS
        for seed in range(n)
    ]
    outcomes = iter(run_all(points))
    print(f"paper-slots, seeds 0 to {n - 1}: cycles to 0.85, median (range); final accuracy\n")
    print(f"{'':<22}{'synchronous':>22}{'final':>8}{'emsfl-enhanced':>22}{'final':>8}{'gain':>8}")
    for label, _ in changes:
        found = {method: [next(outcomes) for _ in range(n)] for method in METHODS}
        gain = ratio(*([row.cycles for row in found[method]] for method in METHODS))
        print(f"{label:<22}{''.join(_cells(found[m]) for m in METHODS)}{gain:>8}")


def _cells(rows: list[Outcome]) -> str:
    return f"{spread(row.cycles for row in rows):>22}{mean(row.final for row in rows):>8.3f}"


if __name__ == "__main__":
    main(*sys.argv[1:])
