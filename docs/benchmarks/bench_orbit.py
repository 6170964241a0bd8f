"""How long contact windows take, beside Skyfield's find_events for the same orbits and sites.

`python docs/benchmarks/bench_orbit.py` compares both on 200 satellites, 20 sites and one day at a
10 degree mask, each on one thread; leomix's time is the quickest of five.
"""

from datetime import UTC, datetime, timedelta
from time import perf_counter

import numpy as np
from skyfield.api import EarthSatellite, load, wgs84

import orbit

START = datetime(2026, 8, 22, 12, tzinfo=UTC)
END = START + timedelta(days=1)
MASK_DEG = 10.0


def main():
    """Print times, counts and ratios."""
    satellites, sites = shells(), ground(20)
    began = perf_counter()
    rises = skyfield_rises(satellites, sites)
    skyfield_s = perf_counter() - began
    print(f"{len(satellites)} satellites x {len(sites)} sites x 1 day, mask {MASK_DEG:g} deg")
    print(f"skyfield         {skyfield_s:8.3f} s  {rises} rises")
    for refine in ("hermite", "sgp4"):
        seconds, windows = fastest(5, satellites, sites, refine)
        found = int((~windows.clipped_start).sum())
        ratio = skyfield_s / seconds
        print(f"leomix, {refine:8} {seconds:8.3f} s  {found} rises  {ratio:6.1f} x faster")


def shells():
    """130 like Starlink, 50 like OneWeb, 20 like the space station, at random positions."""
    rng = np.random.default_rng(0)
    return [
        orbit.circular_satellite(f"{altitude_km} {k}", altitude_km, tilt_deg, *angles, START)
        for count, altitude_km, tilt_deg in ((130, 550, 53.0), (50, 1200, 87.9), (20, 420, 51.6))
        for k, angles in enumerate(rng.uniform(0, 360, (count, 2)))
    ]


def ground(count):
    """Sites spread evenly over the Earth between 70 degrees south and north."""
    rng = np.random.default_rng(1)
    latitude_deg = np.degrees(np.arcsin(rng.uniform(-0.94, 0.94, count)))
    longitude_deg = rng.uniform(-180, 180, count)
    pairs = zip(latitude_deg, longitude_deg, strict=True)
    return [orbit.Site(str(k), *pair) for k, pair in enumerate(pairs)]


def fastest(repeats, satellites, sites, refine):
    """Return the seconds of the quickest of several runs of leomix, and the windows."""
    runs = []
    for _ in range(repeats):
        began = perf_counter()
        windows = orbit.contact_windows(satellites, sites, START, END, MASK_DEG, refine)
        runs.append(perf_counter() - began)
    return min(runs), windows


def skyfield_rises(satellites, sites):
    """Count rises by Skyfield."""
    timescale = load.timescale(builtin=True)
    span = timescale.from_datetime(START), timescale.from_datetime(END)
    rises = 0
    for satellite in satellites:
        body = EarthSatellite.from_satrec(satellite.model, timescale)
        for site in sites:
            place = wgs84.latlon(site.latitude_deg, site.longitude_deg, site.altitude_m)
            _, kinds = body.find_events(place, *span, altitude_degrees=MASK_DEG)
            rises += int((np.asarray(kinds) == 0).sum())
    return rises


if __name__ == "__main__":
    main()
