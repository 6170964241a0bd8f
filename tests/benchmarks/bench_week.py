"""Peak memory and time of `leomix run` over a day and a week of a large constellation.

Fifty satellites over twenty clusters of a hundred devices, timing only: what grows with time goes
to disk. `python tests/benchmarks/bench_week.py DAYS...` runs it over other times.
"""

import json
import sys
import tempfile
from pathlib import Path

from stopwatch import leomix

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
    """Print what a run and its summary took, and how much it wrote."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "large.yaml"
        folder = Path(place) / "run"
        # JSON is a part of YAML.
        file.write_text(json.dumps({**SCENARIO, "stop": {"days": days}}), encoding="utf-8")
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
