"""How EMS-FL draws its experts (section III-B): threshold and period, on mixed data.

    python papers/resplit.py [seeds]

Enhanced EMS-FL in the paper's slots, with part of a cluster's data from its own domain and the rest
from the others'. A row has a threshold (32) and a period: experts are split again after so many
complete cycles, or once. Seeds are 1 and following.
"""

from __future__ import annotations

import sys
from itertools import product

from by_seed import DRAWS, HOME, OWN_DATA, SHARE, Measure, draw_of, measured, own_mass, print_means
from heterogeneity import SCENARIO, TESTED
from paper_runs import runs

FRACTIONS = (0.7, 0.4)
SHOWN = (*TESTED, Measure("own mass at the end", own_mass, "{:.2f}", SHARE), HOME)


def main(seeds: str = "10") -> None:
    """Run, and print a table for each share."""
    draws = [dict(zip(DRAWS, values, strict=True)) for values in product(*DRAWS.values())]
    rows = {draw_of(draw): {"learning.method": "emsfl-enhanced", **draw} for draw in draws}
    print(f"{SCENARIO}, emsfl-enhanced, seeds 1 to {seeds}; means with 95 % intervals")
    for share in FRACTIONS:
        table = measured(runs(SCENARIO, rows, fixed={OWN_DATA: share}, seeds=int(seeds)), SHOWN)
        print(f"\nown data {share:g}; threshold, cycles between splits\n")
        print_means(table, SHOWN, 12, 24)


if __name__ == "__main__":
    main(*sys.argv[1:])
