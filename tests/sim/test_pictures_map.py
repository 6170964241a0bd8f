"""The map: circles, tracks and land are where independent computations put them."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import PathPatch
from matplotlib.path import Path

import orbit
from tests.kit import small
from tests.kit.network import cluster_sites, distance_km
from tests.kit.orbit import GroundTrack, ground_track
from tests.kit.records import Result
from tests.kit.results import _rings, broken, circle, east, new_axes, reach, write_names
from tests.runs import Runs

EARTH_KM = 6371.0
START = datetime(2026, 8, 22, tzinfo=UTC)
SITES = {site.name: site for site in cluster_sites(small.orbit())}
PLACES = st.tuples(st.floats(-90, 90), st.floats(-180, 359.9))


def ground_track_at(*time_s: float) -> GroundTrack:
    satellite = orbit.circular_satellite("it", 600.0, 97.8, 0.0, 0.0, START)
    return ground_track(satellite, START, np.array(time_s))


@pytest.fixture
def result(runs: Runs) -> Result:
    return runs.result("orbit-timing")


@given(PLACES, st.floats(1.0, 85.0))
def test_all_points_of_a_circle_are_equally_far_and_its_line_breaks_at_the_edge(
    place: tuple[float, float], radius_deg: float
) -> None:
    site = orbit.Site("here", *place)
    around = circle(site, radius_deg)
    there = zip(*(angles_deg[::20].tolist() for angles_deg in around), strict=True)
    far_km = [distance_km(site, orbit.Site("there", y, x)) for x, y in there]
    np.testing.assert_allclose(far_km, EARTH_KM * np.radians(radius_deg), rtol=1e-6)
    # A line never runs across the map.
    longitude_deg, latitude_deg = broken(*around)
    assert np.nanmax(np.abs(longitude_deg)) <= 180.0
    assert np.nanmax(np.abs(np.diff(longitude_deg))) <= 180.0
    # Nothing is lost, and every break is at the edge, at the same latitude on both sides.
    breaks = np.flatnonzero(np.isnan(longitude_deg))
    assert len(longitude_deg) == len(around[0]) + 3 * len(breaks)
    np.testing.assert_array_equal(longitude_deg[breaks - 1], -longitude_deg[breaks + 1])
    assert set(np.abs(longitude_deg[breaks - 1])) <= {180.0}
    np.testing.assert_array_equal(latitude_deg[breaks - 1], latitude_deg[breaks + 1])


def test_a_satellite_rises_over_the_circle(result: Result) -> None:
    """At the rise of every contact the point below the satellite is as far away as the circle."""
    contacts = result.contacts
    for row in contacts[contacts.rise_s > 0].itertuples():
        track = ground_track_at(float(row.rise_s))
        site = SITES[str(row.cluster)]
        below = orbit.Site("below", float(track.latitude_deg[0]), float(track.longitude_deg[0]))
        away_deg = np.degrees(distance_km(site, below) / EARTH_KM)
        # The Earth is a sphere on the map: its radius is 0.3 % off, latitudes up to 0.2 degrees.
        assert reach(float(track.altitude_km[0]), 10.0) == pytest.approx(away_deg, abs=0.3)


def test_lines_and_marks_are_those_of_the_run(result: Result) -> None:
    axes = result.plot.map(hours=3.0)
    track, first, *others = axes.lines
    wanted = ground_track_at(*np.linspace(0.0, 3 * 3600.0, 541).tolist())
    whole = np.ma.masked_invalid(track.get_xdata())
    drawn = set(zip(track.get_xdata(), track.get_ydata(), strict=True))
    assert drawn >= set(zip(wanted.longitude_deg, wanted.latitude_deg, strict=True))
    assert np.abs(whole).max() <= 180.0
    assert first.get_xdata()[0] == wanted.longitude_deg[0]
    for mark, site in zip(others[1::2], SITES.values(), strict=True):
        assert mark.get_xdata()[0] == east(site.longitude_deg)
        assert mark.get_ydata()[0] == site.latitude_deg
    assert sorted(text.get_text() for text in axes.texts) == sorted(SITES)


@pytest.mark.parametrize(
    ("latitude_deg", "longitude_deg", "land"),
    [
        *[(48.1, 11.6, True), (-1.3, 36.8, True), (-23.6, -47.5, True), (65.0, 178.5, True)],
        *[(66.5, -172.0, True), (-85.0, 10.0, True), (-89.0, -179.0, True), (-25.0, 135.0, True)],
        *[(0.0, -30.0, False), (30.0, -150.0, False), (88.0, 0.0, False), (-60.0, 179.9, False)],
        *[(41.5, 51.0, False), (0.0, 80.0, False)],
    ],
)
def test_land_is_land_and_sea_is_sea(latitude_deg: float, longitude_deg: float, land: bool) -> None:
    """The Caspian Sea is a hole; Chukotka and Antarctica reach over the antimeridian."""
    around = sum(
        Path(ring, closed=True).contains_point((longitude_deg, latitude_deg)) for ring in _rings()
    )
    assert (around % 2 == 1) is land


def test_the_land_is_small_and_one_path(result: Result) -> None:
    text = resources.files("sim.pictures").joinpath("land.json").read_text(encoding="utf-8")
    assert len(text) < 60_000
    assert "public domain" in text
    patches = [p for p in result.plot.map().patches if isinstance(p, PathPatch)]
    assert len(patches) == 1
    assert len(patches[0].get_path().vertices) == sum(map(len, _rings()))


def test_names_of_neighbours_stand_apart() -> None:
    axes = new_axes()
    axes.set(xlim=(-180, 180), ylim=(-90, 90))
    write_names(axes, [(10.0, 48.0, "Munich"), (11.0, 49.0, "Nuremberg"), (170.0, 0.0, "Fiji")])
    axes.figure.set_size_inches(4.6, 3.2)
    axes.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b)
    assert all(axes.bbox.contains(*corner) for corner in boxes[2].get_points())
