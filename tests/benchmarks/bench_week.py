"""Peak memory and time of `leomix run` over a day and a week of a large constellation.

Fifty satellites over twenty clusters of a hundred devices, timing only: what grows with time goes
to disk. `python tests/benchmarks/bench_week.py DAYS...` runs it over other times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

SATELLITES, CLUSTERS, DEVICES = 50, 20, 100
DAYS = (1.0, 7.0)


class Process(NamedTuple):
    """What a process took, and what it said."""

    wall_s: float
    peak_mb: float
    out: str


def scenario(days: float) -> str:
    """The scenario as YAML, of which JSON is a part."""
    clusters = [
        {
            "name": f"c{i:02d}",
            "latitude_deg": -60 + 6 * i,
            "longitude_deg": (37 * i) % 360 - 180,
            "devices": DEVICES,
            "radius_km": 20,
        }
        for i in range(CLUSTERS)
    ]
    orbit = {
        "source": "walker",
        "altitude_km": 600,
        "inclination_deg": 70,
        "satellites": SATELLITES,
        "planes": 5,
        "phasing": 1,
        "serving": "any",
        "min_elevation_deg": 15,
    }
    return json.dumps(
        {
            "seed": 1,
            "start": "2026-01-01T00:00:00Z",
            "stop": {"days": days},
            "orbit": orbit,
            "ground": {"clusters": clusters},
            "link": {"preset": "physical"},
            "learning": {"method": "emsfl", "train": False, "rounds": {"per_gap_max": 20}},
        },
        indent=1,
    )


def leomix(*words: str | Path) -> Process:
    """Run a command in a process of its own."""
    began = time.perf_counter()
    line = [sys.executable, "-m", "sim", *map(str, words)]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        child = subprocess.Popen(line, stdout=out)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{' '.join(line)}: exit code {child.returncode}")
        out.seek(0)
        said = out.read()
    return Process(time.perf_counter() - began, used.ru_maxrss / 1024, said)


def measure(days: float) -> None:
    """Print what a run and its summary took, and how much it wrote."""
    with tempfile.TemporaryDirectory() as place:
        file, folder = Path(place) / "large.yaml", Path(place) / "run"
        file.write_text(scenario(days), encoding="utf-8")
        run = leomix("run", file, "-o", folder, "--quiet")
        show = leomix("show", folder, "--json")
        summary = json.loads(show.out)
        traces_mb = sum(path.stat().st_size for path in folder.glob("*.parquet")) / 1e6
        print(
            f"{days:g} days, {summary['contacts']:,} contacts, {summary['transfers']:,} transfers"
        )
        print(f"  leomix run    {run.wall_s:8.1f} s  {run.peak_mb:8.0f} MB  at the peak")
        print(f"  leomix show   {show.wall_s:8.1f} s  {show.peak_mb:8.0f} MB")
        print(f"  traces                      {traces_mb:8.1f} MB  on disk", flush=True)


if __name__ == "__main__":
    for days in map(float, sys.argv[1:]) if len(sys.argv) > 1 else DAYS:
        measure(days)
