"""Satellites as clients of stations: what antennas cost them.

    python papers/satellites.py [days] [stations ...]

A row has the passes and the time in view that stations of `flystack` with so many antennas serve,
and the mean of the rounds by each rule of selection.
"""

from __future__ import annotations

import sys
from typing import Any

from paper_runs import Keys, runs

RULES: dict[str, Keys] = {
    "first C": {},
    "scheduled": {"learning.options.selection": "scheduled"},
    "intra-plane": {
        "learning.options.selection": "scheduled",
        "learning.options.intra_plane": True,
    },
}
USED, ANTENNAS = "ground.stations_used", "ground.antennas"


def main(days: str = "7", *stations: str) -> None:
    """Run, and print the table."""
    vary: dict[str, list[Any]] = {
        USED: [int(number) for number in stations or "13"],
        ANTENNAS: [1, 2, "unlimited"],
    }
    rows: dict[tuple[int, Any], list[Any]] = {}
    for run in runs("flystack", RULES, vary, fixed={"stop.days": float(days)}):
        rows.setdefault((run.values[USED], run.values[ANTENNAS]), []).append(run.result.summary)
    print(f"flystack, {float(days) * 24:g} hours: what is served, and the mean hours of a round\n")
    print(f"{'stations':<10}{'antennas':<11}{'passes':>8}{'served':>8}{'of time':>9}", end="")
    print("".join(f"{rule:>13}" for rule in RULES))
    for (number, most), found in rows.items():
        first = found[0]
        served = first["contacts_served"] / first["contacts"]
        of_time = first["service_hours"] / first["in_view_hours"]
        means = "".join(f"{one['rounds']['mean_s'] / 3600:>13.2f}" for one in found)
        print(f"{number:<10}{most:<11}{first['contacts']:>8}{served:>8.0%}{of_time:>9.0%}{means}")


if __name__ == "__main__":
    main(*sys.argv[1:])
