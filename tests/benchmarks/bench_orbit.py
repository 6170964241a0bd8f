"""How long contact windows take, beside Skyfield's find_events for the same orbits and sites.

`python tests/benchmarks/bench_orbit.py` compares both on 200 satellites, 20 sites and one day at a
10 degree mask, each on one thread, and windows with SGP4 alone. leomix's time is the quickest of
five, Skyfield's that of one run.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from math import ceil
from statistics import median
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


def main() -> None:
    """Print times, counts and ratios."""
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


def _beside_sgp4(satellites: list[orbit.Satellite]) -> None:
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


def _by_step(satellites: list[orbit.Satellite]) -> Iterator[Iterable[orbit.Satellite]]:
    ordered = sorted(satellites, key=sampling_step_s)
    return (alike for _, alike in groupby(ordered, key=sampling_step_s))


def _sgp4_points(alike: list[orbit.Satellite]) -> Callable[[], object]:
    """What runs SGP4 at the points at which the search does, for satellites of one step."""
    intervals = ceil(86400.0 / sampling_step_s(alike[0]))
    many = intervals + 1 + 2 * OVERHANG
    fraction = np.arange(-OVERHANG, many - OVERHANG) / intervals
    satrecs = SatrecArray([satellite.model for satellite in alike])
    day = np.full(many, 2461275.0)
    return lambda: satrecs.sgp4(day, fraction)


def _run(each: list[Callable[[], object]]) -> None:
    for one in each:
        one()


def constellation() -> list[orbit.Satellite]:
    """130 like Starlink, 50 like OneWeb, 20 like the space station, in random places."""
    rng = np.random.default_rng(0)
    return [
        orbit.circular_satellite(f"{altitude_km} {k}", altitude_km, tilt_deg, *angles, START)
        for count, altitude_km, tilt_deg in ((130, 550, 53.0), (50, 1200, 87.9), (20, 420, 51.6))
        for k, angles in enumerate(rng.uniform(0, 360, (count, 2)))
    ]


def ground(count: int) -> list[orbit.Site]:
    """Sites spread evenly over the Earth between 70 degrees south and north."""
    rng = np.random.default_rng(1)
    latitude_deg = np.degrees(np.arcsin(rng.uniform(-0.94, 0.94, count)))
    longitude_deg = rng.uniform(-180, 180, count)
    places = zip(latitude_deg, longitude_deg, strict=True)
    return [orbit.Site(str(k), *place) for k, place in enumerate(places)]


def best_of(
    repeats: int, satellites: list[orbit.Satellite], sites: list[orbit.Site],
    refine: str = "hermite",
) -> tuple[float, orbit.ContactWindows]:  # fmt: skip
    """Seconds of the quickest of several runs of leomix, and the windows."""
    task = (satellites, sites, START, START + timedelta(days=1), MASK_DEG, refine)
    runs = [timed(orbit.contact_windows, *task) for _ in range(repeats)]
    return min(seconds for seconds, _ in runs), runs[0][1]


def _skyfield_rises(satellites: list[orbit.Satellite], sites: list[orbit.Site]) -> int:
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
