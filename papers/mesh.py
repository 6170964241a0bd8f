"""What links between satellites change for FedAvg: days to a target, and what limits them.

    python papers/mesh.py CONSTELLATION RATES STATIONS LINKS MEGABYTES ...

CONSTELLATION is `iridium` (the 66 satellites of `iridium-isl`) or `walker` (the 100 of `flystack`).
RATES are those of passes and of links, like `stated:100` or `100:10`: passes with the S band that
`iridium-isl` states, or with so many Mbit/s up and down, and links with so many. STATIONS are 1
(Svalbard) or 13 (those of FLySTacK), LINKS one of the rows below; `every` stands for all of them.
MEGABYTES are sizes of the model.

Every satellite trains ten minutes in each round, and the round is over when the updates of all are
in. The accuracy of a round therefore does not depend on the network: a model of 19 kB is trained
once per constellation, on digits, until it reaches the target, and counts as one of so many
megabytes (`learning.sized_as`). Accuracies are those of the small model, bytes those of the large
one. The table is of runs for their timing, until as many rounds are over.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

import leomix

Keys = dict[str, Any]
Cell = tuple[str, str, str, str, str]
"""Constellation, rates, stations, links and megabytes, as they are typed."""

TARGET = 0.9
MESH: Keys = {"within_plane": "ring", "route": "earliest"}
ROWS: dict[str, Keys | None] = {
    "passes": None,
    "rings": MESH,
    "grid": MESH | {"between_planes": "grid"},
    "all": MESH | {"between_planes": "all"},
}
"""By passes alone; over rings; over rings and a link to each plane beside; over all in sight."""

STATIONS = ("1", "13")

DAYS = {"passes": 14, "rings": 3, "grid": 3, "all": 1}
"""How long is simulated at most."""

BYTES_PER_UNIT = 300.0
"""What a hidden unit of the model takes: 64 + 10 weights and a bias of 4 bytes."""

LEARNING: Keys = {
    "method": "fedavg",
    "steps_per_round": 10,
    "step_size": 0.1,
    "model": {"kind": "vector-mlp"},
    "data": {"kind": "digits", "split": {"over": "clients", "kind": "dirichlet", "alpha": 0.5}},
}


def run_of(cell: Cell, others: Keys) -> Any:
    """Run FedAvg in a cell of the table, with other keys."""
    constellation, rates, stations, links, megabytes = cell
    passes, _, link_mbps = rates.partition(":")
    isl = ROWS[links]
    flystack = leomix.load("flystack")
    hidden = round(float(megabytes) * 1e6 / BYTES_PER_UNIT)
    sized_as = {"kind": "vector-mlp", "hidden": hidden}
    keys: Keys = {
        "stop.days": DAYS[links],
        "stop.rounds": None,
        "compute.seconds_per_round": 600,
        "learning": LEARNING | {"sized_as": sized_as},
        "link.isl": isl and isl | {"rate_mbps": float(link_mbps)},
    }
    if constellation == "walker":
        keys["orbit"] = flystack.orbit.model_dump(exclude_unset=True) | {"min_elevation_deg": 10}
    if stations == "13":
        keys["ground.stations"] = [
            station.model_dump(exclude_none=True) for station in flystack.ground.stations or ()
        ]
    if passes != "stated":
        for way in ("uplink", "downlink"):
            radio = getattr(flystack.link, way).model_dump(exclude_unset=True)
            keys[f"link.{way}"] = radio | {"fixed_rate_mbps": float(passes)}
    return leomix.run(leomix.load("iridium-isl", keys | others))


def rounds_to_target(constellation: str) -> int:
    """Return after how many rounds the model has the target: trained over all links."""
    trained = run_of((constellation, "100:100", "1", "all", "1"), {"stop.accuracy": TARGET})
    return int(trained.metrics.version.iloc[-1])


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


def main(constellation: str, rates: str, stations: str, links: str, *megabytes: str) -> None:
    """Print days to the target, and what limits the rounds until then."""
    rounds = rounds_to_target(constellation)
    timing = {"learning.train": False, "stop.rounds": rounds}
    print(f"{constellation}, {rates} Mbit/s; days to {TARGET:.0%}: {rounds} rounds of FedAvg\n")
    print(
        f"{'stations':<10}{'links':<8}{'MB':>4}{'days':>9}  {'most of the time':<33}  over, or for"
    )
    for number in STATIONS if stations == "every" else [stations]:
        for row in ROWS if links == "every" else [links]:
            for size in megabytes:
                print(f"{number:<10}{row:<8}{size:>4}", end="")
                run = run_of((constellation, rates, number, row, size), timing)
                found = run.summary["rounds"]
                is_over = found is not None and found["count"] == rounds
                days = f"{run.summary['hours'] / 24:.2f}" if is_over else f"> {DAYS[row]}"
                print(f"{days:>9}  {limiting(run)}".rstrip(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
