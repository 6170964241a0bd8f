"""Mixed data (Theorems 1 and 2): what the share of own-domain data does to EMS-FL's advantage.

    python docs/studies/heterogeneity.py [seeds]

A row a share, from the same mix in all four clusters (0.25) to a domain each (1). Beside it what
the trial data say before training: the local over the global density of data related to a
cluster's experts (mean over clusters, 1 to 4) and the own gate mass. `cycles` count to 85 %.
The gain is cycles of the synchronous baseline over those of the method, as medians over seeds.
"""

from __future__ import annotations

import sys

from batch import METHODS, Outcome, final, grouped, ratio, run_all, seeded, using

from sim.papers.forms import spread

FRACTIONS = (0.25, 0.4, 0.55, 0.7, 0.85, 1.0)


def main(seeds: str = "3") -> None:
    """Run, and print a table."""
    n = int(seeds)
    points = [
        (
            "paper-slots",
            {"learning.data.own_domain_fraction": share, **using(method, "paper-slots")},
        )
        for share in FRACTIONS
        for method in METHODS
    ]
    found = iter(grouped(run_all(seeded(points, n)), n))
    print(f"paper-slots, seeds 0 to {n - 1}: cycles to 0.85, median (range); final accuracy\n")
    print(f"{'':<20}{'synchronous':>29}{'emsfl':>36}{'emsfl-enhanced':>36}")
    cells = f"{'cycles':>22}{'final':>7}"
    print(f"{'own':<6}{'density':>7}{'mass':>7}{cells}" + f"{cells}{'gain':>7}" * 2)
    for share in FRACTIONS:
        rows = [next(found) for _ in METHODS]
        print(f"{share:<6g}{_condition(rows[1])}{_cells(rows[0])}{_gains(rows)}")


def _condition(rows: list[Outcome]) -> str:
    """Density ratio and own gate mass at the start, as medians over seeds."""
    density = spread((row.density or 0.0 for row in rows), "{:.1f}").split()[0]
    mass = spread((row.mass[0] for row in rows if row.mass), "{:.2f}").split()[0]
    return f"{density:>7}{mass:>7}"


def _gains(rows: list[list[Outcome]]) -> str:
    baseline, *others = rows
    shown = ""
    for own in others:
        gain = ratio((row.cycles for row in baseline), (row.cycles for row in own))
        shown += f"{_cells(own)}{gain:>7}"
    return shown


def _cells(rows: list[Outcome]) -> str:
    return f"{spread(row.cycles for row in rows):>22}{final(rows):>7}"


if __name__ == "__main__":
    main(*sys.argv[1:])
