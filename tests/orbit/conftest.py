"""Independent truth for the orbit tests: Skyfield's own chain, and the shared element files."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from skyfield.api import EarthSatellite, load, wgs84

import orbit


@pytest.fixture(scope="session")
def start():
    return datetime(2026, 8, 22, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def element_files():
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("LEOMIX_DATA", root.parent / "shared" / "data")) / "tle"
    if not folder.is_dir():
        pytest.skip("no element files here: set LEOMIX_DATA to the folder that holds tle/")
    return folder


@pytest.fixture(scope="session")
def satellites(start):
    """Circular orbits from 300 to 1400 km and from the equator to past the poles."""
    rng = np.random.default_rng(5)
    return [
        orbit.circular_satellite(
            f"c{k}", 300 + 100 * k, 15 * k + 5, rng.uniform(0, 360), rng.uniform(0, 360), start
        )
        for k in range(12)
    ]


@pytest.fixture(scope="session")
def sites():
    """Both poles, both sides of the antimeridian, a mountain, the Dead Sea, and the rest."""
    return [
        orbit.Site("north pole", 90.0, 0.0),
        orbit.Site("south pole", -90.0, 40.0, 2835.0),
        orbit.Site("Taveuni", -16.8, 180.0),
        orbit.Site("Chukotka", 65.0, -179.9),
        orbit.Site("La Paz", -16.5, -68.15, 3640.0),
        orbit.Site("Dead Sea", 31.5, 35.5, -430.0),
        orbit.Site("null island", 0.0, 0.0),
        orbit.Site("Zurich", 47.37, 8.54, 408.0),
    ]


@pytest.fixture(scope="session")
def timescale():
    return load.timescale(builtin=True)


@pytest.fixture(scope="session")
def skyfield_view(timescale):
    """Elevation, azimuth (deg), range (km), range rate (km/s) by Skyfield's full transformation."""

    def view(satellite, site, start, time_s):
        seconds = start.second + np.asarray(time_s, dtype=float)
        times = timescale.utc(start.year, start.month, start.day, start.hour, start.minute, seconds)
        there = EarthSatellite.from_satrec(satellite.model, timescale)
        here = wgs84.latlon(site.latitude_deg, site.longitude_deg, site.altitude_m)
        seen = (there - here).at(times)
        elevation, azimuth, distance, _, _, rate = seen.frame_latlon_and_rates(here)
        return elevation.degrees, azimuth.degrees, distance.km, rate.km_per_s

    return view
