"""Where the advantage of EMS-FL goes when a contact holds more than one local round.

    python docs/studies/gain.py [seeds]

The gain is cycles to 85 % of the synchronous baseline over those of enhanced EMS-FL, as medians
over seeds.
"""

from __future__ import annotations

import sys

from batch import Outcome, final, grouped, ratio, run_all, seeded, spread, using

ROUNDS = (1, 2, 4, 8, "fill")
METHODS = ("synchronous", "emsfl-enhanced")


def main(seeds: str = "3") -> None:
    """Run, and print the table."""
    n = int(seeds)
    # Thirty-second rounds, so that a slot of ten minutes has room for many of them; disconnected
    # phases stay those of the paper: one round a slot, three in a gap.
    fixed = {"learning.rounds.per_gap_max": 3, "compute.seconds_per_round": 30}
    points = [
        (
            "paper-slots",
            {**fixed, "learning.rounds.per_contact": rounds, **using(method, "paper-slots")},
        )
        for rounds in ROUNDS
        for method in METHODS
    ]
    found = iter(grouped(run_all(seeded(points, n)), n))
    print(f"paper-slots, seeds 0 to {n - 1}: cycles to 0.85, median (range); final accuracy\n")
    print(f"{'':<22}{'synchronous':>22}{'final':>8}{'emsfl-enhanced':>22}{'final':>8}{'gain':>8}")
    for rounds in ROUNDS:
        baseline, own = next(found), next(found)
        gain = ratio((row.cycles for row in baseline), (row.cycles for row in own))
        print(f"rounds a contact {rounds!s:<5}{_cells(baseline)}{_cells(own)}{gain:>8}")


def _cells(rows: list[Outcome]) -> str:
    return f"{spread(row.cycles for row in rows):>22}{final(rows):>8}"


if __name__ == "__main__":
    main(*sys.argv[1:])
