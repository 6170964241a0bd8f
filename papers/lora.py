"""What the choices of Remark 1 cost: how factors are aggregated and sent, and their rank.

    python papers/lora.py [scenario] [seeds] [cycles]

Enhanced EMS-FL. `full` sends merged matrices down, `factors` a change of the rank; `merge`
averages rebuilt matrices, `average` the factors. Bytes are those of all devices together, per
cycle of the run.
"""

from __future__ import annotations

import sys
from statistics import mean
from typing import Any

from by_seed import FINAL, cycles_to
from paper_runs import by_variant, runs, spread

TARGET = 0.85
VARIANTS: dict[str, dict[str, Any]] = {
    "rank 4, merge, full": {},
    "rank 4, merge, factors": {"learning.lora.download": "factors"},
    "rank 4, average, full": {"learning.lora.aggregate": "average"},
    "rank 4, average, factors": {
        "learning.lora.aggregate": "average",
        "learning.lora.download": "factors",
    },
    "rank 1": {"learning.lora.rank": 1},
    "rank 2": {"learning.lora.rank": 2},
    "rank 8": {"learning.lora.rank": 8},
    "rank 4, float16 up": {"learning.upload_format": "float16"},
    "rank 4, int8 up": {"learning.upload_format": "int8"},
    "whole matrices": {"learning.lora.rank": None},
}


def main(scenario: str = "paper-exp1-small", seeds: str = "3", cycles: str = "30") -> None:
    """Run, and print the table."""
    n, fixed = int(seeds), {"learning.method": "emsfl-enhanced", "stop.cycles": int(cycles)}
    made = by_variant(runs(scenario, VARIANTS, fixed={"seed": 0, **fixed}, seeds=n))
    print(f"{scenario}, emsfl-enhanced, {cycles} cycles, seeds 0 to {n - 1}, median (range)\n")
    print(f"{'':<26}{f'cycles to {TARGET}':>18}{'final':>22}{'kB up':>9}{'kB received':>13}")
    for name, own in made.items():
        up, received = (
            mean(run.summary[key] for run in own) / int(cycles) / 1e3
            for key in ("uplink_bytes", "downlink_received_bytes")
        )
        reached, last = spread(map(cycles_to(TARGET), own)), spread(map(FINAL.of, own), "{:.3f}")
        print(f"{name:<26}{reached:>18}{last:>22}{up:>9.1f}{received:>13.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
