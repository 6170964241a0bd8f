"""How time and memory of a run grow with each of what it is made of.

    python docs/studies/growth.py [ROW ...]

Each size runs in a process of its own, after a smaller run that imports and prepares everything.
CPU seconds and peak memory are those beyond it, the time the lesser of two runs. The exponent is
the slope of a straight line through the logarithms: 1 where twice as much takes twice as long.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
from pyarrow.parquet import read_metadata

Keys = dict[str, Any]
CITY = {"name": "Munich", "latitude_deg": 48.14, "longitude_deg": 11.58, "radius_km": 50}
AIM = 1.05
REPEATS = 2
LEAST_MB = 2.0
"""Less than this is not told from noise."""


def orbiting(days: float, clusters: list[Keys], **orbit: Any) -> Keys:
    """One satellite, or those of ``orbit``, over clusters; nothing is trained."""
    single = {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8}
    return {
        "start": "2026-08-22T00:00:00Z",
        "stop": {"days": days},
        "orbit": orbit or single,
        "ground": {"clusters": clusters},
        "link": {"preset": "physical", "uplink": {"total_bandwidth_mhz": 500}},
        "learning": {"method": "emsfl", "train": False, "rounds": {"per_gap_max": 3}},
    }


def grid(many: int) -> list[Keys]:
    """Clusters of five devices on eight parallels from 60 deg north to 45 deg south."""
    along = -(-many // 8)
    return [
        CITY | {"name": f"c{n}", "devices": 5, "latitude_deg": 60 - 15 * (n % 8),
                "longitude_deg": -180 + 360 / along * (n // 8)}
        for n in range(many)
    ]  # fmt: skip


def satellites(many: int) -> Keys:
    """Satellites of a constellation over four clusters, for six hours."""
    pattern = {"planes": 6, "phasing": 1, "altitude_km": 600, "inclination_deg": 60}
    return orbiting(
        0.25, grid(32)[::8], source="walker", satellites=many, serving="any", session="contact",
        min_contact_s=60.0,
        **pattern,
    )  # fmt: skip


def rounds(many: int) -> Keys:
    """Rounds of 20 satellites as clients of 13 stations; the plan is of six days in each."""
    options = {"clients": 20, "local_rounds": 1}
    return {"name": "flystack", "stop.days": 6, "stop.rounds": many, "learning.options": options}


def rings(satellites: int) -> Keys:
    """Four rings of satellites that pass their models on from one to the next, for five rounds."""
    return {"name": "flystack-isl", "orbit.satellites": 4 * satellites, "stop.rounds": 5}


def shell(satellites: int) -> Keys:
    """Satellites of a shell, of which all that see each other have links, for one round."""
    stop = {"stop.rounds": 1, "stop.days": 0.25}
    return {"name": "flystack-isl", "orbit.satellites": satellites, **stop}


def mesh(satellites: int, hours: float = 6.0) -> Keys:
    """FedAvg over a grid of links, eleven satellites in each plane, with a station on Svalbard."""
    return {
        "name": "iridium-isl",
        "orbit": {
            "source": "walker", "pattern": "star", "satellites": satellites,
            "planes": satellites // 11, "phasing": 1, "altitude_km": 780, "inclination_deg": 86.4,
            "min_elevation_deg": 10,
        },
        "link.isl.route": "earliest",
        "link.isl.rate_mbps": 100,
        "link.isl.between_planes": "grid",
        "stop.days": hours / 24,
        "stop.rounds": None,
        "compute.seconds_per_round": 600,
        "learning.method": "fedavg",
        "learning.options": {},
        "learning.train": False,
    }  # fmt: skip


def slots(devices: int, **model: Any) -> Keys:
    """Four clusters in slots, in which an MLP of two experts is trained for two cycles."""
    clusters = [{"name": name, "devices": devices // 4} for name in "ABCD"]
    return {
        "stop": {"cycles": 2},
        "orbit": {"source": "slots", "slots": {"seconds": 600}},
        "ground": {"clusters": clusters},
        "link": {"preset": "paper"},
        "learning": {
            "method": "synchronous",
            "batch_size": 8,
            "model": {"kind": "vector-moe", "experts": 2, **model},
            "rounds": {"per_contact": 3},
            "pretraining": {"backbone_steps": 2, "expert_steps": 2, "gate_steps": 2},
        },
    }


@dataclass(frozen=True)
class Row:
    """What grows, the scenario of each size, and the sizes.

    A scenario with a ``name`` is the shipped one, with other keys.
    """

    what: str
    scenario: Callable[[int], Keys]
    sizes: tuple[int, ...]

    @property
    def smallest(self) -> int:
        """The size of the run that imports and prepares everything."""
        # Rings of fewer satellites do not close.
        return self.sizes[0] if self.scenario in (rings, shell, mesh) else self.sizes[0] // 8


ROWS = {
    "satellites": Row("satellites over 4 clusters, 6 hours", satellites, (48, 192, 768)),
    "devices": Row(
        "devices of a cluster, 7 days",
        lambda n: orbiting(7, [CITY | {"devices": n}]),
        (250, 500, 1000),
    ),
    "contacts": Row(
        "days of one satellite over a cluster",
        lambda n: orbiting(n, [CITY | {"devices": 20}]),
        (16, 48, 144),
    ),
    "clusters": Row("clusters of 5 devices, 2 days", lambda n: orbiting(2, grid(n)), (16, 64, 128)),
    "transfers": Row("transfers of satellites, 6 days", rounds, (8, 24, 96)),
    "hops": Row("hops in four rings, 5 rounds", rings, (10, 20, 40)),
    "pairs": Row("pairs of satellites of a shell, 6 hours", shell, (40, 80, 160)),
    "mesh": Row("satellites of a mesh, 6 hours", mesh, (44, 88, 176)),
    "messages": Row("hops in a mesh of 66", lambda n: mesh(66, n), (8, 16, 32)),
    "clients": Row("clients that train, 2 cycles", lambda n: slots(n), (80, 320, 1280)),
    "parameters": Row(
        "width of a trained MLP, 8 clients",
        lambda n: slots(8, hidden=n, expert_hidden=n),
        (256, 512, 1024),
    ),
}


def measured(row: Row, size: int) -> tuple[float, float, float]:
    """What has grown to how much, CPU seconds and MB of a run of a size."""
    import scenarios
    import sim
    from learning.architecture.costs import architecture
    from sim.engine.setup import build

    def run(many: int) -> tuple[float, Any, int]:
        keys = row.scenario(many)
        name = keys.pop("name", None)
        scenario = scenarios.from_dict(keys) if name is None else scenarios.load(name, keys)
        with TemporaryDirectory() as folder:
            began = process_time()
            result = sim.run(scenario, Path(folder) / "run")
            seconds = process_time() - began
            transfers = read_metadata(Path(folder) / "run" / "transfers.parquet").num_rows
            return seconds, result, transfers

    run(row.smallest)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    runs = [run(size) for _ in range(REPEATS)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    _, result, transfers = runs[0]
    grown = float(size)
    if row is ROWS["contacts"]:
        grown = len(result.contacts)
    if row in (ROWS["transfers"], ROWS["hops"], ROWS["messages"]):
        grown = transfers
    if row is ROWS["pairs"]:
        grown = size * (size - 1) / 2
    if row is ROWS["parameters"]:
        grown = architecture(build(result.scenario).learner.config).parameters
    return grown, min(seconds for seconds, _, _ in runs), peak / 1024


def exponent(grown: list[float], values: list[float]) -> float:
    """Slope of a straight line through the logarithms."""
    return float(np.polyfit(np.log(grown), np.log(values), 1)[0])


def main(*names: str) -> int:
    """Print a line for each size, and the exponents below the last one of each row."""
    if names[:1] == ("--one",):
        print(*measured(ROWS[names[1]], int(names[2])))
        return 0
    print(f"{'what grows':<40}{'to':>12}{'CPU s':>10}{'MB':>9}")
    missed = []
    for name in names or ROWS:
        row, found = ROWS[name], []
        for size in row.sizes:
            found.append(_in_a_process(name, size))
            grown, seconds, mb = found[-1]
            print(f"{row.what:<40}{grown:>12,.0f}{seconds:>10.3f}{mb:>9.1f}", flush=True)
        sizes, times_s, memory = (list(column) for column in zip(*found, strict=True))
        slopes = [exponent(sizes, times_s), exponent(sizes, [max(x, LEAST_MB) for x in memory])]
        print(f"{'  exponents':<40}{'':>12}{slopes[0]:>10.2f}{slopes[1]:>9.2f}", flush=True)
        missed += [name] if max(slopes) > AIM else []
    print(f"\nevery exponent is at most {AIM}" if not missed else f"\nabove {AIM}: {missed}")
    return 0


def _in_a_process(name: str, size: int) -> tuple[float, float, float]:
    line = [sys.executable, __file__, "--one", name, str(size)]
    quiet = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, env=quiet)
    grown, seconds, mb = map(float, done.stdout.splitlines()[-1].split())
    return grown, seconds, mb


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
