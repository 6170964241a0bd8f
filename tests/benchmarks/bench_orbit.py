"""How long contact windows take, beside Skyfield's find_events for the same orbits and sites.

Run it with `python tests/benchmarks/bench_orbit.py`. Both compute rise, culmination and set of 20
circular satellites over 20 sites for one day at a 10 degree mask, on one thread.
"""

from datetime import UTC, datetime, timedelta
from time import perf_counter

import numpy as np
from skyfield.api import EarthSatellite, load, wgs84

import orbit

START = datetime(2026, 8, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MASK_DEG = 10.0


def main() -> None:
    """Print both times, both counts and the ratio."""
    rng = np.random.default_rng(0)
    satellites = [
        orbit.circular_satellite(
            str(k), rng.uniform(500, 1300), rng.uniform(40, 98), *rng.uniform(0, 360, 2), START
        )
        for k in range(20)
    ]
    sites = [orbit.Site(str(k), rng.uniform(-70, 70), rng.uniform(-180, 180)) for k in range(20)]
    orbit.contact_windows(satellites[:1], sites[:1], START, START + DAY, MASK_DEG)
    ours_s, windows = min((_ours(satellites, sites) for _ in range(3)), key=lambda timed: timed[0])
    exact_s, _ = _ours(satellites, sites, "sgp4")
    skyfield_s, rises = _skyfield(satellites, sites)
    whole = int((~windows.clipped_start).sum())
    print(f"leomix, hermite  {ours_s:8.3f} s  {whole} rises")
    print(f"leomix, sgp4     {exact_s:8.3f} s")
    print(f"skyfield         {skyfield_s:8.3f} s  {rises} rises")
    print(f"ratio            {skyfield_s / ours_s:8.1f}")


def _ours(
    satellites: list[orbit.Satellite], sites: list[orbit.Site], refine: str = "hermite"
) -> tuple[float, orbit.ContactWindows]:
    begun = perf_counter()
    windows = orbit.contact_windows(satellites, sites, START, START + DAY, MASK_DEG, refine)
    return perf_counter() - begun, windows


def _skyfield(satellites: list[orbit.Satellite], sites: list[orbit.Site]) -> tuple[float, int]:
    timescale = load.timescale(builtin=True)
    begin, end = timescale.from_datetime(START), timescale.from_datetime(START + DAY)
    rises = 0
    begun = perf_counter()
    for satellite in satellites:
        body = EarthSatellite.from_satrec(satellite.model, timescale)
        for site in sites:
            place = wgs84.latlon(site.latitude_deg, site.longitude_deg, site.altitude_m)
            _, kinds = body.find_events(place, begin, end, altitude_degrees=MASK_DEG)
            rises += int((np.asarray(kinds) == 0).sum())
    return perf_counter() - begun, rises


if __name__ == "__main__":
    main()
