"""How EMS-FL draws its experts (section III-B): threshold and period, on mixed data.

    python papers/resplit.py [seeds] [folder] [jobs]

Enhanced EMS-FL in the paper's slots, with part of a cluster's data from its own domain and the rest
from the others'. A row a threshold (32) and a period: experts are split again after so many
complete cycles, or once. Seeds are 1 and following; runs that are in the folder are kept.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

from by_seed import (
    DRAWS,
    HOME,
    SHARE,
    Measure,
    average_until,
    cycles_to,
    draw_of,
    measured,
    print_means,
    summary,
)
from heterogeneity import DAYS, OWN_DATA, SCENARIO, TARGET, own_mass

FRACTIONS = (0.7, 0.4)
SHOWN = (
    Measure(f"cycles to {TARGET}", cycles_to(TARGET), "{:.1f}", ratios=True),
    Measure("time-averaged", average_until(DAYS), "{:.3f}", SHARE),
    Measure("last accuracy", summary("accuracy_final"), "{:.3f}", SHARE),
    Measure("own mass at the end", own_mass, "{:.2f}", SHARE),
    HOME,
)


def main(seeds: str = "10", folder: str = "runs/resplit", jobs: str = "2") -> None:
    """Run, and print a table a share."""
    draws = [dict(zip(DRAWS, values, strict=True)) for values in product(*DRAWS.values())]
    rows = {draw_of(draw): {"learning.method": "emsfl-enhanced", **draw} for draw in draws}
    print(f"{SCENARIO}, emsfl-enhanced, seeds 1 to {seeds}; means with 95 % intervals")
    for share in FRACTIONS:
        table = measured(
            SCENARIO,
            rows,
            SHOWN,
            out=Path(folder) / f"own-{share:g}",
            fixed={OWN_DATA: share},
            seeds=int(seeds),
            jobs=int(jobs),
        )
        print(f"\nown data {share:g}; threshold, cycles between splits\n")
        print_means(table, SHOWN, 12, 24)


if __name__ == "__main__":
    main(*sys.argv[1:])
