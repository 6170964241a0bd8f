"""Satellites as clients of stations: how long rounds last, and what antennas cost them.

    python docs/studies/satellites.py rounds [days] [stations ...]
    python docs/studies/satellites.py antennas [days] [stations ...]

`rounds` has the rounds of `flystack` by each rule of selection, with any number of antennas. A
round lasts from the aggregation before it to its own; as FLySTacK counts them, it begins with the
first pass behind the round before, and ends with the end of the pass behind its last one (of
scheduled rounds: with that pass's rise). `antennas` has the passes and the time in view that
stations with so many antennas serve, and the mean of the rounds.
"""

from __future__ import annotations

import sys
from typing import Any

from batch import Point, in_processes

RULES: dict[str, dict[str, Any]] = {
    "first C": {},
    "scheduled": {"learning.options.selection": "scheduled"},
    "intra-plane": {
        "learning.options.selection": "scheduled",
        "learning.options.intra_plane": True,
    },
}
ANTENNAS = (1, 2, "unlimited")


def main(table: str = "rounds", days: str = "14", *stations: str) -> None:
    """Run, and print the table."""
    used = [int(number) for number in stations] or [1, 3]
    if table == "rounds":
        rounds(float(days), used)
    else:
        antennas(float(days), used)


def rounds(days: float, stations: list[int]) -> None:
    """Print rounds by rule, as they are here and as FLySTacK counts them."""
    keys = [(number, rule) for number in stations for rule in RULES]
    found = in_processes(one, [_point(days, *key, "unlimited") for key in keys])
    print(f"flystack, {days:g} days, antennas unlimited: hours of a round\n")
    print(f"{'stations':<10}{'rule':<13}{'rounds':>7}{'mean':>8}{'median':>8}{'95 %':>8}", end="")
    print(f"{'theirs':>9}{'planes':>9}{'evenly':>8}")
    for (number, rule), run in zip(keys, found, strict=True):
        hours = "".join(f"{run[key] / 3600:8.2f}" for key in ("mean_s", "median_s", "p95_s"))
        hours += f"{run['passes_mean_s'] / 3600:9.2f}"
        planes = f"{run['planes']:9.2f}{run['planes_even']:8.2f}"
        print(f"{number:<10}{rule:<13}{run['count']:>7}{hours}{planes}")


def antennas(days: float, stations: list[int]) -> None:
    """Print what stations serve, and the mean of the rounds by each rule."""
    keys = [(number, most) for number in stations for most in ANTENNAS]
    points = [_point(days, number, rule, most) for number, most in keys for rule in RULES]
    found = iter(in_processes(one, points))
    print(f"flystack, {days * 24:g} hours: what is served, and the mean hours of a round\n")
    print(f"{'stations':<10}{'antennas':<11}{'passes':>8}{'served':>8}{'of time':>9}", end="")
    print("".join(f"{rule:>13}" for rule in RULES))
    for number, most in keys:
        runs = [next(found) for _ in RULES]
        shares = f"{runs[0]['served']:>8.0%}{runs[0]['of_time']:>9.0%}"
        means = "".join(f"{run['mean_s'] / 3600:>13.2f}" for run in runs)
        print(f"{number:<10}{most:<11}{runs[0]['passes']:>8}{shares}{means}")


def _point(days: float, stations: int, rule: str, most: int | str) -> Point:
    fixed = {"stop.days": days, "ground.stations_used": stations, "ground.antennas": most}
    return "flystack", fixed | RULES[rule]


def one(point: Point) -> dict[str, float]:
    """Run one setting in this process."""
    import scenarios
    import sim

    name, settings = point
    run = sim.run(scenarios.load(name, settings))
    summary = run.summary
    return {
        **summary["rounds"],
        "passes": summary["contacts"],
        "served": summary["contacts_served"] / summary["contacts"],
        "of_time": summary["service_hours"] / summary["in_view_hours"],
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
