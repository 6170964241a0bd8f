"""What it costs to bring updates of devices to gateways over links between satellites.

    python docs/studies/gateways.py DAYS MEGABYTES

Twenty devices in each of four cities send to the 66 satellites of `iridium-isl`, timing only: each
trains ten minutes in every round of FedAvg. Either all satellites hold the model together, at no
cost (the default of leomix), or stations hold it, and satellites carry what devices send to them
over rings, or a grid of links, of 100 Mbit/s each, and feeder links of 500 Mbit/s.
"""

from __future__ import annotations

import sys
from typing import Any

import scenarios
import sim

CITIES = {
    "Nairobi": (-1.29, 36.82),
    "Quito": (-0.18, -78.47),
    "Singapore": (1.35, 103.82),
    "Tromso": (69.65, 18.96),
}
STATIONS = {
    "Svalbard": (78.23, 15.39),
    "Punta Arenas": (-53.16, -70.92),
    "Hawaii": (19.82, -155.47),
    "Fairbanks": (64.84, -147.72),
}
LINKS: dict[str, dict[str, Any]] = {
    "rings": {"within_plane": "ring"},
    "grid": {"within_plane": "ring", "between_planes": "grid"},
}
BYTES_PER_UNIT = 300.0
"""What a hidden unit of the model takes: 64 + 10 weights and a bias of 4 bytes."""


def places(named: dict[str, tuple[float, float]], **more: Any) -> list[dict[str, Any]]:
    """Return nodes on the ground as a scenario has them."""
    return [
        {"name": name, "latitude_deg": latitude, "longitude_deg": longitude, **more}
        for name, (latitude, longitude) in named.items()
    ]


def run_of(links: str, stations: int, megabytes: str, days: str) -> sim.Result:
    """Run FedAvg over links to so many stations; with none the satellites hold the model."""
    radio = {"rate": "fixed", "fixed_rate_mbps": 5, "bandwidth_mhz": 1}
    keys: dict[str, Any] = {
        "stop.days": float(days),
        "stop.rounds": None,
        "roles": {"server": "stations" if stations else "satellites", "clients": "devices"},
        "ground": {"clusters": places(CITIES, devices=20)},
        "link": {"uplink": radio, "downlink": {"rate": "fixed", "fixed_rate_mbps": 5}},
        "compute.seconds_per_round": 600,
        "learning.method": "fedavg",
        "learning.options": {},
        "learning.train": False,
        "learning.model.kind": "vector-mlp",
        "learning.model.hidden": round(float(megabytes) * 1e6 / BYTES_PER_UNIT),
        "learning.data": {"kind": "digits"},
    }
    if stations:
        some = dict(list(STATIONS.items())[:stations])
        keys["ground"] |= {"stations": places(some), "antennas": 2}
        keys["link"]["isl"] = LINKS[links] | {"rate_mbps": 100, "route": "earliest"}
        keys["link"]["feeder"] = {"rate_mbps": 500}
    else:
        keys |= {"orbit.serving": "any", "orbit.session": "contact"}
    return sim.run(scenarios.load("iridium-isl", keys))


def main(days: str, megabytes: str) -> None:
    """Print a table of rounds, of the hops of uploads, and of bytes over links per round."""
    print(f"80 devices in 4 cities, FedAvg, {megabytes} MB, {days} days\n")
    print(f"{'links':<8}{'stations':>9}{'rounds':>8}{'mean h':>9}{'hops':>7}{'over links':>13}")
    for links, stations in (("none", 0), *((row, n) for row in LINKS for n in (1, 2, 4))):
        run = run_of(links, stations, megabytes, days)
        rounds = run.summary["rounds"]
        count = 0 if rounds is None else rounds["count"]
        mean_h = f"{rounds['mean_s'] / 3600:.2f}" if count else "-"
        moved = run.transfers
        links_gb = moved[moved.direction == "isl"].delivered_bytes.sum() / max(count, 1) / 1e9
        uploads = moved.message[moved.toward == "server"].dropna()
        sent = moved[moved.message.isin(uploads)]
        hops = f"{len(sent) / len(uploads):.1f}" if len(uploads) else "-"
        print(f"{links:<8}{stations:>9}{count:>8}{mean_h:>9}{hops:>7}{links_gb:>10.2f} GB")


if __name__ == "__main__":
    main(*sys.argv[1:])
