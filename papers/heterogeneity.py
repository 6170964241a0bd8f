"""Mixed data (Theorems 1 and 2): what the share of own-domain data does to EMS-FL's advantage.

    python papers/heterogeneity.py [seeds]

The paper's slots, with one local round in each, from the same mix in all four clusters (own data
0.25) to a domain each (1). Threshold and period of EMS-FL's draw are chosen at each share by
validation accuracy. `density` is the local over the global density of data related to a cluster's
experts at the start (mean over clusters, 1 to 4), `own mass` the gate's mass on these, at the end.
Seeds are 1 and following, of what is chosen 101 and following.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from statistics import mean
from typing import Any

from by_seed import (
    DRAWS,
    FINAL,
    HOME,
    NO_LESS,
    OWN_DATA,
    SHARE,
    Measure,
    Part,
    Step,
    average_until,
    cycles_to,
    draw_of,
    measured,
    own_mass,
    print_parts,
    tuned,
)
from paper_runs import Keys, runs

SCENARIO = "paper-slots"
FRACTIONS = (0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
TARGET, DAYS = 0.85, 26 / 24
BASELINE = "synchronous"
METHODS: Mapping[str, Keys] = {
    name: {"learning.method": name} for name in (BASELINE, "emsfl", "emsfl-enhanced")
}


def density(run: Any) -> float:
    """Return the mean density ratio of the clusters that have one, nan without experts."""
    known = [x for x in (run.summary["density_ratio"] or {}).values() if x is not None]
    return mean(known) if known else math.nan


TESTED = (
    Measure(f"cycles to {TARGET}", cycles_to(TARGET), "{:.1f}", ratios=True),
    Measure("time-averaged", average_until(DAYS), "{:.3f}", SHARE),
    FINAL,
)
SHOWN = (
    *TESTED,
    Measure("density", density, "{:.1f}", NO_LESS),
    Measure("own mass", own_mass, "{:.2f}", SHARE),
    HOME,
)


def main(seeds: str = "10") -> None:
    """Choose, run, and print a table for each share."""
    parts: list[Part] = []
    for share in FRACTIONS:
        fixed = {OWN_DATA: share}
        drawing = {name: keys for name, keys in METHODS.items() if name != BASELINE}
        drawn = tuned(SCENARIO, drawing, DRAWS, fixed=fixed).chosen
        made = runs(SCENARIO, {**METHODS, **drawn}, fixed=fixed, seeds=int(seeds))
        table = measured(made, SHOWN)
        chosen = "; ".join(f"{name} {draw_of(keys)}" for name, keys in drawn.items())
        title = f"own data {share:g}; threshold and cycles between splits: {chosen}"
        steps = [Step(table, name, BASELINE, TESTED) for name in drawn]
        parts.append(Part(title, table, [(SHOWN, 16, 24)], steps))
    print(
        f"{SCENARIO}, seeds 1 to {seeds}; means with 95 % intervals, of cycles the geometric mean;"
    )
    print_parts(parts, f"against {BASELINE}", 24, lambda step: step.name)


if __name__ == "__main__":
    main(*sys.argv[1:])
