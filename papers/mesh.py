"""What links between satellites change for FedAvg: days to a target, and what limits them.

    python papers/mesh.py MEGABYTES ...

The 66 satellites of `iridium-isl` with the S band that it states, links of 100 Mbit/s, and one
station (Svalbard) or the 13 of FLySTacK. MEGABYTES are sizes of the model.

Every satellite trains ten minutes in each round, and the round is over when the updates of all are
in. The accuracy of a round therefore does not depend on the network: a model of 19 kB is trained
once, on digits, until it reaches the target, and counts as one of so many megabytes
(`learning.sized_as`). Accuracies are those of the small model, bytes those of the large one. The
table is of runs for their timing, until as many rounds are over.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

from paper_runs import Keys, runs

import leomix

SCENARIO = "iridium-isl"
TARGET = 0.9
MESH: Keys = {"within_plane": "ring", "route": "earliest", "rate_mbps": 100}
ROWS: dict[str, tuple[Keys | None, float]] = {
    "passes": (None, 14),
    "rings": (MESH, 3),
    "grid": ({**MESH, "between_planes": "grid"}, 3),
    "all": ({**MESH, "between_planes": "all"}, 1),
}
"""By passes alone; over rings; over rings and a link to each plane beside; over all in sight.

Each with the days that are simulated at most."""
BYTES_PER_UNIT = 300.0
"""What a hidden unit of the model takes: 64 + 10 weights and a bias of 4 bytes."""
HIDDEN = "learning.sized_as.hidden"
FIXED: Keys = {
    "stop.rounds": None,
    "compute.seconds_per_round": 600,
    "learning": {
        "method": "fedavg",
        "steps_per_round": 10,
        "step_size": 0.1,
        "model": {"kind": "vector-mlp"},
        "data": {"kind": "digits", "split": {"over": "clients", "kind": "dirichlet", "alpha": 0.5}},
        "sized_as": {"kind": "vector-mlp"},
    },
}


def limiting(run: Any) -> str:
    """Say what takes most of the time of rounds, and what is waited for, or sent over, most.

    That is a direction of a link between satellites, or of all passes of a station.
    """
    paths = run.critical_path
    if not paths.paths:
        return ""
    part, share = next(iter(paths.shares.items()))
    stations = {station.name for station in run.scenario.ground.stations or ()}
    lasted_s: defaultdict[str, float] = defaultdict(float)
    for link, seconds in paths.links_s.items():
        up, down = link.source in stations, link.target in stations
        name = f"{link.source} up" if up else f"{link.source} > {link.target}"
        lasted_s[f"{link.target} down" if down else name] += seconds
    busiest, most_s = max(lasted_s.items(), key=lambda item: item[1])
    whole_s = sum(paths.parts_s.values())
    return f"{part:<28}{share:>5.0%}   {busiest:<27}{most_s / whole_s:>5.0%}"


def main(*megabytes: str) -> None:
    """Print days to the target, and what limits the rounds until then."""
    sizes = {round(float(size) * 1e6 / BYTES_PER_UNIT): size for size in megabytes}
    links = {name: {"stop.days": days, "link.isl": isl} for name, (isl, days) in ROWS.items()}
    until = {**FIXED, **links["all"], "stop.accuracy": TARGET}
    [trained] = runs(SCENARIO, {"trained": {}}, fixed={**until, HIDDEN: min(sizes)})
    rounds = int(trained.result.metrics.version.iloc[-1])
    thirteen = leomix.load("flystack").ground.stations or ()
    stations: dict[str, Keys] = {
        "1": {},
        "13": {"ground.stations": [one.model_dump(exclude_none=True) for one in thirteen]},
    }
    variants = {
        f"{number:<10}{name:<8}": {**keys, **more}
        for number, more in stations.items()
        for name, keys in links.items()
    }
    timing = {**FIXED, "learning.train": False, "stop.rounds": rounds}
    print(f"{SCENARIO}, days to {TARGET:.0%}: {rounds} rounds of FedAvg\n")
    print(
        f"{'stations':<10}{'links':<8}{'MB':>4}{'days':>9}  {'most of the time':<33}  over, or for"
    )
    for run in runs(SCENARIO, variants, {HIDDEN: [*sizes]}, fixed=timing):
        result, size = run.result, sizes[run.values[HIDDEN]]
        found = result.summary["rounds"]
        is_over = found is not None and found["count"] == rounds
        most = variants[run.variant]["stop.days"]
        days = f"{result.summary['hours'] / 24:.2f}" if is_over else f"> {most}"
        print(f"{run.variant}{size:>4}{days:>9}  {limiting(result)}".rstrip())


if __name__ == "__main__":
    main(*sys.argv[1:])
