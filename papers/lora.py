"""What the choices of Remark 1 cost: how factors are aggregated and sent, and their rank.

    python papers/lora.py [scenario] [seeds] [cycles]

Enhanced EMS-FL. `full` sends merged matrices down, `factors` a change of the rank; `merge`
averages rebuilt matrices, `average` the factors. Bytes are those of all devices together, per
cycle of the run.
"""

from __future__ import annotations

import sys
from typing import Any

from batch import TARGET, Outcome, grouped, run_all, seeded
from paper_runs import spread

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
    points = [(scenario, {**fixed, **variant}) for variant in VARIANTS.values()]
    found = grouped(run_all(seeded(points, n)), n)
    print(f"{scenario}, emsfl-enhanced, {cycles} cycles, seeds 0 to {n - 1}, median (range)\n")
    heads = (
        f"{f'cycles to {TARGET}':>18}",
        f"{'final':>22}",
        f"{'kB up':>9}",
        f"{'kB received':>13}",
    )
    print(f"{'':<26}{''.join(heads)}")
    for name, rows in zip(VARIANTS, found, strict=True):
        print(f"{name:<26}{_cells(rows, int(cycles))}")


def _cells(rows: list[Outcome], cycles: int) -> str:
    up, received = (
        sum(values) / len(rows) / cycles / 1e3
        for values in ([row.up_bytes for row in rows], [row.received_bytes for row in rows])
    )
    reached = spread(row.cycles for row in rows)
    last = spread((row.final for row in rows), "{:.3f}")
    return f"{reached:>18}{last:>22}{up:>9.1f}{received:>13.1f}"


if __name__ == "__main__":
    main(*sys.argv[1:])
