"""What links between satellites change for FedAvg: rounds by passes alone, and over the mesh.

    python docs/studies/mesh.py DAYS STATIONS LINKS MEGABYTES...

The 66 satellites of `iridium-isl`, timing only: every satellite trains ten minutes in each round,
and the round is over when the updates of all are in. STATIONS are 1 (Svalbard) or 13 (those of
FLySTacK), LINKS one of the rows below, or all of them with `every`. Links carry 100 Mbit/s.
"""

from __future__ import annotations

import sys
from typing import Any

import scenarios
import sim

ROWS: dict[str, dict[str, Any]] = {
    "passes": {"link.isl": None},
    "rings": {"link.isl.route": "earliest", "link.isl.rate_mbps": 100},
    "grid": {
        "link.isl.route": "earliest",
        "link.isl.rate_mbps": 100,
        "link.isl.between_planes": "neighbours",
        "link.isl.terminals": 4,
    },
}
"""By passes alone; over rings; over rings and two links to planes beside."""

BYTES_PER_UNIT = 300.0
"""What a hidden unit of the model takes: 64 + 10 weights and a bias of 4 bytes."""


def run_of(links: str, stations: str, megabytes: str, days: str) -> sim.Result:
    """Run FedAvg with one model over the links of a row."""
    keys: dict[str, Any] = {
        "stop.days": float(days),
        "stop.rounds": None,
        "compute.seconds_per_round": 600,
        "learning.method": "fedavg",
        "learning.options": {},
        "learning.train": False,
        "learning.model.kind": "vector-mlp",
        "learning.model.hidden": round(float(megabytes) * 1e6 / BYTES_PER_UNIT),
        "learning.data.kind": "digits",
    }
    if stations == "13":
        flystack = scenarios.load("flystack")
        keys["ground.stations"] = [
            station.model_dump(exclude_none=True) for station in flystack.ground.stations
        ]
    return sim.run(scenarios.load("iridium-isl", keys | ROWS[links]))


def main(days: str, stations: str, links: str, *megabytes: str) -> None:
    """Print a table of rounds: how many, how long, and what they send per round."""
    print(f"66 Iridium satellites, FedAvg, {days} days, stations: {stations}\n")
    print(f"{'links':<8}{'MB':>6}{'rounds':>8}{'mean h':>9}{'hops':>9}{'over links':>14}")
    for row in ROWS if links == "every" else [links]:
        for size in megabytes:
            run = run_of(row, stations, size, days)
            rounds = run.summary["rounds"]
            count = 0 if rounds is None else rounds["count"]
            mean_h = f"{rounds['mean_s'] / 3600:.2f}" if count else "-"
            moved = run.transfers
            over = moved[moved.direction == "isl"].delivered_bytes.sum() / max(count, 1)
            messages = moved.message.nunique() or len(moved)
            hops = f"{len(moved) / messages:.1f}" if messages else "-"
            print(f"{row:<8}{size:>6}{count:>8}{mean_h:>9}{hops:>9}{over / 1e9:>11.2f} GB")


if __name__ == "__main__":
    main(*sys.argv[1:])
