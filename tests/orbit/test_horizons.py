"""Masks by azimuth: windows against Skyfield's own look angles, and what is refused."""

import json
from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orbit
from tests.kit.skies import CIRCLES, DAY, MUNICH, START, crossings, refused
from tests.truth.skyfield_views import look_angles

SPAN_S = 14_400.0
STEP_S = 2.0
GRID_S = np.arange(0.0, SPAN_S + STEP_S, STEP_S)
EDGE_S = 1e-3


def over_deg(pairs, elevation_deg, azimuth_deg):
    """Elevation over the horizon: interpolated by hand."""
    points = sorted((a % 360.0, e) for a, e in dict(pairs).items())
    points = [(points[-1][0] - 360.0, points[-1][1]), *points, (points[0][0] + 360.0, points[0][1])]
    return elevation_deg - np.interp(azimuth_deg, *np.array(points).T)


SKY = [CIRCLES[4]]
PLACES = [MUNICH, orbit.Site("low", 5.0, 0.0)]


@cache
def on_grid(place):
    return look_angles(SKY[0], PLACES[place], START, GRID_S)[:2]


HORIZON = st.lists(
    st.tuples(st.integers(0, 359), st.integers(0, 40) | st.just(89)), min_size=2, max_size=9,
    unique_by=lambda pair: pair[0],
)  # fmt: skip


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1), HORIZON, st.sampled_from(["hermite", "sgp4"]))
def test_edges_are_those_of_skyfield_to_a_millisecond(place, pairs, refine):
    masked = replace(PLACES[place], min_elevation_deg=pairs)
    end = START + timedelta(seconds=SPAN_S)
    windows = orbit.contact_windows(SKY, [masked], START, end, 25.0, refine)
    times_s = np.sort(np.concatenate([windows.rise_s, windows.set_s]))
    inner_s = times_s[(times_s > 0) & (times_s < SPAN_S)]

    def over(time_s):
        return over_deg(pairs, *look_angles(SKY[0], PLACES[place], START, time_s)[:2])

    wanted_s = crossings(over, GRID_S, over_deg(pairs, *on_grid(place)), 1e-4)
    # Where the elevation hardly changes relative to the horizon the time is not that sharp.
    early, late = (over(np.append(wanted_s, 0.0) + later_s) for later_s in (-0.01, 0.01))
    for edge_s, slope in zip(wanted_s, (late - early)[:-1] / 0.02, strict=True):
        assert np.abs(inner_s - edge_s).min() <= EDGE_S + 1e-5 / max(abs(slope), 1e-9)
    # A grid misses what is shorter than its step, which has two edges.
    lasts_s = windows.set_s - windows.rise_s
    gaps_s = windows.rise_s[1:] - windows.set_s[:-1]
    hidden = (lasts_s < 2 * STEP_S).sum() + (gaps_s < 2 * STEP_S).sum()
    assert len(inner_s) <= len(wanted_s) + 2 * hidden
    if len(windows):
        assert (over((windows.rise_s + windows.set_s) / 2) > -1e-6).all()


def test_a_level_horizon_is_a_mask():
    level = [(0, 10), (120, 10), (300, 10)]
    one, other = (
        orbit.contact_windows(SKY, [orbit.Site("M", 48.1, 11.6, 0.0, mask)], START, START + DAY, 0)
        for mask in (level, 10.0)
    )
    assert len(one) == len(other) > 2
    for name, atol in (("rise_s", 2e-3), ("set_s", 2e-3), ("max_elevation_deg", 1e-4)):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=0, atol=atol)


# Horizons in files, and in cells of places.

TEXTS = (
    "0 5.5\n90 12\n", "0;5,5\n90;12\n", "\ufeff0\t5,5\r\n90\t12\r\n", "The roof\n0 5,5\n90 12\n",
    "# of the roof\nazimuth, elevation\n\n0, 5.5\n90,12\n360, 5.5\n",
    ",Azimuth_Deg,Elevation_Deg\n0,0,5.5\n1,90,12\n", "Elevation Azimuth\n5.5 0\n12 90\n",
    "az;Höhe (rad)\n0;0,0959931089\n90;0,2094395102\n",
    "% made by hand\nname;azimuth;altitude;range\na;0;5,5;100\nb;90;12;200\n",
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_horizon_is_read_as_any_table(text, tmp_path):
    path = tmp_path / "h.txt"
    path.write_text(text)
    horizon = orbit.read_horizon(path)
    np.testing.assert_allclose(horizon.pairs, [(0.0, 5.5), (90.0, 12.0)], rtol=1e-8)
    np.testing.assert_allclose(horizon.at(np.array([45.0, 225.0, 720.0])), [8.75, 8.75, 5.5])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("90 12 1\n0 3\n", "h:1: '90 12 1' is neither azimuth_deg and elevation_deg nor a header"),
        ("0 low\n90 5\n180 3\n", "h:1: '0 low' is neither azimuth_deg"),
        ("azimuth,elevation min,elevation max\n0,1,2\n", "h:1: columns 'elevation min' and"),
        ("azimuth,range\n", "h:1: no rows found"),
        ("0 1\n90 12 1\n", "h:2: .*cells in the row: 3, in the first: 2"),
        ("0 1\n-5 3\n", "h:2: .*azimuth_deg -5.0 is outside 0 to 360"),
        ("0 1\n5 low\n", "h:2: .*elevation_deg 'low' is not a number"),
        ("0 1\n", "h:1: the horizon .* is no horizon"),
    ],
)
def test_what_is_no_table_of_a_horizon_is_refused_by_its_line(text, words):
    refused(f"^{words}", orbit.parse_horizon, text, "h")


@pytest.mark.parametrize(
    ("cell", "mask"),
    [
        ("0 5; 90 12.5; 180 3", ((0.0, 5.0), (90.0, 12.5), (180.0, 3.0))),
        ("0:5 90:7", ((0.0, 5.0), (90.0, 7.0))), ("9", 9.0),
        ('"[[0,5],[90,12.5]]"', ((0.0, 5.0), (90.0, 12.5))),
        ('"[[0, 5] , [90, 12.5]]"', ((0.0, 5.0), (90.0, 12.5))),
        ([[0, 5], [90, 12.5]], ((0.0, 5.0), (90.0, 12.5))),
        ("0 -1; 180 -2", ":2: .* elevation at azimuth 0 -1.0 is outside 0 up to"),
        ("0 low", ":2: min_elevation_deg '0 low' is neither a number nor a horizon"),
    ],
)  # fmt: skip
def test_the_mask_of_a_place_may_be_a_horizon(tmp_path, cell, mask):
    path = tmp_path / "p"
    path.write_text(f"name,lat,lon,min_elevation_deg\nA,48,11,{cell}\n")
    if isinstance(cell, list):  # a property in GeoJSON
        point = {"geometry": {"coordinates": [11, 48]}, "properties": {"min_elevation_deg": cell}}
        path.write_text(json.dumps({"features": [point]}))
    if isinstance(mask, str):
        refused(mask, orbit.read_sites, path)
    else:
        [site] = orbit.read_sites(path)
        assert site.mask == mask


def test_what_is_no_horizon_is_refused():
    def site(mask):
        return orbit.Site("A", 48.0, 11.0, 0.0, mask)

    for mask, words in (
        ([(0, 5)], "site 'A': min_elevation_deg .* is no horizon; give pairs of azimuth"),
        ([(0, 5), (360, 5)], "has one azimuth"),
        ([(0, 5), (360, 6)], "azimuth 0 has the elevations 5 and 6; give each azimuth once"),
        ([(0, 5), (-90, 6)], "azimuth -90 is outside 0 to 360"),
        ([(0, 5), (90, 95)], "elevation at azimuth 90 95 is outside 0 up to"),
        ([(0, 5), (90, "x")], "elevation at azimuth 90 'x' is not a number"),
        ([(0, 5), 3], "3 is no pair"),
    ):
        refused(words, site, mask)
    assert site([(360, 5), (90, 6)]).horizon.azimuth_deg == (0.0, 90.0)
    assert site([(360, 5), (90, 6)]).min_elevation_deg == 5.0
