"""Peak memory and time of `leomix run` over a day and a week of a large constellation.

Fifty satellites over twenty clusters of a hundred devices, timing only: what grows with time goes
to disk. `python docs/benchmarks/bench_week.py DAYS...` runs it over other times.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

SATELLITES, CLUSTERS, DEVICES = 50, 20, 100
DAYS = (1.0, 7.0)
CLUSTER = {"devices": DEVICES, "radius_km": 20}
SCENARIO = {
    "seed": 1,
    "start": "2026-01-01T00:00:00Z",
    "orbit": {
        "source": "walker", "satellites": SATELLITES, "planes": 5, "phasing": 1,
        "altitude_km": 600, "inclination_deg": 70, "serving": "any", "min_elevation_deg": 15,
    },
    "ground": {
        "clusters": [
            {"name": f"c{i:02d}", "latitude_deg": -60 + 6 * i,
             "longitude_deg": (37 * i) % 360 - 180, **CLUSTER}
            for i in range(CLUSTERS)
        ]
    },
    "link": {"preset": "physical"},
    "learning": {"method": "emsfl", "train": False, "rounds": {"per_gap_max": 20}},
}  # fmt: skip


def measure(days):
    """Print what a run took, and how much it wrote."""
    with tempfile.TemporaryDirectory() as place:
        file, folder = Path(place) / "large.yaml", Path(place) / "run"
        # JSON is a part of YAML.
        file.write_text(json.dumps({**SCENARIO, "stop": {"days": days}}), encoding="utf-8")
        began = perf_counter()
        line = [sys.executable, "-m", "sim", "run", str(file), "-o", str(folder), "--quiet"]
        child = subprocess.Popen(line, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"exit code {child.returncode}")
        wall_s, peak_mb = perf_counter() - began, used.ru_maxrss / 1024
        traces_mb = sum(path.stat().st_size for path in folder.glob("*.parquet")) / 1e6
        print(f"{days:g} days: {wall_s:.1f} s, {peak_mb:.0f} MB at the peak", end="")
        print(f", traces of {traces_mb:.1f} MB", flush=True)


if __name__ == "__main__":
    for days in map(float, sys.argv[1:]) if len(sys.argv) > 1 else DAYS:
        measure(days)
