"""How long contact windows take, beside Skyfield's find_events for the same orbits and sites.

`python tests/benchmarks/bench_orbit.py` compares both on 200 satellites, 20 sites and one day at a
10 degree mask, each on one thread, and shows how the cost grows with satellites, sites and days.
leomix's time is the quickest of five, Skyfield's that of one run.
`python tests/benchmarks/bench_orbit.py large` times 10,000 satellites over 100 sites instead, with
all windows written to a Parquet file, and the memory that takes. `against_brahe.py` beside it does
the first comparison with brahe.
"""

import resource
import sys
from datetime import UTC, datetime, timedelta
from itertools import groupby
from math import ceil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
from sgp4.api import SatrecArray
from skyfield.api import EarthSatellite, load, wgs84
from stopwatch import timed

import orbit
from orbit.ephemeris import OVERHANG, sampling_step_s

START = datetime(2026, 8, 22, 12, tzinfo=UTC)
MASK_DEG = 10.0
REPEATS = 5


def main():
    """Print times, counts and ratios."""
    if sys.argv[1:] == ["large"]:
        _large()
        return
    satellites = constellation()
    sites = ground(20)
    best_of(1, satellites[:1], sites[:1])
    ours_s, windows = best_of(REPEATS, satellites, sites)
    exact_s, _ = best_of(REPEATS, satellites, sites, refine="sgp4")
    skyfield_s, rises = timed(_skyfield_rises, satellites, sites)
    whole = int((~windows.clipped_start).sum())
    print(f"{len(satellites)} satellites x {len(sites)} sites x 1 day, mask {MASK_DEG:g} deg")
    print(f"leomix, hermite  {ours_s:8.3f} s  {whole} rises  {skyfield_s / ours_s:6.1f} x faster")
    print(f"leomix, sgp4     {exact_s:8.3f} s  {whole} rises  {skyfield_s / exact_s:6.1f} x faster")
    print(f"skyfield         {skyfield_s:8.3f} s  {rises} rises")
    _beside_sgp4(satellites)
    _growth(satellites)
    _served()


def _beside_sgp4(satellites):
    """Contacts of 60 satellites over 10 sites in a day beside SGP4 alone at the search's points.

    Medians of 21 each, in CPU seconds, in turn.
    """
    sites = ground(10)
    day = (START, START + timedelta(days=1), MASK_DEG)
    for what, some in (
        ("of one shell", satellites[:60]),
        ("of three shells", satellites[::3][:60]),
    ):
        propagated = [_sgp4_points(list(alike)) for alike in _by_step(some)]
        took = [
            (
                timed(orbit.contact_windows, some, sites, *day, clock=process_time)[0],
                timed(_run, propagated, clock=process_time)[0],
            )
            for _ in range(21)
        ]
        ours_s, sgp4_s = (median(each) for each in zip(*took, strict=True))
        print(
            f"60 satellites {what} x 10 sites x 1 day: {1e3 * ours_s:.1f} ms, "
            f"SGP4 alone {1e3 * sgp4_s:.1f} ms, {ours_s / sgp4_s:.2f} times"
        )


def _by_step(satellites):
    ordered = sorted(satellites, key=sampling_step_s)
    return (alike for _, alike in groupby(ordered, key=sampling_step_s))


def _sgp4_points(alike):
    """What runs SGP4 at the points at which the search does, for satellites of one step."""
    intervals = ceil(86400.0 / sampling_step_s(alike[0]))
    many = intervals + 1 + 2 * OVERHANG
    fraction = np.arange(-OVERHANG, many - OVERHANG) / intervals
    satrecs = SatrecArray([satellite.model for satellite in alike])
    day = np.full(many, 2461275.0)
    return lambda: satrecs.sgp4(day, fraction)


def _run(each):
    for one in each:
        one()


def _growth(satellites):
    """The time for a pair of satellite and site and a day, as each of the three grows."""
    print("satellites  sites  days  seconds  us a satellite, site and day")
    for many, few, days in (
        (50, 20, 1), (100, 20, 1), (200, 20, 1), (200, 40, 1), (200, 80, 1),
        (200, 20, 2), (200, 20, 4), (1, 1, 365),
    ):  # fmt: skip
        some = satellites[:: len(satellites) // many]
        seconds, _ = best_of(3, some, ground(few), days)
        each = 1e6 * seconds / (many * few * days)
        print(f"{many:10d}  {few:5d}  {days:4d}  {seconds:7.3f}  {each:29.1f}")


def _served():
    """Who is served by 100 satellites over 13 stations in 91 days, and by the stations in turn."""
    satellites = orbit.walker_delta(800, 97.5, 100, 10, 1, START)
    sites = ground(13)
    task = (satellites, sites, START, START + timedelta(days=91), 0.0)
    found_s, windows = timed(orbit.contact_windows, *task, clock=process_time)
    print("100 satellites x 13 sites x 91 days, mask 0 deg, CPU seconds")
    print(f"windows found    {found_s:8.1f} s  {len(windows)} windows")
    order = np.lexsort((windows.satellite, windows.site, windows.rise_s))
    columns = vars(windows) | {"satellite": windows.site, "site": windows.satellite}
    turned = orbit.ContactWindows(**{name: values[order] for name, values in columns.items()})
    for who, some, beams in (
        ("satellites, 1", windows, 1), ("stations, 1", turned, 1), ("stations, 2", turned, 2),
        ("stations, 100", turned, 100), ("stations, any", turned, None),
    ):  # fmt: skip
        served_s, service = timed(orbit.serve, some, beams, clock=process_time)
        print(f"by {who:14s}{served_s:8.1f} s  {int(service.served.sum())} services")
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"memory           {peak_gb:8.2f} GB at most")


def _large():
    from sim.cli.contact_list import ContactList, write

    satellites = orbit.walker_delta(550, 53, 10_000, 100, 1, START)
    sites = ground(100)
    seconds, windows = best_of(1, satellites, sites)
    names = [satellite.name for satellite in satellites]
    places = [site.name for site in sites]
    found = ContactList(names, [0] * len(names), places, START, 86400.0, windows)
    with TemporaryDirectory() as folder:
        written_s, _ = timed(write, found, Path(folder) / "windows.parquet")
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"10000 satellites x 100 sites x 1 day, mask {MASK_DEG:g} deg")
    print(f"leomix, hermite  {seconds:8.1f} s  {len(windows)} windows")
    print(f"to Parquet       {written_s:8.1f} s  {peak_gb:.2f} GB of memory at most")


def constellation():
    """130 like Starlink, 50 like OneWeb, 20 like the space station, in random places."""
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
    places = zip(latitude_deg, longitude_deg, strict=True)
    return [orbit.Site(str(k), *place) for k, place in enumerate(places)]


def best_of(
    repeats, satellites, sites, days = 1,
    refine = "hermite",
):  # fmt: skip
    """Seconds of the quickest of several runs of leomix, and the windows."""
    task = (satellites, sites, START, START + timedelta(days=days), MASK_DEG, refine)
    runs = [timed(orbit.contact_windows, *task) for _ in range(repeats)]
    return min(seconds for seconds, _ in runs), runs[0][1]


def _skyfield_rises(satellites, sites):
    timescale = load.timescale(builtin=True)
    begin = timescale.from_datetime(START)
    end = timescale.from_datetime(START + timedelta(days=1))
    rises = 0
    for satellite in satellites:
        body = EarthSatellite.from_satrec(satellite.model, timescale)
        for site in sites:
            place = wgs84.latlon(site.latitude_deg, site.longitude_deg, site.altitude_m)
            _, kinds = body.find_events(place, begin, end, altitude_degrees=MASK_DEG)
            rises += int((np.asarray(kinds) == 0).sum())
    return rises


if __name__ == "__main__":
    main()
