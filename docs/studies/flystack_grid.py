"""FLySTacK's grid of constellations, stations and rules as one sweep, and its report.

    python docs/studies/flystack_grid.py FOLDER [JOBS [EVERY]]

The 768 points of "Bringing Federated Learning to Space" (arXiv 2511.14889), timing only: 1 to 10
planes of 1 to 10 satellites, 1 to 13 stations, and eight rules, each for 500 rounds. A point that
does not come to 500 rounds ends after 91 days. JOBS processes run them (2); a folder that is there
is continued. With EVERY, only one of so many points is run: 17 and 768 have no common factor, so
that a sample of each 17th point contains all values.
"""

from __future__ import annotations

import sys
import time
from itertools import product
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any

import leomix

SATELLITES_PER_PLANE = PLANES = (1, 2, 5, 10)
STATIONS = (1, 2, 3, 5, 10, 13)
CLIENTS = {"clients": 10, "local_rounds": 10}
FIRST = CLIENTS | {"selection": "first"}
SCHEDULED = CLIENTS | {"selection": "scheduled"}
INTRA_PLANE = SCHEDULED | {"intra_plane": True}
RULES: tuple[tuple[str, dict[str, Any]], ...] = (
    *product(("fedavg-sat", "fedprox-sat"), (FIRST, SCHEDULED, INTRA_PLANE)),
    ("fedbuff", {"buffer_size": 10}),
    ("fedsat", {}),
)
"""FedAvgSat, FedAvg2Sat, FedAvg3Sat, the same of FedProx, and two rules that wait for nobody."""


def main(folder: str, jobs: str = "2", every: str = "1") -> None:
    """Run the sweep, write its report, and say what it took."""
    began = time.monotonic()
    done = leomix.sweep(
        "flystack",
        keys(int(every)),
        out=folder,
        overrides={"stop.days": 91, "stop.rounds": 500},
        sampling="zip",
        jobs=int(jobs),
        resume=Path(folder).exists(),
        keep_going=True,
        quiet=False,
    )
    swept_s = time.monotonic() - began
    leomix.report([folder])
    spent = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    own_s, workers_s = (use.ru_utime + use.ru_stime for use in spent)
    rows = done.rows.to_pandas()
    print(rows.status.value_counts().to_string())
    print(
        f"{len(rows)} points in {swept_s:.0f} s, with its report {time.monotonic() - began:.0f} s"
    )
    print(f"CPU: {workers_s / len(rows):.2f} s a point, {own_s:.0f} s beside them")


def keys(every: int) -> dict[str, list[Any]]:
    """Return the values of each key at each point; rules vary fastest, as they share windows."""
    grid = [*product(SATELLITES_PER_PLANE, PLANES, STATIONS, RULES)][::every]
    return {
        "orbit.use.satellites_per_plane": [satellites for satellites, _, _, _ in grid],
        "orbit.use.planes": [planes for _, planes, _, _ in grid],
        "ground.stations_used": [stations for _, _, stations, _ in grid],
        "learning.method": [method for _, _, _, (method, _) in grid],
        "learning.options": [options for _, _, _, (_, options) in grid],
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
