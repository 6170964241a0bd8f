"""Memory and time of runs against what `leomix validate --estimate` says of them.

`python tests/benchmarks/bench_estimate.py` tries and then runs twenty scenarios, each in a process
of its own. It prints the estimates beside the peak of the process, in MB, and beside its seconds,
with their ratios, and the seconds that were computed: far fewer where other programs run as well.
The seconds of a process hold those in which Python starts. No time is estimated where neither the
trial nor the rounds tell any. Words behind `--only` pick scenarios. `bench_peak.py` has the memory
of real models.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import scenarios
from tests.benchmarks.bench_peak import text
from tests.benchmarks.stopwatch import leomix
from tests.kit.costs import build, estimated_s
from tests.kit.records import memory_bytes

TIMED = {"learning.train": False}
FEDAVG = {"learning.method": "fedavg"}
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "quickstart": ("quickstart", {}),
    "quickstart, timing": ("quickstart", TIMED),
    "quickstart-8b": ("quickstart-8b", {"stop.days": 2}),
    "paper-slots": ("paper-slots", {"stop.cycles": 8}),
    "paper-slots, EMS-FL": ("paper-slots", {"stop.cycles": 8, "learning.method": "emsfl"}),
    "paper-slots-idle": ("paper-slots-idle", {"stop.cycles": 4}),
    "paper-exp1-small": ("paper-exp1-small", {"stop.cycles": 4}),
    "paper-exp2-small": ("paper-exp2-small", {"stop.cycles": 2}),
    "paper-exp1, timing": ("paper-exp1", TIMED | {"stop.cycles": 4}),
    "circular": ("circular", {"stop.days": 2}),
    "circular, fedavg": ("circular", FEDAVG | {"stop.days": 2}),
    "walker, timing": ("walker", TIMED | {"stop.days": 2}),
    "plain-fedavg": ("plain-fedavg", {"stop.days": 4}),
    "paper-exp2, timing": ("paper-exp2", TIMED | {"stop.cycles": 1}),
    "nmoe-digits": ("nmoe-digits", {}),
    "aligned-digits": ("aligned-digits", {"stop.days": 3}),
    "flystack, timing": ("flystack", {"stop.days": 1}),
    "fedsat": ("fedsat", {"stop.days": 0.5}),
    "fedisl": ("fedisl", {"stop.days": 0.5}),
    "nmoe-orbit, timing": ("nmoe-orbit", TIMED),
}


class Row(NamedTuple):
    """Estimates, None where there is none, and what was measured."""

    memory_mb: float
    peak_mb: float
    time_s: float | None
    wall_s: float
    cpu_s: float


def main() -> None:
    """Print a row for each scenario."""
    parser = ArgumentParser()
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    told = ("memory, MB", "peak", "ratio", "time, s", "wall", "ratio", "computed")
    print(f"{'scenario':<22}" + "".join(f"{word:>11}" for word in told))
    for name, (scenario, keys) in SETTINGS.items():
        if not asked.only or name in asked.only:
            row = measured(scenario, keys)
            time = "-" if row.time_s is None else f"{row.time_s:.1f}"
            of_time = "-" if row.time_s is None else f"{row.time_s / row.wall_s:.2f}"
            print(
                f"{name:<22}{row.memory_mb:>11.0f}{row.peak_mb:>11.0f}"
                f"{row.memory_mb / row.peak_mb:>11.2f}{time:>11}{row.wall_s:>11.1f}{of_time:>11}"
                f"{row.cpu_s:>11.1f}",
                flush=True,
            )


def measured(scenario: str, keys: dict[str, Any]) -> Row:
    """Estimate what a run takes, and then run it."""
    loaded = scenarios.load(scenario, keys)
    memory_mb = memory_bytes(loaded) / 1e6
    time_s = estimated_s(build(loaded), scenario, keys)
    said = [word for key, value in keys.items() for word in ("--set", f"{key}={text(value)}")]
    with TemporaryDirectory() as place:
        words = ("run", scenario, *said, "-o", Path(place) / "run", "--quiet", "--no-cache")
        took = leomix(*words, stderr=DEVNULL)  # warnings
    return Row(memory_mb, took.peak_mb * 1024**2 / 1e6, time_s, took.wall_s, took.cpu_s)


if __name__ == "__main__":
    main()
