"""Time of sweeps: one worker against two, and many short points against a process for each.

`python tests/benchmarks/bench_sweep.py POINTS` takes other than 1000 timing-only points.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from stopwatch import leomix

from sim.sweep import read_sweep

ALTITUDES, METHODS = "400:1200:100", "synchronous,emsfl-enhanced"
TRAINED = ["--set", "stop.days=2", "--set", "learning.rounds.per_gap_max=1"]
TIMED = ["--set", "learning.train=false"]
POINTS, PROCESSES = 1000, 10


def trained(place: Path) -> None:
    """Sweep nine altitudes by two methods with one worker and with two, one thread in each."""
    line = ["sweep", "circular", "-p", f"orbit.altitude_km={ALTITUDES}", *TRAINED, "--no-cache"]
    line += ["-p", f"learning.method={METHODS}", "--quiet"]
    one_s = leomix(*line, "-j", 1, "-o", "one", cwd=place).wall_s
    two_s = leomix(*line, "-j", 2, "-o", "two", cwd=place).wall_s
    same = read_sweep(place / "one").sha256 == read_sweep(place / "two").sha256
    print("9 altitudes x 2 methods, 2 days of circular, trained, nothing reused:")
    print(f"  -j 1 {one_s:7.1f} s")
    print(f"  -j 2 {two_s:7.1f} s: {one_s / two_s:.2f} times as fast, rows identical: {same}")


def timed(place: Path, points: int) -> None:
    """Sweep many timing-only points with two workers, and run some in a process for each."""
    key = "orbit.argument_of_latitude_deg"
    step = 360 / points
    each_s = 0.0
    for n in range(PROCESSES):
        line = ["run", "circular", *TIMED, "--set", f"{key}={step * n}", "-o", f"run{n}", "--quiet"]
        each_s += leomix(*line, cwd=place).wall_s
    values = f"0:{360 - step / 2}:{step}"
    line = ["sweep", "circular", *TIMED, "-p", f"{key}={values}", "-o", "many", "--quiet"]
    dry_s = leomix(*line, "--dry-run", cwd=place).wall_s
    sweep_s = leomix(*line, "-j", 2, cwd=place).wall_s
    rows = json.loads((place / "many" / "sweep.json").read_text())["points"]
    process_s = each_s / PROCESSES
    print(f"{len(rows)} timing-only points of circular (14 days), -j 2:")
    print(f"  a process for each   {process_s:6.3f} s a point (of {PROCESSES})")
    print(
        f"  leomix sweep         {sweep_s / len(rows):6.3f} s a point, {sweep_s:.0f} s in all: "
        f"{process_s * len(rows) / sweep_s:.1f} times as fast"
    )
    print(f"  checking all of them and trying one (--dry-run): {dry_s:.1f} s")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        timed(Path(folder), int(sys.argv[1]) if len(sys.argv) > 1 else POINTS)
        trained(Path(folder))
