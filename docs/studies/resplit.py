"""Periodic model splitting (section III-B): experts drawn anew on mixed data, or never.

    python docs/studies/resplit.py [seeds]

Enhanced EMS-FL in the paper's slots, with part of a cluster's data from its own domain and the
rest from the others'. A row a period: the experts are split again after so many complete cycles,
0 for never.
"""

from __future__ import annotations

import sys

from batch import ONE_DRAW, TARGET, Outcome, grouped, masses, run_all, seeded

from sim.papers.forms import spread

FRACTIONS = (0.7, 0.4)
PERIODS = (0, 5, 10)


def main(seeds: str = "3") -> None:
    """Run, and print the table."""
    n = int(seeds)
    rows = [(share, period) for share in FRACTIONS for period in PERIODS]
    points = [
        (
            "paper-slots",
            {
                "learning.data.own_domain_fraction": share,
                "learning.method": "emsfl-enhanced",
                **ONE_DRAW,
                "learning.options.resplit_cycles": period,
            },
        )
        for share, period in rows
    ]
    found = grouped(run_all(seeded(points, n)), n)
    print(f"paper-slots, emsfl-enhanced, seeds 0 to {n - 1}, median (range)\n")
    heads = f"{f'cycles to {TARGET}':>22}{'final':>22}{'own mass':>16}"
    print(f"{'own':<6}{'split every':>12}{heads}")
    for (share, period), outcomes in zip(rows, found, strict=True):
        print(f"{share:<6g}{period or 'never':>12}{_cells(outcomes)}")


def _cells(rows: list[Outcome]) -> str:
    last = spread((row.final for row in rows), "{:.3f}")
    return f"{spread(row.cycles for row in rows):>22}{last:>22}{masses(rows):>16}"


if __name__ == "__main__":
    main(*sys.argv[1:])
