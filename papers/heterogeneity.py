"""Mixed data (Theorems 1 and 2): what the share of own-domain data does to EMS-FL's advantage.

    python papers/heterogeneity.py [seeds] [folder] [jobs]

The paper's slots, with one local round in each, from the same mix in all four clusters (own data
0.25) to a domain each (1). Threshold and period of EMS-FL's draw are chosen at each share by
validation accuracy. `density` is the local over the global density of data related to a cluster's
experts at the start (mean over clusters, 1 to 4), `own mass` the gate's mass on these, at the end.
Seeds are 1 and following, of what is chosen 101 and following; runs in the folder are kept.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from by_seed import (
    HOME,
    NO_LESS,
    SHARE,
    Keys,
    Measure,
    Step,
    Table,
    average_until,
    compared,
    cycles_to,
    draw_of,
    measured,
    print_means,
    summary,
    with_draws,
)

SCENARIO = "paper-slots"
FRACTIONS = (0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
OWN_DATA = "learning.data.own_domain_fraction"
TARGET, DAYS = 0.85, 26 / 24
BASELINE = "synchronous"
METHODS: Mapping[str, Keys] = {
    name: {"learning.method": name} for name in (BASELINE, "emsfl", "emsfl-enhanced")
}


def density(run: Any) -> float:
    """Return the mean density ratio of the clusters that have one, nan without experts."""
    known = [x for x in (run.summary["density_ratio"] or {}).values() if x is not None]
    return mean(known) if known else math.nan


def own_mass(run: Any) -> float:
    """Return the own gate mass at the end, nan without experts."""
    mass = run.summary["own_mass"]
    return math.nan if mass is None else float(mass["end"])


TESTED = (
    Measure(f"cycles to {TARGET}", cycles_to(TARGET), "{:.1f}", ratios=True),
    Measure("time-averaged", average_until(DAYS), "{:.3f}", SHARE),
    Measure("last accuracy", summary("accuracy_final"), "{:.3f}", SHARE),
)
SHOWN = (
    Measure("density", density, "{:.1f}", NO_LESS),
    Measure("own mass", own_mass, "{:.2f}", SHARE),
    HOME,
)


def main(seeds: str = "10", folder: str = "runs/heterogeneity", jobs: str = "2") -> None:
    """Choose, run, and print a table a share."""
    found: list[tuple[str, Table, list[Step]]] = []
    for share in FRACTIONS:
        place = Path(folder) / f"own-{share:g}"
        fixed = {OWN_DATA: share}
        drawn = with_draws(
            SCENARIO,
            {name: keys for name, keys in METHODS.items() if name != BASELINE},
            out=place.with_name(f"{place.name}-drawn"),
            fixed=fixed,
            at_days=None,
            jobs=int(jobs),
        )
        table = measured(
            SCENARIO,
            {**METHODS, **drawn},
            (*TESTED, *SHOWN),
            out=place,
            fixed=fixed,
            seeds=int(seeds),
            jobs=int(jobs),
        )
        chosen = "; ".join(f"{name} {draw_of(keys)}" for name, keys in drawn.items())
        steps = [Step(table, name, BASELINE, TESTED) for name in drawn]
        found.append(
            (f"own data {share:g}; threshold and cycles between splits: {chosen}", table, steps)
        )
    cells, count = compared([step for *_, steps in found for step in steps])
    left = iter(cells)
    print(
        f"{SCENARIO}, seeds 1 to {seeds}; means with 95 % intervals, of cycles the geometric mean;"
    )
    print(
        f"p is corrected for all {count} tests below (Holm); intervals and ranks (Wilcoxon) are not"
    )
    for title, table, steps in found:
        print(f"\n{title}\n")
        print_means(table, (*TESTED, *SHOWN), 16, 24)
        print("\n" + f"against {BASELINE}".ljust(24), end="")
        print("".join(f"{measure.head:>47}" for measure in TESTED))
        for step in steps:
            print(f"{step.name:<24}" + "".join(f"{cell:>47}" for cell in next(left)))


if __name__ == "__main__":
    main(*sys.argv[1:])
