"""How long contact windows take, beside brahe's location_accesses for the same orbits and sites.

brahe is no dependency of leomix: give it an environment of its own, and say where its Python is.

    python -m venv brahe-env && brahe-env/bin/pip install brahe
    python tests/benchmarks/against_brahe.py brahe-env/bin/python

Both run on one thread. brahe gets the satellites as TLEs and no Earth orientation data, so that it
needs no network.
"""

import json
import subprocess
import sys
from time import perf_counter


def main():
    """Print both times and counts."""
    from bench_orbit import MASK_DEG, REPEATS, START, best_of, constellation, ground
    from sgp4.exporter import export_tle

    satellites = constellation()[::4]
    sites = ground(20)
    task = {
        "lines": [export_tle(satellite.model) for satellite in satellites],
        "places": [(site.longitude_deg, site.latitude_deg, site.altitude_m) for site in sites],
        "start": START.timetuple()[:6],
        "mask_deg": MASK_DEG,
    }
    best_of(1, satellites[:1], sites[:1])
    ours_s, windows = best_of(REPEATS, satellites, sites)
    done = subprocess.run(
        [sys.argv[1], __file__, "--brahe"], input=json.dumps(task), stdout=subprocess.PIPE,
        text=True, check=True,
    )  # fmt: skip
    brahe_s, found = json.loads(done.stdout)
    print(f"{len(satellites)} satellites x {len(sites)} sites x 1 day, mask {MASK_DEG:g} deg")
    print(f"leomix, hermite  {ours_s:8.3f} s  {len(windows)} windows  {brahe_s / ours_s:6.1f} x")
    print(f"brahe            {brahe_s:8.3f} s  {found} windows")


def brahe_side():
    """Do the task on standard input with brahe, and print seconds and windows."""
    import brahe

    task = json.load(sys.stdin)
    brahe.set_global_eop_provider(brahe.StaticEOPProvider.from_zero())
    satellites = [brahe.SGPPropagator.from_tle(*lines) for lines in task["lines"]]
    places = [brahe.PointLocation(*place) for place in task["places"]]
    start = brahe.Epoch.from_datetime(*task["start"], 0.0, brahe.TimeSystem.UTC)
    mask = brahe.ElevationConstraint(task["mask_deg"])
    config = brahe.AccessSearchConfig(parallel=False)
    begun = perf_counter()
    windows = brahe.location_accesses(
        places, satellites, start, start + 86400.0, mask, config=config
    )
    print(json.dumps([perf_counter() - begun, len(windows)]))


if __name__ == "__main__":
    if sys.argv[1:] == ["--brahe"]:
        brahe_side()
    elif len(sys.argv) == 2:
        main()
    else:
        sys.exit(__doc__)
