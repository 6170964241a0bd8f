"""Windows between satellites: against Skyfield by brute force, closed forms, and an STK table."""

from dataclasses import replace
from datetime import UTC, datetime
from math import acos, asin, sin, tau

import numpy as np
import pytest
from skyfield.api import EarthSatellite
from skyfield.framelib import itrs

import orbit
from tests.kit import skies
from tests.kit.skies import DAY, DAY_S, FALLING, START, TIMESCALE, crossings, refused

EQUATOR_KM = 6378.137
POLE_KM = 6378.137 * (1 - 1 / 298.257223563)
STK_START = datetime(2024, 4, 14, 16, tzinfo=UTC)
TRUE_STEP_S = 15.0


def heights_km(one, other, grazing_km):
    """How far segments between points (3, n) pass above the limb, stretched to a sphere."""
    stretch = np.array([1.0, 1.0, (EQUATOR_KM + grazing_km) / (POLE_KM + grazing_km)])[:, None]
    first = one * stretch
    way = (other - one) * stretch
    along = np.clip(-(first * way).sum(axis=0) / (way * way).sum(axis=0), 0, 1)
    return np.linalg.norm(first + along * way, axis=0) - EQUATOR_KM - grazing_km


def true_edges(pair, start, grazing_km, reach_km):
    """When a pair appears and disappears within a day; a grid of times and ranges."""
    stars = [EarthSatellite.from_satrec(satellite.model, TIMESCALE) for satellite in pair]

    def seen(time_s):
        second = start.second + np.asarray(time_s)
        time = TIMESCALE.utc(start.year, start.month, start.day, start.hour, start.minute, second)
        one, other = (star.at(time).frame_xyz(itrs).km for star in stars)
        apart_km = np.linalg.norm(other - one, axis=0)
        return np.minimum(heights_km(one, other, grazing_km), reach_km - apart_km), apart_km

    time_s = np.arange(0.0, DAY_S + 1, TRUE_STEP_S)
    margin_km, apart_km = seen(time_s)
    edges_s = crossings(lambda at_s: seen(at_s)[0], time_s, margin_km, 1e-4)
    return edges_s, time_s, apart_km


@pytest.mark.parametrize(
    ("name", "count", "reach_km"),
    [("oneweb", 2, None), ("starlink", 3, None), ("starlink", 3, 3000.0), ("gps-ops", 3, None)],
)
@pytest.mark.quick(2)
def test_edges_and_ranges_of_real_satellites_are_those_of_skyfield(name, count, reach_km):
    fleet = orbit.read_satellites(skies.element_file(f"earth2026_{name}.tle"))
    chosen = np.random.default_rng(7).choice(len(fleet), 2 * count, replace=False)
    fleet = [replace(fleet[k], name=str(k)) for k in chosen]
    start = fleet[0].epoch.replace(microsecond=0)
    pairs = [(2 * k, 2 * k + 1) for k in range(count)]
    found = orbit.find_isls(fleet, start, start + DAY, pairs, 80.0, reach_km)
    assert len(found) >= count
    for a, b in pairs:
        edges_s, time_s, apart_km = true_edges(
            (fleet[a], fleet[b]), start, 80.0, reach_km or np.inf
        )
        mine = found.where((found.a == a) & (found.b == b))
        at_s = [mine.start_s[~mine.clipped_start], mine.end_s[~mine.clipped_end]]
        np.testing.assert_allclose(np.sort(np.concatenate(at_s)), edges_s, rtol=0, atol=1e-3)
        for k in range(len(mine)):
            inside = (time_s >= mine.start_s[k]) & (time_s <= mine.end_s[k])
            off_km = TRUE_STEP_S * 15.0  # as far as satellites move between two samples
            assert 0 <= apart_km[inside].min() - mine.min_range_km[k] + 1e-3 < off_km
            assert 0 <= mine.max_range_km[k] - apart_km[inside].max() + 1e-3 < off_km


@pytest.mark.wide
def test_a_star_of_40_has_the_windows_that_stk_counts_in_91_days():
    # STK's nodal period is 5684.908 s, that of an axis 7 m below 6878.137 km.
    axis_km = 6878.137 * (5684.908 / 5684.91656) ** (2 / 3)
    pattern = orbit.Shell(180, axis_km, 90, 40, 4, 1, propagation="secular_j2")
    star = pattern.satellites_at(STK_START)
    found = orbit.find_isls(star, STK_START, STK_START + 91 * DAY, grazing_km=0.0)
    assert 2 * len(found) == 1_438_604
    always = found.clipped_start & found.clipped_end
    assert always.sum() == 40
    same = (found.a // 10 == found.b // 10) & ((found.b - found.a) % 10 % 8 == 1)
    np.testing.assert_array_equal(same, always)
    by_sgp4 = replace(
        pattern, semi_major_axis_km=orbit.circular_axis_km(500), propagation="sgp4"
    ).satellites_at(STK_START)
    other = orbit.find_isls(by_sgp4, STK_START, STK_START + 9 * DAY, grazing_km=0.0)
    assert len(other) == pytest.approx((found.start_s < 9 * DAY_S).sum(), rel=2e-4)


def test_counter_rotating_satellites_meet_twice_a_turn_for_the_angle_of_the_limb():
    # Both in the plane of the equator, one of them backwards: the angle between them grows evenly.
    east, west = (
        orbit.keplerian_satellite(
            name, START, semi_major_axis_km=7000, inclination_deg=inclination, mean_anomaly_deg=90,
            propagation="secular_j2",
        )
        for name, inclination in (("east", 0), ("west", 180))
    )  # fmt: skip
    models = east.model, west.model
    turn = [m.no_kozai + m.argpdot + m.nodedot * np.cos(m.inclo) for m in models]
    rate_rad_s = sum(turn) / 60
    found = orbit.find_isls([east, west], START, START + DAY, grazing_km=80.0)
    limb_rad = 2 * acos((EQUATOR_KM + 80) / 7000)
    whole = ~(found.clipped_start | found.clipped_end)
    lasts_s = (found.end_s - found.start_s)[whole]
    np.testing.assert_allclose(lasts_s, 2 * limb_rad / rate_rad_s, atol=1e-3)
    np.testing.assert_allclose(np.diff(found.start_s[whole]), tau / rate_rad_s, atol=1e-3)
    assert found.min_range_km[whole].max() < 1e-3
    assert found.max_range_km[whole] == pytest.approx(2 * 7000 * sin(limb_rad / 2), abs=1e-3)
    near = orbit.find_isls([east, west], START, START + DAY, max_range_km=500.0)
    lasts_s = np.median(near.end_s - near.start_s)
    assert lasts_s == pytest.approx(4 * asin(250 / 7000) / rate_rad_s, abs=1e-3)


@pytest.mark.parametrize(
    ("altitude_km", "inclination_deg", "spread_deg", "pattern", "reach_km"),
    [
        (2000, 63.4349, 360, (12, 3, 1), None),
        (700, 98, 360, (12, 3, 1), 4000.0),
        (1733, 149, 180, (8, 4, 0), None),  # windows of two minutes: edges move most
    ],
)
def test_periods_by_sgp4_that_were_not_searched_have_its_windows(
    altitude_km, inclination_deg, spread_deg, pattern, reach_km
):
    """Each as often as a search of the whole time finds it, and to a millisecond."""
    axis_km = orbit.circular_axis_km(altitude_km)
    shell = orbit.Shell(spread_deg, axis_km, inclination_deg, *pattern).satellites_at(START)
    # A hair of drag, and nothing repeats.
    other = [
        orbit.keplerian_satellite(
            s.name, START, semi_major_axis_km=axis_km, inclination_deg=inclination_deg,
            raan_deg=np.degrees(s.model.nodeo), argument_of_perigee_deg=np.degrees(s.model.argpo),
            mean_anomaly_deg=np.degrees(s.model.mo), bstar=1e-14,
        )
        for s in shell
    ]  # fmt: skip
    found = [orbit.find_isls(s, START, START + 9 * DAY, None, 80.0, reach_km)
             for s in (shell, other)]  # fmt: skip
    copied, searched = (f.where(np.lexsort((f.start_s, f.b, f.a))) for f in found)
    assert len(copied) == len(searched) > 50
    np.testing.assert_array_equal(copied.a * 99 + copied.b, searched.a * 99 + searched.b)
    np.testing.assert_allclose(copied.start_s, searched.start_s, rtol=0, atol=1e-3)
    np.testing.assert_allclose(copied.end_s, searched.end_s, rtol=0, atol=1e-3)
    np.testing.assert_allclose(copied.max_range_km, searched.max_range_km, rtol=0, atol=0.02)


def test_the_table_names_satellites_and_a_pair_keeps_its_order():
    names = ["c3", "c1"]
    table = orbit.isl_windows(skies.CIRCLES, START, START + DAY, [names])
    assert len(table) == 3
    assert list(table.columns) == [
        "a", "b", "start_utc", "end_utc", "duration_s", "min_range_km", "max_range_km",
        "clipped_start", "clipped_end",
    ]  # fmt: skip
    assert {*table.a} == {"c3"}
    assert {*table.b} == {"c1"}
    lasts = (table.end_utc - table.start_utc).dt.total_seconds()
    np.testing.assert_allclose(lasts, table.duration_s, atol=1e-8)
    assert str(table.start_utc.dtype) == "datetime64[ns, UTC]"


def test_windows_are_cut_where_sgp4_fails():
    with pytest.warns(orbit.OrbitWarning, match="SGP4 fails for 'FALLING'"):
        found = orbit.find_isls([skies.ISS, FALLING], FALLING.epoch, FALLING.epoch + 6 * DAY)
    before = orbit.find_isls([skies.ISS, FALLING], FALLING.epoch, FALLING.epoch + 3 * DAY)
    assert 0 < len(before) < len(found)
    assert found.end_s.max() < 5 * DAY_S


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("800 is above the orbit of 'c0', which comes as low as 300 km; g", {"grazing_km": 800}),
        ("grazing_km -1 is outside 0 to", {"grazing_km": -1}),
        ("max_range_km 0 is not positive", {"max_range_km": 0}),
        ("max_range_km nan is not finite", {"max_range_km": np.nan}),
        (r"pairs: \(1, 1\) are not two satellites", {"pairs": [("c1", "c1")]}),
        ("pairs: satellite 12 is outside 0 to 11", {"pairs": [(0, 12)]}),
        ("'c77' of .* names no satellite; did you mean 'c7'", {"pairs": [("c77", "c1")]}),
        ("12 make no pair", {"pairs": []}),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(words, named):
    refused(words, orbit.find_isls, skies.CIRCLES, START, START + DAY / 24, **named)


ROWS = """a,b,start_utc,end_utc,min_range_km,max_range_km
B,A,2026-08-22T12:10:00Z,2026-08-22T12:20:00Z,900,4000
A,B,2026-08-22T12:10:00Z,2026-08-22T12:20:00Z,900,4000
C,A,2026-08-22T11:50:00Z,2026-08-22T12:05:00Z,,
"""
LATER = """A,B,2026-08-22T12:20:00Z,2026-08-22T12:30:00Z,,
B,A,2026-08-22T12:29:59.990Z,2026-08-22T12:30:00.013Z,800,5000
A,C,2026-08-22T12:04:59.985Z,2026-08-22T12:05:00.010Z,1,5
"""


def test_windows_of_both_directions_that_overlap_are_one_link_and_keep_their_ranges(tmp_path):
    path = tmp_path / "sky.csv"
    path.write_text(ROWS + LATER)
    read = orbit.read_isl_windows(path, START)
    assert read.satellites == ["A", "B", "C"]
    columns = {"a": "from", "b": "to", "start_utc": "AOS (UTC)"}
    renamed = path.read_text().replace("a,b,start_utc", ",".join(columns.values()))
    for w in (read.windows, orbit.parse_isl_windows(renamed, "sky.csv", START, columns).windows):
        assert [w.a.tolist(), w.b.tolist()] == [[0, 0, 0], [2, 1, 1]]
        np.testing.assert_allclose(w.start_s, [0, 600, 1200])
        np.testing.assert_allclose(w.end_s, [300.01, 1200, 1800.013])
        ranges_km = w.min_range_km.tolist(), w.max_range_km.tolist()
        assert ranges_km == ([1, 900, 800], [5, 4000, 5000])
        assert w.clipped_start.tolist() == [True, False, False]
    [*_, unknown] = orbit.parse_isl_windows(ROWS + LATER.splitlines()[0]).windows.max_range_km
    assert np.isnan(unknown)


@pytest.mark.parametrize(
    ("words", "old", "new"),
    [
        ("sky.csv:1: column 'end_utc' is missing", "end_utc", "stop"),
        (
            "sky.csv:1: the header line is missing, .* the columns a, b, start_utc, end",
            ROWS,
            "0 1\n",
        ),
        ("sky.csv: 'B' has a window with itself", "B,A", "B,B"),
        ("sky.csv:3: the window overlaps that of line 2", "B,A", "A,B"),
        ("sky.csv:4: start_utc .* is not a time", "2026-08-22T11:50:00Z", "noon"),
    ],
)
def test_a_bad_file_of_links_is_refused_with_its_line(words, old, new):
    refused(words, orbit.parse_isl_windows, ROWS.replace(old, new, 1), "sky.csv", START)
