"""CPU time of FedAvg over links between satellites, timing only, and what a hop takes.

Two weeks of 66 Iridium satellites with four terminals, and a day of 1,000 satellites in 25 planes
over three stations, with four terminals, which link planes in pairs, and in a grid; every satellite
takes part in every round with a model of 1 MB.
`python tests/benchmarks/bench_mesh.py SHARE` runs only that share of the times.
"""

from __future__ import annotations

import sys
from time import process_time
from typing import Any

import scenarios
import sim
from sim.process.garbage import collect_seldom

Keys = dict[str, Any]

STATIONS = 3
FEDAVG: Keys = {
    "stop.rounds": None,
    "compute.seconds_per_round": 600,
    "learning.method": "fedavg",
    "learning.options": {},
    "learning.train": False,
    "learning.model.kind": "vector-mlp",
    "learning.model.hidden": 3333,
    "learning.data.kind": "digits",
    "link.isl.route": "earliest",
    "link.isl.rate_mbps": 100,
    "link.isl.between_planes": "neighbours",
    "link.isl.terminals": 4,
}
GRID: Keys = {"link.isl.between_planes": "grid", "link.isl.terminals": None}
SHELL: Keys = {
    "source": "walker",
    "pattern": "delta",
    "satellites": 1000,
    "planes": 25,
    "phasing": 1,
    "altitude_km": 550,
    "inclination_deg": 53,
    "min_elevation_deg": 10,
}


def measure(name: str, days: float, keys: Keys) -> None:
    """Print what a run took, from its scenario to its result."""
    began_s = process_time()
    run = sim.run(scenarios.load("iridium-isl", FEDAVG | {"stop.days": days} | keys))
    took_s = process_time() - began_s
    rows = run.transfers
    rounds = int((run.events.kind == "aggregate").sum())
    print(
        f"{name}, {days:g} days: {took_s:.1f} s of CPU, {rounds:,} rounds, "
        f"{rows.message.nunique():,} messages, {len(rows):,} hops, "
        f"{1e6 * took_s / len(rows):.0f} us a hop",
        flush=True,
    )


def main(share: float = 1.0) -> None:
    collect_seldom()  # as the command
    stations = [
        station.model_dump(exclude_none=True)
        for station in (scenarios.load("flystack").ground.stations or ())[:STATIONS]
    ]
    measure("66 satellites", 14 * share, {})
    shell = {"orbit": SHELL, "ground.stations": stations}
    measure("1,000 satellites", share, shell)
    measure("1,000 satellites in a grid", share, shell | GRID)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
