"""The map: circles, tracks and land are where independent computations put them."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit
from orbit.look_angles import ground_track
from sim.draw.views import broken, circle, east, reach
from sim.world.sites import distances_km
from tests.kit import small
from tests.kit.worlds import ground_sites

EARTH_KM = 6371.0
START = datetime(2026, 8, 22, tzinfo=UTC)
SITES = {site.name: site for site in ground_sites(small.orbit())}
PLACES = st.tuples(st.floats(-90, 90), st.floats(-180, 359.9))


def ground_track_at(*time_s):
    satellite = orbit.circular_satellite("it", 600.0, 97.8, 0.0, 0.0, START)
    return ground_track(satellite, START, np.array(time_s))


@given(PLACES, st.floats(1.0, 85.0))
def test_all_points_of_a_circle_are_equally_far_and_its_line_breaks_at_the_edge(place, radius_deg):
    site = orbit.Site("here", *place)
    around = circle(site, radius_deg)
    there = zip(*(angles_deg[::20].tolist() for angles_deg in around), strict=True)
    far_km = distances_km(site, [orbit.Site("there", y, x) for x, y in there])
    np.testing.assert_allclose(far_km, EARTH_KM * np.radians(radius_deg), rtol=1e-6)
    # A line never runs across the map.
    longitude_deg, latitude_deg = broken(*around)
    assert np.nanmax(np.abs(longitude_deg)) <= 180.0
    assert np.nanmax(np.abs(np.diff(longitude_deg))) <= 180.0
    # Nothing is lost.
    np.testing.assert_array_equal(longitude_deg[~np.isnan(longitude_deg)], around[0])
    np.testing.assert_array_equal(latitude_deg[~np.isnan(latitude_deg)], around[1])


def test_a_satellite_rises_over_the_circle(runs):
    """At the rise of every contact the point below the satellite is as far away as the circle."""
    contacts = runs.result("orbit-timing").contacts
    for row in contacts[contacts.rise_s > 0].itertuples():
        track = ground_track_at(float(row.rise_s))
        site = SITES[str(row.cluster)]
        below = orbit.Site("below", float(track.latitude_deg[0]), float(track.longitude_deg[0]))
        away_deg = np.degrees(distances_km(site, [below])[0] / EARTH_KM)
        # The Earth is a sphere on the map: its radius is 0.3 % off, latitudes up to 0.2 degrees.
        assert reach(float(track.altitude_km[0]), 10.0) == pytest.approx(away_deg, abs=0.3)


def test_lines_and_marks_are_those_of_the_run(runs):
    axes = runs.result("orbit-timing").plot.map(hours=3.0)
    track, _, *others = axes.lines
    wanted = ground_track_at(*np.linspace(0.0, 3 * 3600.0, 541).tolist())
    drawn = set(zip(track.get_xdata(), track.get_ydata(), strict=True))
    assert drawn >= set(zip(wanted.longitude_deg, wanted.latitude_deg, strict=True))
    for mark, site in zip(others[1::2], SITES.values(), strict=True):
        assert mark.get_xdata()[0] == east(site.longitude_deg)
        assert mark.get_ydata()[0] == site.latitude_deg
    assert sorted(text.get_text() for text in axes.texts) == sorted(SITES)
