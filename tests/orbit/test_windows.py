"""Windows and sites from CSV, windows of slots, and how well windows cover sites."""

import json
import os
import re
from dataclasses import fields, replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit
from tests.kit.skies import CIRCLES, DAY, DAY_S, EIGHT_SITES, START, refused, windows_of

NAMES = [column.name for column in fields(orbit.ContactWindows)]
GEOMETRY = [name for name in NAMES if name.endswith(("_deg", "_km", "_km_s"))]
TIMES = ["rise_s", "culminate_s", "set_s"]


def _written(folder, text, encoding="utf-8"):
    (folder / "table.csv").write_bytes(text.encode(encoding))
    return folder / "table.csv"


def _sorted(windows, satellites, sites):
    """Windows with names; those of the same rise, to rounding, may be in any order."""
    named = {"satellite": np.array(satellites)[windows.satellite]}
    named["site"] = np.array(sites)[windows.site]
    return pd.DataFrame({**vars(windows), **named}).sort_values(
        ["satellite", "site", "rise_s"], ignore_index=True
    )


@pytest.mark.parametrize("start", [START, START - DAY, None])
@pytest.mark.parametrize(("unit", "atol_s"), [("us", 1e-6), ("ms", 1.001e-3)])
def test_the_table_of_contacts_is_read_back(tmp_path, start, unit, atol_s):
    satellites = [replace(CIRCLES[4], name="A-1"), replace(CIRCLES[9], name="B, the sécond")]
    asked = satellites, EIGHT_SITES, START, START + DAY, 5.0
    table = orbit.find_contacts(*asked)
    windows = orbit.contact_windows(*asked)
    for name in ("rise_utc", "culminate_utc", "set_utc"):
        table[name] = table[name].dt.floor(unit)
    table.loc[::5, "max_elevation_deg"] = windows.max_elevation_deg[::5] = np.nan
    path = _written(tmp_path, table.sample(frac=1, random_state=1).to_csv(index=False))
    found = orbit.read_windows(path, start)
    told = _sorted(found.windows, found.satellites, found.sites)
    wanted = _sorted(windows, *([place.name for place in places] for places in asked[:2]))
    told[TIMES] += (found.start - START).total_seconds()
    np.testing.assert_allclose(told[TIMES], wanted[TIMES], rtol=0, atol=atol_s)
    told = told.drop(columns=TIMES)
    wanted = wanted.drop(columns=TIMES)
    pd.testing.assert_frame_equal(told, wanted, rtol=1e-12, atol=0)


RUN = """\
contact_id,cluster,rise_utc,culminate_utc,set_utc,min_slant_range_km
0,north,2026-08-22 12:02:03.25+00:00,2026-08-22 12:04:03.25+00:00,2026-08-22 12:07:03.25+00:00,
1,south,2026-08-22 12:42:03.25+00:00,,2026-08-22 12:52:03.25+00:00,700.0
"""
STK = """\
"Access","Station","Start Time (UTCG)","Stop Time (UTCG)","Duration (sec)"
1,Zurich,22 Aug 2026 14:02:03.123,22 Aug 2026 14:08:00.000,356.877
2,Zurich,1 Sep 2026 00:59:59.5,1 Sep 2026 01:08:00.1234567,480.623
1,Troll,22 Aug 2026 14:02:04,22 Aug 2026 14:09:00,416
"""
STK_COLUMNS = {"site": "Station", "rise_utc": "Start Time (UTCG)", "set_utc": "Stop Time (UTCG)"}


def test_a_run_folders_and_another_tools_tables_are_read():
    found = orbit.parse_windows(RUN, start=START)
    assert (found.satellites, found.sites) == (["satellite"], ["north", "south"])
    times_s = [getattr(found.windows, name).tolist() for name in TIMES]
    assert times_s == [[123.25, 2523.25], [243.25, 2823.25], [423.25, 3123.25]]
    np.testing.assert_array_equal(found.windows.min_slant_range_km, [np.nan, 700.0])
    assert not found.windows.clipped_start.any()
    found = orbit.parse_windows(STK, columns=STK_COLUMNS)
    windows = found.windows
    zero = datetime(2026, 8, 22, 14, 2, 3, 123000, tzinfo=UTC)
    late = datetime(2026, 9, 1, 0, 59, 59, 500000, tzinfo=UTC) - zero
    assert (found.sites, found.start) == (["Troll", "Zurich"], zero)
    assert windows.site.tolist() == [1, 0, 1]
    np.testing.assert_allclose(windows.rise_s, [0.0, 0.877, late.total_seconds()])
    lasts = windows.set_s - windows.rise_s
    np.testing.assert_allclose(lasts, [356.877, 416.0, 480.623457], atol=1e-3)
    np.testing.assert_allclose(windows.culminate_s, windows.rise_s + lasts / 2)
    assert all(np.isnan(getattr(windows, name)).all() for name in GEOMETRY)
    local = {name: column.replace("UTCG", "LCLG") for name, column in STK_COLUMNS.items()}
    for text, chosen, words in (
        (STK.replace("UTCG", "LCLG"), local, r"stk.csv:2: Start Time \(LCLG\) '22 Aug 2026 14"),
        (STK, {"rise": "Start"}, "columns: 'rise' is no column of windows; did you mean 'rise_utc"),
        (STK, {"site": "Staton"}, "stk.csv:1: column 'Staton' is missing; did you mean 'Station'"),
    ):
        refused(words, orbit.parse_windows, text, "stk.csv", columns=chosen)
    words = "all windows end before start 2026-08-23T12:00:00Z"
    refused(words, orbit.parse_windows, RUN, start=START + DAY)


HEAD, AT = "site,rise_utc,set_utc\n", "2026-08-22T12:"
ROW = f"a,{AT}00:00Z,{AT}05:00Z\n"


def test_times_may_be_written_in_several_ways_and_rounded():
    for time in ("2026-08-22T16:02:03.5+02:00", "20260822T140203.5Z", "2026-08-22 14:02:03.50 UTC"):
        # Windows that touch are two.
        text = f"site,rise_utc,duration_s\na,{time},60\na,2026-08-22T14:03:03.5Z,60\n"
        windows = orbit.parse_windows(text, start=START).windows
        assert windows.rise_s.tolist() == [7323.5, 7383.5]
        assert windows.set_s.tolist() == [7383.5, 7443.5]
    for top, kept_s in (("00:00.000", 0.001), ("00:01.001", 1.0005)):
        text = f"site,rise_utc,culminate_utc,duration_s\na,{AT}00:00.001Z,{AT}{top}Z,0.9995\n"
        assert orbit.parse_windows(text, start=START).windows.culminate_s.tolist() == [kept_s]
    short = f"duration_s,{HEAD}0.5,a,{AT}00:00Z,{AT}00:00.25Z\n"
    assert orbit.parse_windows(short).windows.set_s.tolist() == [0.25]
    for duration in ("nan", "299.0", "301"):
        windows = orbit.parse_windows(f"duration_s,{HEAD}{duration},{ROW}", start=START).windows
        assert windows.set_s.tolist() == [300.0]


@pytest.mark.parametrize(("culminate", "over"), [(f"{AT}01:00Z", False), (f"{AT}00:00Z", True)])
def test_windows_open_at_the_start_are_clipped_and_earlier_ones_left_out(culminate, over):
    found = orbit.parse_windows(
        "site,rise_utc,culminate_utc,set_utc,max_elevation_deg,min_slant_range_km,"
        "rise_azimuth_deg,culminate_range_rate_km_s,set_azimuth_deg,culminations,sgp4_error\n"
        f"a,{AT}00:00Z,{culminate},{AT}05:00Z,40,900,10,0.5,200,1,true\n"
        f"b,2026-08-22T11:00:00Z,,{AT}00:30Z,40,900,10,0.5,200,1,\n",
        start=START + DAY / 2880,
    )
    # What culminated before the start has no known height.
    known = {"max_elevation_deg": 40.0, "min_slant_range_km": 900.0, "culminate_s": 30.0}
    known |= {"culminate_range_rate_km_s": 0.5, "culminations": 1}
    if over:
        known = dict.fromkeys(known, np.nan) | {"culminate_s": 0.0, "culminations": 0}
    known |= {"rise_s": 0.0, "set_s": 270.0, "rise_azimuth_deg": np.nan, "set_azimuth_deg": 200.0}
    known |= {"clipped_start": True, "clipped_end": False, "sgp4_error": False}
    assert found.sites == ["a", "b"]
    for name, value in known.items():
        np.testing.assert_array_equal(getattr(found.windows, name), [value], err_msg=name)


PLACE = "latitude_deg,longitude_deg\n"
NAMED = "name," + PLACE
TABLES = {
    orbit.read_windows: [
        (f"{HEAD}a,31 Jun 2026 00:00:00,{AT}15:00Z", 2, "day is out of range"),
        (f"{HEAD}a,30 Jun 2026 23:59:60,{AT}15:00Z", 2, "seconds go up to 59.999"),
        (f"{HEAD}a,{AT}15:00Z,{AT}15:00Z", 2, "not after it rises"),
        (f"{HEAD}{ROW}\n# again\nb{ROW[1:]}a,{AT}04:59Z,{AT}09:00Z", 6, "overlaps that of line 2"),
        (f"{HEAD},{ROW[2:]}", 2, "site is empty"),
        (f"{HEAD}a,0001-01-01T00:00:00+02:00,{AT}15:00Z", 2, "is not in 1957 to 2156"),
        (f"duration_s,{HEAD}301.1,{ROW}", 2, "the window sets 300 s after it rises, but dura"),
        (f"culminate_utc,{HEAD}{AT}06:00Z,{ROW}", 2, "culminates at 2026-08-22 12:06:00+00:00, ou"),
        (f"max_elevation_deg,{HEAD}91,{ROW}", 2, "max_elevation_deg 91.0 is outside -90 to 90"),
        (f"clipped_end,{HEAD}maybe,{ROW}", 2, "clipped_end 'maybe' is not a flag"),
        (f"culminations,{HEAD}1.5,{ROW}", 2, "culminations '1.5' is not a count"),
    ],
    orbit.read_sites: [
        ("# only this\n\n", 1, "no rows found"),
        ("latitude_deg,name\n1,x", 1, "column 'longitude_deg' is missing; add it"),
        ("latitude_deg\n1", 1, "column 'longitude_deg' is missing; add it"),
        ("latitude_deg,longitude_deg,latitude_deg\n1,2,1", 1, "'latitude_deg' comes twice"),
        (NAMED + '"a\nb",1,2', 2, "characters that cannot be shown"),
        (PLACE + "1,x", 2, "longitude_deg 'x' is not a number"),
        (PLACE + "1_0,2", 2, "latitude_deg '1_0' is not a number"),
        (PLACE + "1,2,3", 2, "cells in the row: 3, in the header: 2"),
        (NAMED + '"a,1,2\nb,3,4', 2, "check the quotation marks"),
        (PLACE + "\0", 1, "a binary file, and only CSV is read; save the table as CSV"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("read", "text", "line", "words"),
    [(read, *row) for read, rows in TABLES.items() for row in rows],
)
def test_every_mistake_is_one_line_that_names_its_place(tmp_path, read, text, line, words):
    path = _written(tmp_path, text)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}:{line}: ") as caught:
        read(path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_a_pipe_and_a_span_without_time_are_refused(tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    for read in (orbit.read_sites, orbit.read_satellites):
        refused("pipe.csv: is a pipe or a device", read, pipe)
        with pytest.raises(IsADirectoryError):
            read(tmp_path)
    refused("is not after start", orbit.doubts, CIRCLES[:1], START, START)


GOOD = """\
# stations of the north
longitude_deg , latitude_deg,name,altitude_m,min_elevation_deg

8.54,47.37,Zurich,408,10
15.39, 78.23 , "Svalbard, Platåberget",,

  # and of "the south, with commas
2.53,-72.01,Troll,1e3,+5.5
"""


def test_sites_are_read_in_order_with_comments_and_blanks(tmp_path):
    for line_end, encoding in (("\n", "utf-8"), ("\r\n", "utf-8-sig"), ("\r", "utf-8")):
        assert orbit.read_sites(_written(tmp_path, GOOD.replace("\n", line_end), encoding)) == [
            orbit.Site("Zurich", 47.37, 8.54, 408.0, 10.0),
            orbit.Site("Svalbard, Platåberget", 78.23, 15.39),
            orbit.Site("Troll", -72.01, 2.53, 1000.0, 5.5),
        ]
    unnamed = orbit.read_sites(_written(tmp_path, f"{PLACE}47,8.5\n-3,1"))
    assert unnamed == [orbit.Site("0", 47.0, 8.5), orbit.Site("1", -3.0, 1.0)]
    bad = _written(tmp_path, GOOD, "latin-1")
    refused("table.csv:5: not UTF-8 text .* save the table as CSV", orbit.read_sites, bad)
    for form in ("utf-16", "utf-16-le"):
        other = _written(tmp_path, GOOD, form)
        refused("table.csv:1: not UTF-8 text, but UTF-16; save it", orbit.read_sites, other)


def test_windows_slots_and_coverage_that_cannot_be_are_refused():
    windows = windows_of([(0, 0, 0, 1), (0, 1, 2, 3)])
    one = windows_of([(0, 3, 0, 10)])
    for words, change in (
        ("window 0 rises at 0.0 s, sets at 0.0 s", {"set_s": np.array([0.0, 3.0])}),
        ("times must be finite", {"rise_s": np.array([0.0, np.nan])}),
        ("site has shape", {"site": np.array([0])}),
        ("not sorted", {"rise_s": np.array([0.5, 0.0])}),
        ("not sorted by rise_s, sat", {"rise_s": np.zeros(2), "site": np.array([1, 0])}),
    ):
        refused(words, replace, windows, **change)
    refused("slot_s 0.0", orbit.slot_windows, 1, 0.0, 0, 1)
    refused("idle -1", orbit.slot_windows, 1, 60.0, -1, 1)
    refused("windows reach site 3 .* beyond 3 sites", orbit.coverage, one, 3, 30.0)
    refused("from 0.0 s to 10.0 s, beyond 4 sites and span_s 5.0", orbit.coverage, one, 4, 5.0)
    refused("span_s 0.0 is not a positive", orbit.coverage, one, 4, 0.0)


@given(st.integers(1, 8), st.floats(1e-3, 1e4), st.integers(0, 3), st.integers(1, 40))
def test_slots_come_in_turn_at_exact_multiples_and_cover_alike(sites, slot_s, idle, cycles):
    windows = orbit.slot_windows(sites, slot_s, idle, cycles)
    cycle, site = np.divmod(np.arange(sites * cycles), sites)
    slot = cycle * (sites + idle) + site
    span_s = (sites + idle) * cycles * slot_s
    np.testing.assert_array_equal(windows.site, site)
    np.testing.assert_array_equal(windows.rise_s, slot * slot_s)
    np.testing.assert_array_equal(windows.set_s, (slot + 1) * slot_s)
    assert ((windows.rise_s < windows.culminate_s) & (windows.culminate_s < windows.set_s)).all()
    assert (windows.max_elevation_deg == 90).all() and np.isnan(windows.min_slant_range_km).all()
    found = orbit.coverage(windows, sites, span_s)
    assert (found.passes == cycles).all()
    np.testing.assert_allclose(found.mean_duration_s, slot_s, rtol=1e-9)
    np.testing.assert_allclose(found.in_view_fraction, 1 / (sites + idle), atol=1e-9)


@given(st.data(), st.integers(0, 40))
def test_coverage_is_the_one_counted_second_by_second(data, later):
    rows = []
    for satellite, site in np.ndindex(3, 5):
        edges = sorted(data.draw(st.sets(st.integers(0, 30), max_size=6)))
        rows += [(satellite, site, a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    span_s = 30 + later
    found = orbit.coverage(windows_of(rows), 6, span_s)
    for site in range(6):
        mine = [(rise, set_) for _, where, rise, set_ in rows if where == site]
        seen = [any(a <= second < b for a, b in mine) for second in range(span_s)]
        gaps = "".join("." if now else "x" for now in seen).split(".")
        lasts = [b - a for a, b in mine] or [np.nan]
        counted = {
            "passes": len(mine), "passes_per_day": len(mine) * DAY_S / span_s,
            "in_view_fraction": sum(seen) / span_s, "longest_gap_s": max(map(len, gaps)),
            "mean_duration_s": np.mean(lasts), "longest_duration_s": max(lasts),
        }  # fmt: skip
        for name, value in counted.items():
            assert getattr(found, name)[site] == pytest.approx(value, nan_ok=True), name


def test_points_of_geojson_are_sites(tmp_path):
    points = (("A", [8.5, 47.0, 500.0], {"min_elevation_deg": 5}), ("B", [-70.0, -33.0], {}))
    features = [
        {"geometry": {"type": "Point", "coordinates": at}, "properties": {"name": name, **more}}
        for name, at, more in points
    ]
    path = tmp_path / "stations.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert orbit.read_sites(path) == [
        orbit.Site("A", 47.0, 8.5, 500.0, 5.0),
        orbit.Site("B", -33.0, -70.0),
    ]
    said = {"Name": "C", "ALTITUDE_M": "120", "latitude_deg": 47, "description": "dish"}
    here = {"type": "Point", "coordinates": [8.5, 47.0]}
    path.write_text(json.dumps({"features": [{"geometry": here, "properties": said}]}))
    assert orbit.read_sites(path) == [orbit.Site("C", 47.0, 8.5, 120.0)]
    absent = {"name": None, "min_elevation_deg": None}
    nulls = [
        {"geometry": {"coordinates": [8.5, 47.0, None]}, "properties": absent},
        {"geometry": {"coordinates": [8.5, 47.0]}, "properties": None},
    ]
    path.write_text(json.dumps({"features": nulls}))
    assert orbit.read_sites(path) == [orbit.Site("0", 47.0, 8.5), orbit.Site("1", 47.0, 8.5)]
    table = f"{PLACE.strip()},altitude_m,min_elevation_deg\n47,8.5,null,NaN\n47,8.5,,None\n"
    assert orbit.read_sites(_written(tmp_path, table)) == orbit.read_sites(path)
    line = {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}
    high = {"type": "Point", "coordinates": [8.5, 47.0, 0]}
    for wrong, said in (
        (json.dumps({"features": [{"geometry": None}]}), "feature:1: is no point"),
        (json.dumps({"features": [{"geometry": {"coordinates": [8, None]}}]}), "1: is no point"),
        ("[1]", "stations.geojson:1: no GeoJSON with a list of features"),
        ('[{"lat": 1, "lon": 2}]', "1: a JSON list of other things than GeoJSON has; give a CSV"),
        ("[" * 100_000, "stations.geojson:1: no GeoJSON with a list of features"),
        (json.dumps({"features": []}), "stations.geojson:1: has 0 features"),
        (json.dumps({"features": [{"geometry": {"coordinates": [1]}}]}), "feature:1: is no point"),
        (json.dumps({"features": [{"geometry": line}]}), "feature:1: is no point; leave lines"),
        (
            json.dumps({"features": [{"geometry": high, "properties": {"altitude_m": 520}}]}),
            "feature:1: altitude_m 520 is not the third coordinate, 0; keep one of them",
        ),
        (
            json.dumps({"features": [{"geometry": {"coordinates": [8.5, "x"]}}]}),
            "feature:1: latitude_deg 'x' is not a number",
        ),
    ):
        path.write_text(wrong)
        with pytest.raises(ValueError, match=re.escape(said)):
            orbit.read_sites(path)


WORDS = (
    ("minElevation", "25", "min_elevation_deg", 25.0),
    ("min_elevation", "25", "min_elevation_deg", 25.0),
    ("Elevation Mask", "25", "min_elevation_deg", 25.0),
    ("el_min_deg", "25", "min_elevation_deg", 25.0),
    ("min elevation (rad)", "0.5", "min_elevation_deg", np.degrees(0.5)),
    ("altitude", "4200", "altitude_m", 4200.0),
    ("alt", "4200.7", "altitude_m", 4200.7),
    ("altitudeKm", "4.2", "altitude_m", 4200.0),
    ("Altitude [ft]", "100", "altitude_m", 30.48),
    ("minElevation", "25 deg", "min_elevation_deg", 25.0),
    ("min_elevation_deg", "25°", "min_elevation_deg", 25.0),
    ("alt", "4.2 km", "altitude_m", 4200.0),
)
UNCLEAR = (
    ("elevation", "'min_elevation_deg' or 'altitude_m'"),
    ("ele", "'min_elevation_deg' or 'altitude_m'"),
    ("cutoff_angle", "'min_elevation_deg'"),
    ("height", "'altitude_m'"),
    ("antenna_height_m", "'altitude_m'"),
    ("min_elevaton_dgr", "'min_elevation_deg' or 'altitude_m'"),
    ("altitude (parsec)", "'altitude_m'"),
    ("Namee", "'name'"),
)


def _feature(properties, at=(11.6, 48.1), **more):
    point = {"type": "Point", "coordinates": at}
    return {"type": "Feature", "geometry": point, "properties": properties, **more}


def _geojson(tmp_path, *features):
    path = tmp_path / "places.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.mark.parametrize(("word", "said", "column", "value"), WORDS)
def test_a_word_for_altitude_or_mask_is_read_where_it_is_clear(tmp_path, word, said, column, value):
    """Also with a unit behind it, in the cell."""
    for text in (said, said if " " in said or "°" in said else float(said)):
        (site,) = orbit.read_sites(_geojson(tmp_path, _feature({"name": "M", word: text})))
        assert getattr(site, column) == pytest.approx(value, rel=1e-15)
    for north, east in (("48.1", "11.6"), ("48.1°", "11.6 deg")):
        table = _written(tmp_path, f"name,LAT,Longitude,{word}\nM,{north},{east},{said}\n")
        assert orbit.read_sites(table) == [site]


@pytest.mark.parametrize(("word", "meant"), UNCLEAR)
def test_a_word_that_may_be_altitude_or_mask_is_refused_by_name(tmp_path, word, meant):
    words = rf"'{re.escape(word)}' is unknown; did you mean {meant}\? Rename it, or leave it out"
    for path in (
        _geojson(tmp_path, _feature({word: "12"})),
        _written(tmp_path, f"lat,lon,{word}\n48.1,11.6,12\n"),
    ):
        refused(rf"{path.name}:(1|feature:1): .*{words}", orbit.read_sites, path)


def test_what_a_feature_says_of_other_things_is_passed_over_and_of_one_thing_twice_refused(
    tmp_path,
):
    other = {"provider": "AWS", "bands": ["S"], "altitudeMode": "clampToGround", "el_bias_deg": 0.1}
    high = (11.6, 48.1, 520.0)
    told = _feature({"name": "M", "el_min_deg": 5, "el_max_deg": 85, "height": None, **other}, high)
    site = orbit.Site("M", 48.1, 11.6, 520.0, 5.0)
    assert orbit.read_sites(_geojson(tmp_path, told)) == [site]
    same = _feature({"name": "M", "altitude_km": 0.52, "altitude": "520.0", "elmask": 5}, high)
    assert orbit.read_sites(_geojson(tmp_path, same)) == [site]
    for more, words in (
        ({"altitude": 521}, "altitude_m 521 is not the third coordinate, 520.0; keep one of them"),
        ({"minElevation": 6}, "min_elevation_deg . is another property's .; keep one of them"),
    ):
        twice = _feature(same["properties"] | more, high)
        refused(rf"places\.geojson:feature:1: {words}", orbit.read_sites, _geojson(tmp_path, twice))
    inner = _geojson(tmp_path, _feature({"name": "M", "antenna": {"min_elevation": 5}}))
    refused("'antenna min_elevation' is unknown; did you mean", orbit.read_sites, inner)
    beside = _geojson(tmp_path, _feature({"name": "M"}, high, min_elevation_deg=5))
    assert orbit.read_sites(beside) == [site]
    angles = {"name": "M", "el_min_deg": 5, "lat": 48.14, "lng": 371.6, "longitude": "11 E"}
    assert orbit.read_sites(_geojson(tmp_path, _feature(angles, high))) == [site]
    swapped = _geojson(tmp_path, _feature({"lat": 11.6, "lon": 48.1}))
    refused("'lat' 11.6 is not that of the coordinates, 48.1 ", orbit.read_sites, swapped)
    wrong = _geojson(tmp_path, _feature({"minElevation": "ten"}))
    refused("feature:1: min_elevation_deg 'ten' is not a number", orbit.read_sites, wrong)
    table = _written(tmp_path, "lat,lon,alt,altitude_m\n48.1,11.6,1,2\n")
    refused(r"csv:1: columns 'altitude_m' and 'alt' both say altitude_m", orbit.read_sites, table)


def test_a_feature_alone_is_a_place_with_its_title_or_id_for_a_name(tmp_path):
    path = tmp_path / "one.json"
    for feature, name in (
        (_feature({"name": "N", "title": "T", "id": 7}, id="F"), "N"),
        (_feature({"title": "T", "id": 7}), "T"),
        (_feature({"id": 7, "station_name": "S"}), "S"),
        (_feature({"id": 7}, id="F"), "7"),
        (_feature(None, id="F"), "F"),
        (_feature({}), "0"),
    ):
        path.write_text(json.dumps(feature))
        assert orbit.read_sites(path) == [orbit.Site(name, 48.1, 11.6)]
    path.write_text(json.dumps([_feature({"name": "A"}), _feature({})]))
    assert [site.name for site in orbit.read_sites(path)] == ["A", "1"]
    path.write_text("\n".join([json.dumps(_feature({}))] * 2))
    refused(r"one\.json:2: JSON lines, a value in each line; put", orbit.read_sites, path)


TABLES_OF_PLACES = {
    "index": ",name,latitude_deg,longitude_deg,altitude_m\n0,M,48.1,11.6,500\n1,N,-3,1,\n",
    "semicolons": "\ufeffname;latitude_deg;longitude_deg;altitude_m\nM;48,1;11,6;5e2\nN;-3;1;\n",
    "tabs": "Name\tLatitude_deg\tLongitude Deg\tALTITUDE_M\nM\t48.1\t11.6\t500\nN\t-3\t1\t\n",
    "short": "name,lat,lon,alt\nM,48.1,11.6,500\nN,-3,1,nan\n",
    "km": 'name,lat,lng,"altitude (km)"\nM,48.1,11.6,0.5\nN,-3,1,\n',
    "report": "Stations\n\nname  lat  lon  alt\n----  ---\nM  48.1  11.6  500\nN  -3  1  -\n",
}


@pytest.mark.parametrize("text", TABLES_OF_PLACES.values(), ids=TABLES_OF_PLACES)
def test_places_are_read_from_every_table_that_windows_are_read_from(tmp_path, text):
    told = [orbit.Site("M", 48.1, 11.6, 500.0), orbit.Site("N", -3.0, 1.0)]
    assert orbit.read_sites(_written(tmp_path, text)) == told


def test_the_content_of_a_file_of_places_decides_its_form(tmp_path):
    table, points = tmp_path / "places.json", tmp_path / "places.csv"
    table.write_text("name,lat,lon\nM,48.1,11.6\n")
    points.write_text(json.dumps(_feature({"name": "M"})))
    assert orbit.read_sites(table) == orbit.read_sites(points) == [orbit.Site("M", 48.1, 11.6)]
    for text, form in (('[{"start": 1}]', "JSON"), ("<?xml?>\n<GSs>\n", "XML or a web page")):
        words = rf"table\.csv:1: {form} instead of a table; give a table with the columns "
        refused(f"{words}satellite, site", orbit.read_windows, _written(tmp_path, text))
        refused(f"{words}a, b, start", orbit.read_isl_windows, _written(tmp_path, text))
    refused(f"{words}name, lat", orbit.read_sites, _written(tmp_path, text))


def test_further_columns_of_places_are_told_once_and_not_refused(tmp_path):
    text = 'name,country,lat,lon,band\nM,"D\nE",48.1,11.6,S\nN,F,47,2,X\n'
    told = []
    sites = orbit.read_sites(_written(tmp_path, text), on_unused=told.append)
    assert [site.name for site in sites] == ["M", "N"]
    assert [line.partition("table.csv:")[2] for line in told] == [
        "1: columns that say nothing of a place are left out: 'country', 'band'"
    ]


def test_a_header_that_is_missing_is_named_with_its_columns(tmp_path):
    needs = "the header line is missing, as .* add one above it, with the columns "
    for text in ("0,Tokyo,35.7,139.7,0\n", "Tokyo;35,7;139,7\n", "1\n2\n"):
        words = rf"table\.csv:1: {needs}name, latitude_deg, longitude_deg"
        refused(words, orbit.read_sites, _written(tmp_path, text))
    for text in (f"{ROW}{ROW}", f"S1;{ROW}".replace(",", ";"), "0 1\n0 4\n"):
        words = rf"table\.csv:1: {needs}satellite, site, rise_utc, set_utc"
        refused(words, orbit.read_windows, _written(tmp_path, text))
        words = rf"table\.csv:1: {needs}a, b, start_utc, end_utc"
        refused(words, orbit.read_isl_windows, _written(tmp_path, text))


def test_swapped_coordinates_are_told(tmp_path):
    hint = r"latitude_deg 118.2 is outside -90 to 90; .*, or swap it with longitude_deg 34 "
    refused(hint, orbit.Site, "M", 118.2, 34.0)
    refused(hint, orbit.read_sites, _written(tmp_path, "lat,lon\n118.2,34.0\n"))
    refused(hint, orbit.read_sites, _geojson(tmp_path, _feature({}, (34.0, 118.2))))
    refused("latitude_deg 118.2 is outside -90 to 90; give .* there$", orbit.Site, "M", 118.2, 99)
