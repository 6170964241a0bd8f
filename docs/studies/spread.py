"""How long one model takes from a station to all satellites: by passes, by rings, by all links.

    python docs/studies/spread.py [starts]

40 satellites in 4 polar planes at 500 km, as in `flystack-isl`, with the first station of FLySTacK
or with all 13, which hold the model together. A satellite takes two minutes of a pass to get it and
a second of a link to pass it on, and keeps what it has got. The model sets out at so many times,
an hour apart.
"""

from __future__ import annotations

import sys
from datetime import timedelta

import numpy as np

import orbit
import scenarios
from sim import ContactGraph, ContactPlan
from sim.world.world import World

PASS_S, LINK_S, DAYS = 120.0, 1.0, 4


def main(starts: str = "48") -> None:
    """Print the hours until the last satellite has the model."""
    world = World(scenarios.load("flystack"))
    begin = world.given_start
    assert begin is not None
    end = begin + timedelta(days=DAYS)
    shell = orbit.walker_shell(180, 6878.137, 90, 40, 4, 1, begin, propagation="secular_j2")
    by_name = {site.name: site for site in world.sites.of_stations}
    places = [by_name[station.name] for station in world.scenario.ground.stations or ()]
    links = orbit.find_isls(shell, begin, end, grazing_km=0)
    plane = np.array([satellite.plane for satellite in shell])
    used = {
        "passes": np.zeros(len(links), bool),
        "rings": plane[links.a] == plane[links.b],
        "all links": np.ones(len(links), bool),
    }
    print("hours until 40 satellites have a model: median (least to most)\n")
    print(f"{'stations':<10}" + "".join(f"{name:>24}" for name in used))
    for count in (1, len(places)):
        passes = orbit.contact_windows(shell, places[:count], begin, end, 0.0)
        row = f"{count:<10}"
        for mask in used.values():
            plan = ContactPlan(
                len(shell) + 1,
                np.concatenate([np.full(len(passes), len(shell)), links.a[mask]]),
                np.concatenate([passes.satellite, links.b[mask]]),
                np.concatenate([passes.rise_s, links.start_s[mask]]),
                np.concatenate([passes.set_s, links.end_s[mask]]),
                np.concatenate([np.full(len(passes), 1 / PASS_S), np.full(mask.sum(), 1 / LINK_S)]),
            )
            graph = ContactGraph(plan)
            from_s = 3600.0 * np.arange(int(starts))
            hours = [(graph.arrivals(len(shell), 1.0, t).max() - t) / 3600 for t in from_s]
            spread = f"{np.median(hours):.2f} ({min(hours):.2f} to {max(hours):.2f})"
            row += f"{spread:>24}"
        print(row)


if __name__ == "__main__":
    main(*sys.argv[1:])
