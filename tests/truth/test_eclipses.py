"""Entries and exits of the Earth's shadow against Skyfield's `is_sunlit` and ephemerides of JPL."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import skyfield
from skyfield.api import EarthSatellite, load_file
from skyfield.constants import AU_M, ERAD
from skyfield.geometry import intersect_line_and_sphere

import orbit
from tests.kit import skies
from tests.kit.skies import DAY, DAY_S, TIMESCALE, crossings, refused

# Excerpts of a week each that come with Skyfield, to test it: DE430 over an equinox, DE441.
FOLDER = Path(skyfield.__file__).parent / "tests" / "data"
WEEKS = {
    "de430-2015-03-02.bsp": datetime(2015, 2, 27, tzinfo=UTC),
    "de441-1969.bsp": datetime(1969, 7, 26, tzinfo=UTC),
}
AXES_AND_TILTS = [
    (6778.0, 51.6), (6878.137, 97.4), (6928.0, 90.0), (7378.0, 0.0), (8371.0, 80.0),
    (26560.0, 55.0), (42164.0, 0.05), (42164.0, 7.0),
]  # fmt: skip


def fleet(start):
    """Low, polar, medium and geostationary orbits, in planes of all directions, and an oval one."""
    circles = [
        orbit.keplerian_satellite(
            f"{axis_km} {tilt_deg} {node_deg}", start, semi_major_axis_km=axis_km,
            inclination_deg=tilt_deg, raan_deg=node_deg, mean_anomaly_deg=node_deg,
            propagation=kind,
        )
        for axis_km, tilt_deg in AXES_AND_TILTS
        for node_deg, kind in ((20.0, "sgp4"), (110.0, "secular_j2"), (230.0, "sgp4"))
    ]  # fmt: skip
    names = "semi_major_axis_km inclination_deg eccentricity raan_deg argument_of_perigee_deg"
    shape = dict(zip(names.split(), skies.TYPED_IN["Molniya"], strict=False))
    return [*circles, orbit.keplerian_satellite("Molniya", start, **shape)]


GRID_S = np.arange(0.0, DAY_S + 1.0, 60.0)


def times_of(start, time_s):
    return TIMESCALE.utc(start.year, start.month, start.day, 0, 0, time_s)


@cache
def grid_of(start):
    """Skyfield's times of a grid, of which it works out the Earth's rotation only once."""
    return times_of(start, GRID_S)


def by_skyfield(satellite, sunlit, start):
    """Edges of the shadow, and whether it is dark at the start and at the end."""
    line = EarthSatellite.from_satrec(satellite.model, TIMESCALE)

    def lit(times):
        return np.where(sunlit(line.at(times)), 1, -1)

    at = lit(grid_of(start))
    edges_s = crossings(lambda time_s: lit(times_of(start, time_s)), GRID_S, at, 1e-3)
    return edges_s, (at[[0, -1]] < 0).tolist()


def compared(made, sunlit, start):
    """How many edges a day has, and how far the worst one is from Skyfield's, in seconds."""
    found = orbit.eclipses(made, start, start + DAY)
    worst_s, count = 0.0, 0
    for index, satellite in enumerate(made):
        mine = found.where(found.satellite == index)
        true_s, dark = by_skyfield(satellite, sunlit, start)
        assert [mine.clipped_start.any(), mine.clipped_end.any()] == dark
        edges_s = np.sort(
            np.append(mine.enter_s[~mine.clipped_start], mine.leave_s[~mine.clipped_end])
        )
        assert len(edges_s) == len(true_s), satellite.name
        worst_s = max(worst_s, np.abs(edges_s - true_s).max(initial=0.0))
        count += len(true_s)
    return count, worst_s


@pytest.mark.parametrize("name", WEEKS)
def test_edges_are_those_of_skyfields_is_sunlit(name):
    if not (FOLDER / name).exists():
        pytest.skip(f"this Skyfield comes without {name}; install one with its tests")
    ephemeris = load_file(str(FOLDER / name))
    made = fleet(WEEKS[name])
    count, worst_s = compared(made, lambda at: at.is_sunlit(ephemeris), WEEKS[name])
    assert count > 350
    assert worst_s < 0.5


@pytest.mark.parametrize("start", [
    datetime(2026, 6, 21, tzinfo=UTC), datetime(2033, 9, 25, tzinfo=UTC),
    datetime(2058, 12, 30, tzinfo=UTC),
])  # fmt: skip
def test_edges_of_other_years_are_those_of_its_limb_and_erfas_sun(start):
    erfa = pytest.importorskip("erfa", reason="pip install pyerfa for its Sun")

    def sunlit(at):
        heliocentric, _ = erfa.epv00(at.t.tdb, 0.0)
        earth = -at.xyz.m
        sun = -heliocentric["p"].T * AU_M
        _, far = intersect_line_and_sphere(sun + earth, earth, ERAD)
        return np.nan_to_num(far) <= 0

    count, worst_s = compared(fleet(start)[::3], sunlit, start)
    assert count > 80
    assert worst_s < 0.5


def test_stays_end_where_sgp4_fails_and_are_clipped_at_the_ends_of_the_span():
    begin = skies.FALLING.epoch
    found = orbit.eclipses([skies.FALLING, skies.ISS], begin, begin + 6 * DAY)
    lost, kept = (found.where(found.satellite == index) for index in range(2))
    assert 60 < len(lost.enter_s) < len(kept.enter_s) < 110
    assert lost.leave_s.max() < 5 * DAY_S < kept.leave_s.max()
    inside = begin + timedelta(seconds=(kept.enter_s[2] + kept.leave_s[2]) / 2)
    cut = orbit.eclipses([skies.ISS], inside, inside + timedelta(seconds=60))
    assert (cut.enter_s.tolist(), cut.leave_s.tolist()) == ([0.0], [60.0])
    assert cut.clipped_start.all() and cut.clipped_end.all()
    refused("no satellite given", orbit.eclipses, [], begin, inside)
