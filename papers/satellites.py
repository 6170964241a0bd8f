"""Satellites as clients of stations: what antennas cost them.

    python papers/satellites.py [days] [stations ...]

A row has the passes and the time in view that stations of `flystack` with so many antennas serve,
and the mean of the rounds by each rule of selection.
"""

from __future__ import annotations

import sys

from batch import Point, Settings, grouped, results

RULES: dict[str, Settings] = {
    "first C": {},
    "scheduled": {"learning.options.selection": "scheduled"},
    "intra-plane": {
        "learning.options.selection": "scheduled",
        "learning.options.intra_plane": True,
    },
}
ANTENNAS = (1, 2, "unlimited")


def main(days: str = "7", *stations: str) -> None:
    """Run, and print the table."""
    keys = [(int(number), most) for number in stations or ("1", "3") for most in ANTENNAS]
    points: list[Point] = [
        (
            "flystack",
            {
                "stop.days": float(days),
                "ground.stations_used": number,
                "ground.antennas": most,
                **rule,
            },
        )
        for number, most in keys
        for rule in RULES.values()
    ]
    print(f"flystack, {float(days) * 24:g} hours: what is served, and the mean hours of a round\n")
    print(f"{'stations':<10}{'antennas':<11}{'passes':>8}{'served':>8}{'of time':>9}", end="")
    print("".join(f"{rule:>13}" for rule in RULES))
    for (number, most), runs in zip(keys, grouped(results(points), len(RULES)), strict=True):
        first = runs[0].summary
        served = first["contacts_served"] / first["contacts"]
        of_time = first["service_hours"] / first["in_view_hours"]
        means = "".join(f"{run.summary['rounds']['mean_s'] / 3600:>13.2f}" for run in runs)
        print(f"{number:<10}{most:<11}{first['contacts']:>8}{served:>8.0%}{of_time:>9.0%}{means}")


if __name__ == "__main__":
    main(*sys.argv[1:])
