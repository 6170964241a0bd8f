"""What the link decides: every method with payloads of an 8B mixture, and with its own small ones.

    python docs/studies/stand_ins.py [seeds]

One small mixture is trained in both (`quickstart-8b`). Each run ends when it has reached the
target, or with the scenario's last cycle; bytes and energy are those of all devices until then.
A method stands beside the same with more or fewer local rounds in a contact or between contacts,
since how much a device trains decides more than how it is aggregated. Below each table are the
days of one row over those of another, seed by seed, and what the baseline uploads of experts of
other cities.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from batch import (
    EARLY,
    TARGET,
    Columns,
    Outcome,
    Point,
    Settings,
    grouped,
    in_processes,
    masses,
    print_columns,
    run_all,
    seeded,
)
from over_seeds import spread

from learning import Update, changes
from learning.methods.synchronous import Synchronous

SCENARIO = "quickstart-8b"
SMALL = {"learning.sized_as": None, "compute.tflops": None, "compute.seconds_per_round": 20}
"""A round takes 20 s either way: the FLOPs of the 8B mixture at 125 TFLOP/s."""
PER_CONTACT, PER_GAP = "learning.rounds.per_contact", "learning.rounds.per_gap_max"
UNBUFFERED = {
    "learning.method": "fedbuff",
    "learning.options.buffer_size": 1,
    "learning.options.staleness": "constant",
}
"""Each update is added to the model at once and whole."""
ROWS: Mapping[str, Settings] = {
    "synchronous, as in the paper": {"learning.method": "synchronous"},
    "synchronous, 4 a contact": {"learning.method": "synchronous", PER_CONTACT: 4},
    "synchronous, 8 a contact": {"learning.method": "synchronous", PER_CONTACT: 8},
    "emsfl": {"learning.method": "emsfl"},
    "emsfl-enhanced": {"learning.method": "emsfl-enhanced"},
    "emsfl-enhanced, 1 a gap": {"learning.method": "emsfl-enhanced", PER_GAP: 1},
    "emsfl-enhanced, 8 a gap": {"learning.method": "emsfl-enhanced", PER_GAP: 8},
    "fedavg": {"learning.method": "fedavg"},
    "fedavg, 8 a contact": {"learning.method": "fedavg", PER_CONTACT: 8},
    "fedbuff": {"learning.method": "fedbuff"},
    "fedbuff, unbuffered": UNBUFFERED,
    "fedbuff, unbuffered, 8 a gap": {**UNBUFFERED, PER_GAP: 8},
    "local": {"learning.method": "local"},
}
"""A contact holds one local round and a gap up to three, unless the row says otherwise."""
PAIRS = (
    ("synchronous, as in the paper", "emsfl-enhanced"),
    ("synchronous, 4 a contact", "emsfl-enhanced"),
    ("synchronous, 8 a contact", "emsfl-enhanced"),
    ("synchronous, 8 a contact", "emsfl-enhanced, 8 a gap"),
    ("fedbuff, unbuffered", "emsfl-enhanced"),
    ("fedbuff, unbuffered, 8 a gap", "emsfl-enhanced, 8 a gap"),
    ("synchronous, as in the paper", "synchronous, 8 a contact"),
)
"""Rows whose days are divided: the first by the second."""
FIXED = {"stop.accuracy": TARGET, "learning.evaluate_every_hours": 3}


class Watched(Synchronous):
    """The baseline; what each device has changed in every update that arrived is kept."""

    arrived: ClassVar[list[tuple[Update, dict[str, Any]]]] = []

    def collect(self, update: Update | None) -> Any:
        """Keep the changes (K, ...) of the update by stored name, and aggregate it."""
        if update is not None:
            self.arrived.append((update, self.learner.force(changes(self.learner, update))))
        yield from super().collect(update)


def foreign(point: Point) -> tuple[int, int]:
    """Return how many uploaded matrices of other cities' experts are exactly 0, and of how many.

    The expert of a city has the city's number, as `quickstart-8b` pre-trains its gate.
    """
    import stand_ins  # this file once more, as the run imports it

    import scenarios
    import sim

    name, settings = point
    scenario = scenarios.load(name, settings)
    at_home = {c.name: f"expert.{i}." for i, c in enumerate(scenario.ground.clusters)}
    stand_ins.Watched.arrived = []
    sim.run(scenario)
    uploaded = [
        tensor[update.who].flatten(1)
        for update, changed in stand_ins.Watched.arrived
        for stored, tensor in changed.items()
        if stored.startswith("expert.") and not stored.startswith(at_home[update.cluster])
    ]
    same = sum(int((matrices == 0).all(1).sum()) for matrices in uploaded)
    return same, sum(len(matrices) for matrices in uploaded)


def main(seeds: str = "3") -> None:
    """Run, and print both tables."""
    n = int(seeds)
    for title, sizes, columns in TABLES:
        points = [(SCENARIO, {**FIXED, **sizes, **settings}) for settings in ROWS.values()]
        found = dict(zip(ROWS, grouped(run_all(seeded(points, n)), n), strict=True))
        print(f"{SCENARIO}, {title}, seeds 0 to {n - 1}: until {TARGET:.2f}, median (range)\n")
        print_columns(found, columns, first=29, other=21)
        print("\ndays of one row over days of the other, seed by seed, median (range)")
        for slow, fast in PAIRS:
            print(f"{slow} / {fast}".ljust(60) + times(found[slow], found[fast]))
        watched = (SCENARIO, {**FIXED, **sizes, "learning.method": "stand_ins:Watched"})
        counts = in_processes(foreign, seeded([watched], n))
        same, uploaded = (sum(count) for count in zip(*counts, strict=True))
        print(f"\nmatrices of other cities' experts that synchronous uploads: {uploaded}")
        print(f"of these exactly 0: {same}; own gate mass of emsfl: {masses(found['emsfl'])}\n")


def times(slow: Sequence[Outcome], fast: Sequence[Outcome]) -> str:
    """Show how many times the days of ``fast`` those of ``slow`` are, run by run (inf: never)."""
    pairs = zip(slow, fast, strict=True)
    ratios = (a.hours / b.hours if math.isfinite(a.hours) else math.inf for a, b in pairs)
    return spread(ratios, "{:.1f}")


def columns(megabytes: str) -> Columns:
    """Return the columns of both tables; ``megabytes`` is how these are written."""
    return {
        f"days to {EARLY:.2f}": (lambda row: row.early_hours / 24, "{:.1f}"),
        f"days to {TARGET:.2f}": (lambda row: row.hours / 24, "{:.1f}"),
        "last accuracy": (lambda row: row.final, "{:.3f}"),
        "MB up": (lambda row: row.up_bytes / 1e6, megabytes),
        "MB received": (lambda row: row.received_bytes / 1e6, megabytes),
        "gradient steps": (lambda row: row.gradient_steps, "{:g}"),
        "steps a day": (lambda row: row.steps_per_day, "{:.0f}"),
        "MJ": (lambda row: row.energy_j / 1e6, "{:.2f}"),
    }


MEMORY: Columns = {"GB of a device": (lambda row: row.memory_bytes / 1e9, "{:.1f}")}
TABLES: Sequence[tuple[str, Settings, Columns]] = (
    ("sized as llama-3-8b-x3", {}, {**columns("{:.0f}"), **MEMORY}),
    ("as small as it is trained", SMALL, columns("{:.2f}")),
)


if __name__ == "__main__":
    main(*sys.argv[1:])
