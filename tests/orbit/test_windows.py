"""Windows and sites from CSV, windows of slots, and how well windows cover sites."""

import csv
import io
import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import orbit
from tests.kit.skies import CIRCLES, DAY, DAY_S, EIGHT_SITES, START, windows_of

SATELLITES, SITES = ["A-1", "B, the second"], ["Troll", "Zürich", "élan"]
GEOMETRY = [
    column.name
    for column in fields(orbit.ContactWindows)
    if column.name.endswith(("_deg", "_km", "_km_s"))
]
FLAGS = ["clipped_start", "clipped_end", "sgp4_error"]
INSTANTS = ("rise_s", "culminate_s", "set_s")


@pytest.fixture
def written(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "table.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def _csv(columns):
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(columns)
    rows.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


# Window files.


@st.composite
def plans(draw):
    """Windows between two satellites and three sites; those of a pair are 1 ms apart or more."""
    rows = []
    for satellite in range(2):
        for site in range(3):
            edges = sorted(draw(st.sets(st.integers(0, 10**8), max_size=8)))
            for a, b in zip(edges[::2], edges[1::2], strict=False):
                late = draw(st.floats(0, 0.0009))
                rows.append((satellite, site, a / 1000 + late, b / 1000 + late))
    bare, rng = vars(windows_of(rows)), np.random.default_rng(draw(st.integers(0, 99)))
    known = {name: rng.uniform(0, 90, len(rows)) for name in GEOMETRY}
    known["max_elevation_deg"][rng.random(len(rows)) < 0.2] = np.nan
    known |= {name: rng.random(len(rows)) < 0.5 for name in FLAGS}
    culminate_s = bare["rise_s"] + rng.random(len(rows)) * (bare["set_s"] - bare["rise_s"])
    known |= {"culminations": rng.integers(0, 4, len(rows)), "culminate_s": culminate_s}
    return orbit.ContactWindows(**{**bare, **known})


def _iso(times_s):
    stamps = [START + timedelta(seconds=float(t)) for t in times_s]
    return [f"{stamp.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z" for stamp in stamps]


def _assert_same(found, windows, satellites, sites, atol_s):
    """The same windows by names and times since START, whatever their indices."""
    late_s = (found.start - START).total_seconds()
    read, names = found.windows, (found.satellites, found.sites)
    here = [(names[0][a], names[1][b]) for a, b in zip(read.satellite, read.site, strict=True)]
    there = [
        (satellites[a], sites[b]) for a, b in zip(windows.satellite, windows.site, strict=True)
    ]
    # Rises less than 1 ms apart may change places.
    mine = sorted(range(len(read)), key=lambda k: (here[k], read.rise_s[k]))
    theirs = sorted(range(len(windows)), key=lambda k: (there[k], windows.rise_s[k]))
    assert [here[k] for k in mine] == [there[k] for k in theirs]
    for name in INSTANTS:
        times_s = getattr(read, name)[mine] + late_s
        np.testing.assert_allclose(times_s, getattr(windows, name)[theirs], rtol=0, atol=atol_s)
    for name in (*GEOMETRY, "culminations", *FLAGS):
        np.testing.assert_array_equal(getattr(read, name)[mine], getattr(windows, name)[theirs])


@given(plans().filter(len), st.randoms())
def test_an_export_is_read_back_to_the_millisecond(windows, random):
    columns = {
        "satellite": [SATELLITES[i] for i in windows.satellite],
        "site": [SITES[i] for i in windows.site],
        **{name.replace("_s", "_utc"): _iso(getattr(windows, name)) for name in INSTANTS},
        "duration_s": windows.set_s - windows.rise_s,
        **{name: getattr(windows, name) for name in (*GEOMETRY, "culminations", *FLAGS)},
    }
    head, *rows = _csv(columns).splitlines(keepends=True)
    random.shuffle(rows)
    for start in (START, None):
        found = orbit.parse_windows(head + "".join(rows), start=start)
        _assert_same(found, windows, SATELLITES, SITES, 1.001e-3)


def test_the_table_of_contacts_is_read_back(tmp_path):
    asked = (CIRCLES[4:10:5], EIGHT_SITES, START, START + DAY, 5.0)
    orbit.find_contacts(*asked).to_csv(tmp_path / "contacts.csv", index=False)
    found = orbit.read_windows(tmp_path / "contacts.csv", START)
    names = [s.name for s in asked[0]], [s.name for s in asked[1]]
    # The table holds nanoseconds; Python's clock, and so ours, microseconds.
    _assert_same(found, orbit.contact_windows(*asked), *names, 2e-6)


RUN = """\
contact_id,satellite,norad_id,cluster,rise_utc,culminate_utc,set_utc,rise_s,duration_s,\
max_elevation_deg,min_slant_range_km,uplink_capacity_bytes_per_device,served
0,c,,north,2026-08-22 14:02:03.250000+00:00,2026-08-22 14:04:03.250000+00:00,\
2026-08-22 14:07:03.250000+00:00,7323.25,300.0,30.0,,1e6,True
1,c,,south,2026-08-22 14:42:03.250000+00:00,2026-08-22 14:46:03.250000+00:00,\
2026-08-22 14:51:03.250000+00:00,9723.25,540.0,70.5,700.0,2e6,False
"""


def test_a_run_folders_contacts_table_is_read_back(written):
    found = orbit.read_windows(str(written(RUN)), START)
    assert (found.satellites, found.sites) == (["c"], ["north", "south"])
    windows = found.windows
    assert windows.rise_s.tolist() == [7323.25, 9723.25]
    assert windows.set_s.tolist() == [7623.25, 10263.25]
    assert windows.culminate_s.tolist() == [7443.25, 9963.25]
    assert windows.max_elevation_deg.tolist() == [30.0, 70.5]
    np.testing.assert_array_equal(windows.min_slant_range_km, [np.nan, 700.0])
    assert not windows.clipped_start.any()


STK = """\
"Access","Station","Start Time (UTCG)","Stop Time (UTCG)","Duration (sec)"
1,Zurich,22 Aug 2026 14:02:03.123,22 Aug 2026 14:08:00.000,356.877
2,Zurich,1 Sep 2026 00:59:59.5,1 Sep 2026 01:08:00.1234567,480.623
1,Troll,22 Aug 2026 14:02:04,22 Aug 2026 14:09:00,416
"""
STK_COLUMNS = {"site": "Station", "rise_utc": "Start Time (UTCG)", "set_utc": "Stop Time (UTCG)"}


def test_another_tools_columns_are_mapped_by_name():
    found = orbit.parse_windows(STK, columns=STK_COLUMNS)
    assert (found.satellites, found.sites) == (["satellite"], ["Troll", "Zurich"])
    assert found.start == datetime(2026, 8, 22, 14, 2, 3, 123000, tzinfo=UTC)
    windows, late = found.windows, datetime(2026, 9, 1, 0, 59, 59, 500000, tzinfo=UTC) - found.start
    assert windows.site.tolist() == [1, 0, 1]
    np.testing.assert_allclose(windows.rise_s, [0.0, 0.877, late.total_seconds()])
    lasts = windows.set_s - windows.rise_s
    np.testing.assert_allclose(lasts, [356.877, 416.0, 480.623457])
    np.testing.assert_allclose(windows.culminate_s, windows.rise_s + lasts / 2)
    assert all(np.isnan(getattr(windows, name)).all() for name in GEOMETRY)
    assert (windows.culminations == 0).all()
    by_duration = {**STK_COLUMNS, "duration_s": "Duration (sec)"}
    del by_duration["set_utc"]
    same = orbit.parse_windows(STK, columns=by_duration)
    np.testing.assert_allclose(same.windows.set_s, windows.set_s, atol=1e-3)
    local = STK.replace("UTCG", "LCLG")
    columns = {ours: theirs.replace("UTCG", "LCLG") for ours, theirs in STK_COLUMNS.items()}
    for text, chosen, words in (
        (local, columns, "stk.csv:2: Start Time (LCLG) 22 Aug 2026 14:02:03.123 has no time zone"),
        (STK, {"rise": "Start"}, "columns: 'rise' is no column of windows; did you mean 'rise_utc"),
        (STK, {"site": "Staton"}, "stk.csv:1: column 'Staton' is missing; did you mean 'Station'"),
    ):
        with pytest.raises(ValueError, match=re.escape(words)):
            orbit.parse_windows(text, "stk.csv", columns=chosen)


@pytest.mark.parametrize(
    "time",
    ["2026-08-22T14:02:03.500Z", "2026-08-22 14:02:03.5+00:00", "2026-08-22T16:02:03.5+02:00",
     "20260822T140203.5Z", "2026-08-22 14:02:03.500 UTC", "2026-08-22T14:02:03.500000000Z"],
)  # fmt: skip
def test_iso_times_with_a_zone_are_read(time):
    # Windows that touch are two.
    text = f"site,rise_utc,duration_s\na,{time},60\na,2026-08-22T14:03:03.5Z,60\n"
    windows = orbit.parse_windows(text, start=START).windows
    assert windows.rise_s.tolist() == [7323.5, 7383.5]
    assert windows.set_s.tolist() == [7383.5, 7443.5]


@pytest.mark.parametrize(("culminate", "over"), [("12:01:00", False), ("11:59:00", True)])
def test_windows_open_at_the_start_are_clipped_and_earlier_ones_left_out(culminate, over):
    found = orbit.parse_windows(
        "site,rise_utc,culminate_utc,set_utc,max_elevation_deg,min_slant_range_km,"
        "rise_azimuth_deg,culminate_range_rate_km_s,set_azimuth_deg,culminations,sgp4_error\n"
        f"a,2026-08-22T11:55:00Z,2026-08-22T{culminate}Z,2026-08-22T12:05:00Z,"
        "40,900,10,0.5,200,1,true\n"
        "b,2026-08-22T11:00:00Z,,2026-08-22T12:00:00Z,40,900,10,0.5,200,1,\n",
        start=START,
    )
    (window,), windows = zip(*vars(found.windows).values(), strict=True), found.windows
    assert found.sites == ["a", "b"] and len(window) == len(fields(windows))
    assert (windows.rise_s[0], windows.set_s[0], windows.set_azimuth_deg[0]) == (0.0, 300.0, 200.0)
    assert (windows.clipped_start[0], windows.clipped_end[0], windows.sgp4_error[0]) == (1, 0, 0)
    assert np.isnan(windows.rise_azimuth_deg[0])
    # What culminated before the start has no known height.
    highest = [windows.max_elevation_deg[0], windows.min_slant_range_km[0],
               windows.culminate_range_rate_km_s[0]]  # fmt: skip
    np.testing.assert_array_equal(highest, [np.nan] * 3 if over else [40.0, 900.0, 0.5])
    top = windows.culminate_s[0], windows.culminations[0]
    assert top == ((0.0, 0) if over else (60.0, 1))


HEAD = "site,rise_utc,set_utc\n"
ROW = "a,2026-08-22T12:00:00Z,2026-08-22T12:05:00Z\n"


def test_what_rounding_puts_outside_is_taken():
    for top, kept_s in (("12:00:00.000", 0.001), ("12:00:00.5", 0.5), ("12:00:01.001", 1.0005)):
        text = "site,rise_utc,culminate_utc,duration_s\na,2026-08-22T12:00:00.001Z,"
        text += f"2026-08-22T{top}Z,0.9995\n"
        assert orbit.parse_windows(text, start=START).windows.culminate_s.tolist() == [kept_s]
    for duration in ("", "nan", "299.0", "301", "3.00e2"):
        windows = orbit.parse_windows(f"duration_s,{HEAD}{duration},{ROW}", start=START).windows
        assert windows.set_s.tolist() == [300.0]


PLACE = "latitude_deg,longitude_deg\n"
TABLES = {
    orbit.read_windows: [
        ("", 1, "no rows found; give a header line"),
        (HEAD, 1, "no rows found"),
        ("station,rise_utc,set_utc\n" + ROW, 1,
         'no column site; add it, or say by columns={"site": "..."} what it is called here'),
        ("site,rise_utc,set\n" + ROW, 1, "no column set_utc or duration_s"),
        (HEAD + ROW + "a,2026-08-22T12:10:00,2026-08-22T12:15:00Z", 3,
         "rise_utc '2026-08-22T12:10:00' has no time zone; append Z if it is UTC"),
        (HEAD + "a,yesterday,2026-08-22T12:15:00Z", 2, "rise_utc 'yesterday' is not a time"),
        (HEAD + "a,31 Jun 2026 00:00:00,2026-08-22T12:15:00Z", 2, "day is out of range"),
        (HEAD + "a,30 Jun 2026 23:59:60,2026-08-22T12:15:00Z", 2, "seconds go up to 59.999"),
        (HEAD + "a,2026-08-22T12:15:00Z,2026-08-22T12:15:00Z", 2, "not after it rises"),
        (HEAD + ROW + "\n# again\nb" + ROW[1:] + "a,2026-08-22T12:04:59Z,2026-08-22T12:09:00Z", 6,
         "the window overlaps that of line 2, of the same satellite and site"),
        (HEAD + ROW + "a,2026-08-22T11:59:59Z,2026-08-22T12:09:00Z", 3, "overlaps that of line 2"),
        (HEAD + "," + ROW[2:], 2, "site is empty"),
        (HEAD + "a,0001-01-01T00:00:00+02:00,2026-08-22T12:15:00Z", 2, "is not in 1957 to 2156"),
        ("site,rise_utc,duration_s\na,2026-08-22T12:00:00Z,0", 2, "not after it rises"),
        ("site,rise_utc,duration_s\na,2026-08-22T12:00:00Z,1e10", 2, "is outside 0 to 1e+09"),
        ("duration_s," + HEAD + "301.1," + ROW, 2, "the window sets 300 s after it rises, but "
         "duration_s says 301.1; correct one of them, or leave duration_s out"),
        ("duration_s," + HEAD + "five," + ROW, 2, "duration_s 'five' is not a number"),
        ("site,rise_utc,culminate_utc,set_utc\na,2026-08-22T12:00:00Z,2026-08-22T12:06:00Z,"
         "2026-08-22T12:05:00Z", 2, "culminates at 2026-08-22 12:06:00+00:00, outside it"),
        ("max_elevation_deg," + HEAD + "91," + ROW, 2, "max_elevation_deg 91.0 is outside -90 to"),
        ("clipped_end," + HEAD + "maybe," + ROW, 2, "clipped_end 'maybe' is not a flag"),
        ("culminations," + HEAD + "1.5," + ROW, 2, "culminations '1.5' is not a count"),
    ],
    orbit.read_sites: [
        ("# only this\n\n", 1, "no rows found"),
        ("\n" + PLACE, 2, "no rows found"),
        ("latitude,longitude_deg\n1,2", 1, "column 'latitude' is unknown; did you mean 'latitude_"),
        ("latitude_deg,longitude_deg,colour\n1,2,3", 1, "'colour' is unknown; there are 'name', "),
        ("latitude_deg,name\n1,x", 1, "column 'longitude_deg' is missing; add it"),
        ("latitude_deg,longitude_deg,latitude_deg\n1,2,1", 1, "'latitude_deg' comes twice"),
        ("latitude_deg;longitude_deg\n1;2", 1, "not separated by commas"),
        ("latitude_deg\tlongitude_deg\n1\t2", 1, "not separated by commas; save the table with"),
        ('name,latitude_deg,longitude_deg\n"a\nb",1,2', 3, "characters that cannot be shown"),
        (PLACE + "1,2\n\n91,2", 4, "latitude_deg 91.0 is outside -90 to 90"),
        (PLACE + "1,360", 2, "longitude_deg 360.0 is outside"),
        (PLACE + ",2", 2, "latitude_deg '' is not a number"),
        (PLACE + "1_0,2", 2, "latitude_deg '1_0' is not a number"),
        (PLACE + "1,2,3", 2, "cells in the row: 3, in the header: 2"),
        ("name,latitude_deg,longitude_deg\na,1,2\n,3,4", 3, "name is empty; give a name"),
        ("name,latitude_deg,longitude_deg\na,1,2\na,3,4", 3, "site 'a' is there already"),
        ('name,latitude_deg,longitude_deg\n"a,1,2\nb,3,4', 3, "check the quotation marks"),
        (PLACE + "\0", 1, "a binary file, and only CSV is read; save the table as CSV"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("read", "text", "line", "words"),
    [(read, *row) for read, rows in TABLES.items() for row in rows],
)
def test_every_mistake_is_one_line_that_names_its_place(written, read, text, line, words):
    path = written(text)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}:{line}: ") as caught:
        read(path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


CELLS = [
    "a", "", "2026-08-22T12:00:00Z", "2026-08-22T12:05:00Z", "2026-08-22 12:00", "#",
    "22 Aug 2026 12:01:00", "31 Feb 2026 24:00:00.5", "9999-12-31T23:59:59Z", "1e999", "-1", "nan",
    "true", '"', "\x00", "é\u2028", "\t", "47.5", "-", ";",
]  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from(CELLS), min_size=2, max_size=5), max_size=4))
def test_whatever_is_written_the_mistake_is_one_line(written, rows):
    for head, read in ((HEAD, orbit.read_windows), (PLACE, orbit.read_sites)):
        path = written(head + "\n".join(map(",".join, rows)))
        try:
            assert read(path)
        except ValueError as error:
            assert re.fullmatch(rf"{re.escape(str(path))}:\d+: .*; .*", str(error))


def test_starts_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="no time zone"):
        orbit.parse_windows(HEAD + ROW, start=START.replace(tzinfo=None))
    with pytest.raises(ValueError, match="all windows end before start 2026-08-23T12:00:00Z"):
        orbit.parse_windows(HEAD + ROW, start=START + DAY)


# Site files.

GOOD = """\
# stations of the north
name,latitude_deg,longitude_deg,altitude_m,min_elevation_deg

Zurich,47.37,8.54,408,10
 "Svalbard, Platåberget", 78.23 ,15.39,,

  # and of "the south, with commas
Troll,-72.01,2.53,1270,5.5
"""


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_sites_are_read_in_order_with_comments_and_blanks(written, line_end):
    for encoding in ("utf-8", "utf-8-sig"):
        assert orbit.read_sites(written(GOOD.replace("\n", line_end), encoding)) == [
            orbit.Site("Zurich", 47.37, 8.54, 408.0, 10.0),
            orbit.Site("Svalbard, Platåberget", 78.23, 15.39),
            orbit.Site("Troll", -72.01, 2.53, 1270.0, 5.5),
        ]
    path = written(f"longitude_deg , latitude_deg{line_end} 8.5, 47{line_end}1e1,-3")
    assert orbit.read_sites(str(path)) == [
        orbit.Site("0", 47.0, 8.5), orbit.Site("1", -3.0, 10.0),
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"table.csv:1: not UTF-8 text .* save the table as CSV"):
        orbit.read_sites(written(GOOD, "latin-1"))


sites = st.builds(
    orbit.Site,
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1).filter(
        lambda name: not name.startswith("#")
    ),
    st.floats(-90, 90),
    st.floats(-180, 360, exclude_max=True),
    st.floats(-500, 9000),
    st.none() | st.floats(0, 90, exclude_max=True),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(sites, min_size=1, max_size=8, unique_by=lambda site: site.name))
def test_what_the_csv_module_writes_is_read_back_exactly(written, places):
    names = [column.name for column in fields(orbit.Site)]
    columns = {name: [getattr(place, name) for place in places] for name in names}
    assert orbit.read_sites(written(_csv(columns))) == places


# Windows themselves, slots, and coverage.


def test_windows_that_cannot_be_are_refused():
    columns = vars(windows_of([(0, 0, 0, 1), (0, 1, 2, 3)]))
    for change, words in (
        ({"set_s": np.array([0.0, 3.0])}, "window 0 rises at 0.0 s, sets at 0.0 s"),
        ({"rise_s": np.array([0.0, np.nan])}, "times must be finite"),
        ({"site": np.array([0])}, "site has shape"),
        ({"rise_s": np.array([0.5, 0.0])}, "not sorted"),
        ({"rise_s": np.zeros(2), "site": np.array([1, 0])}, "not sorted by rise_s, satellite"),
    ):
        with pytest.raises(ValueError, match=words):
            orbit.ContactWindows(**{**columns, **change})


@given(st.integers(1, 8), st.floats(1e-3, 1e4), st.integers(0, 3), st.integers(1, 40))
def test_slots_come_in_turn_at_exact_multiples_and_cover_every_site_alike(
    sites, slot_s, idle, cycles
):
    windows = orbit.slot_windows(sites, slot_s, idle, cycles)
    assert windows.site.tolist() == list(range(sites)) * cycles
    cycle, site = np.divmod(np.arange(sites * cycles), sites)
    slot = cycle * (sites + idle) + site
    np.testing.assert_array_equal(windows.rise_s, slot * slot_s)
    np.testing.assert_array_equal(windows.set_s, (slot + 1) * slot_s)
    assert ((windows.rise_s < windows.culminate_s) & (windows.culminate_s < windows.set_s)).all()
    assert (windows.max_elevation_deg == 90).all() and np.isnan(windows.min_slant_range_km).all()
    span_s = (sites + idle) * cycles * slot_s
    found = orbit.coverage(windows, sites, span_s)
    assert (found.passes == cycles).all()
    np.testing.assert_allclose(found.passes_per_day, DAY_S / ((sites + idle) * slot_s))
    np.testing.assert_allclose([found.mean_duration_s, found.longest_duration_s], slot_s, rtol=1e-9)
    np.testing.assert_allclose(found.in_view_fraction, 1 / (sites + idle), atol=1e-9)
    if cycles > 1:
        gap_s = (sites + idle - 1) * slot_s
        np.testing.assert_allclose(found.longest_gap_s, gap_s, rtol=1e-9, atol=1e-9 * span_s)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 60.0, 0, 1), "sites 0"),
        ((1, 0.0, 0, 1), "slot_s 0.0"),
        ((1, 60.0, -1, 1), "idle -1"),
        ((1, 60.0, 0, 0), "cycles 0"),
    ],
)
def test_impossible_slots_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        orbit.slot_windows(*arguments)


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
        lasts = [b - a for a, b in mine]
        assert found.passes[site] == len(mine)
        assert found.passes_per_day[site] == pytest.approx(len(mine) * DAY_S / span_s)
        assert found.in_view_fraction[site] == pytest.approx(sum(seen) / span_s, abs=1e-12)
        assert found.longest_gap_s[site] == max(map(len, gaps))
        mean_s = sum(lasts) / len(lasts) if lasts else np.nan
        assert found.mean_duration_s[site] == pytest.approx(mean_s, nan_ok=True)
        assert found.longest_duration_s[site] == pytest.approx(
            max(lasts, default=np.nan), nan_ok=True
        )


def test_a_circle_over_the_equator_is_in_view_for_the_share_that_geometry_says():
    # Spherical closed form: the Earth central angle is acos(R cos(e) / r) - e on either side, and
    # the satellite laps the turning Earth at its mean motion less the Earth's.
    satellite = orbit.circular_satellite("equatorial", 1400, 0.0, 0.0, 0.0, START)
    site, days = orbit.Site("equator", 0.0, 30.0), 10
    windows = orbit.contact_windows([satellite], [site], START, START + days * DAY, 10.0)
    found = orbit.coverage(windows, 1, days * DAY_S)
    radius_km, mask = 6378.137 + 1400, np.radians(10.0)
    angle = np.arccos(6378.137 / radius_km * np.cos(mask)) - mask
    lap_rad_s = np.sqrt(398600.4418 / radius_km**3) - 7.292115e-5
    assert found.in_view_fraction[0] == pytest.approx(angle / np.pi, rel=0.01)
    assert found.passes_per_day[0] == pytest.approx(DAY_S * lap_rad_s / (2 * np.pi), rel=0.01)
    assert found.longest_duration_s[0] == pytest.approx(2 * angle / lap_rad_s, rel=0.01)
    assert found.longest_gap_s[0] == pytest.approx((2 * np.pi - 2 * angle) / lap_rad_s, rel=0.01)


@pytest.mark.parametrize(
    ("sites", "span_s", "words"),
    [
        (3, 30.0, "windows reach site 3 .* beyond 3 sites"),
        (4, 5.0, "from 0.0 s to 10.0 s, beyond 4 sites and span_s 5.0"),
        (4, 0.0, "span_s 0.0 is not a positive"),
        (4, float("nan"), "span_s nan is not finite; give a positive number of seconds"),
        (4, "86400", "span_s '86400' is not a number; give a positive number of seconds"),
        ("4", 30.0, "sites '4' is not a whole number"),
    ],
)
def test_windows_of_other_sites_or_spans_are_refused(sites, span_s, words):
    with pytest.raises(ValueError, match=words):
        orbit.coverage(windows_of([(0, 3, 0, 10)]), sites, span_s)
    with pytest.raises(ValueError, match=r"from -5.0 s to 10.0 s"):
        orbit.coverage(windows_of([(0, 0, -5, 10)]), 1, 30.0)
