"""Windows from CSV: our own export and run folders read back, and other tools' tables."""

import csv
import io
import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit
from tests.kit.orbit import parse_windows

START = datetime(2026, 8, 22, 12, tzinfo=UTC)
SATELLITES, SITES = ["A-1", "B, the second"], ["Troll", "Zürich", "élan"]
GEOMETRY = [
    column.name
    for column in fields(orbit.ContactWindows)
    if column.name.endswith(("_deg", "_km", "_km_s"))
]
FLAGS = ["clipped_start", "clipped_end", "sgp4_error"]


@st.composite
def plans(draw):
    """Windows between two satellites and three sites; those of a pair are 1 ms apart or more."""
    rows = []
    for satellite in range(2):
        for site in range(3):
            edges = sorted(draw(st.sets(st.integers(0, 10**8), max_size=8)))
            for a, b in zip(edges[::2], edges[1::2], strict=False):
                late = draw(st.floats(0, 0.0009))
                rows.append((a / 1000 + late, satellite, site, b / 1000 + late))
    rows.sort()
    rise_s, satellite, site, set_s = np.array(rows, dtype=float).reshape(-1, 4).T
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    known = {name: rng.uniform(0, 90, len(rows)) for name in GEOMETRY}
    known["max_elevation_deg"][rng.random(len(rows)) < 0.2] = np.nan
    return orbit.ContactWindows(
        satellite=satellite.astype(int), site=site.astype(int), rise_s=rise_s, set_s=set_s,
        culminate_s=rise_s + rng.random(len(rows)) * (set_s - rise_s), **known,
        culminations=rng.integers(0, 4, len(rows)),
        **{name: rng.random(len(rows)) < 0.5 for name in FLAGS},
    )  # fmt: skip


def _iso(times_s):
    stamps = [START + timedelta(seconds=float(t)) for t in times_s]
    return [f"{stamp.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z" for stamp in stamps]


def _columns(windows):
    """The columns of an export."""
    return {
        "satellite": [SATELLITES[i] for i in windows.satellite],
        "site": [SITES[i] for i in windows.site],
        "rise_utc": _iso(windows.rise_s),
        "culminate_utc": _iso(windows.culminate_s),
        "set_utc": _iso(windows.set_s),
        "duration_s": windows.set_s - windows.rise_s,
        **{name: getattr(windows, name) for name in (*GEOMETRY, "culminations", *FLAGS)},
    }


def _csv(columns):
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(columns)
    rows.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def _assert_same(found, windows, satellites=SATELLITES, sites=SITES, atol_s=1.001e-3):
    """The same windows by names and times since START, whatever their indices."""
    late_s = (found.start - START).total_seconds()
    read, names = found.windows, (found.satellites, found.sites)
    here = [(names[0][a], names[1][b]) for a, b in zip(read.satellite, read.site, strict=True)]
    there = [
        (satellites[a], sites[b]) for a, b in zip(windows.satellite, windows.site, strict=True)
    ]
    assert len(read) == len(windows)
    # Rises less than 1 ms apart may change places.
    mine = sorted(range(len(read)), key=lambda k: (here[k], read.rise_s[k]))
    theirs = sorted(range(len(windows)), key=lambda k: (there[k], windows.rise_s[k]))
    assert [here[k] for k in mine] == [there[k] for k in theirs]
    for name in ("rise_s", "culminate_s", "set_s"):
        times_s = getattr(read, name)[mine] + late_s
        np.testing.assert_allclose(times_s, getattr(windows, name)[theirs], rtol=0, atol=atol_s)
    for name in (*GEOMETRY, "culminations", *FLAGS):
        np.testing.assert_array_equal(getattr(read, name)[mine], getattr(windows, name)[theirs])


@given(plans().filter(len), st.randoms())
def test_an_export_is_read_back_to_the_millisecond(windows, random):
    head, *rows = _csv(_columns(windows)).splitlines(keepends=True)
    random.shuffle(rows)
    _assert_same(parse_windows(head + "".join(rows), start=START), windows)
    _assert_same(parse_windows(head + "".join(rows)), windows)


def test_what_the_finder_and_the_table_say_is_read_back(satellites, sites, start, tmp_path):
    chosen = [satellites[4], satellites[9]]
    end = start + timedelta(days=1)
    windows = orbit.contact_windows(chosen, sites, start, end, 5.0)
    table = orbit.find_contacts(chosen, sites, start, end, 5.0)
    path = tmp_path / "contacts.csv"
    table.to_csv(path, index=False)
    names = [s.name for s in chosen], [s.name for s in sites]
    shared = [c for c in (*GEOMETRY, "culminations", *FLAGS) if c in table.columns]
    assert {"max_elevation_deg", "rise_range_rate_km_s", "clipped_end"} <= set(shared)
    found = orbit.read_windows(path, start)
    assert found.satellites == sorted(names[0])
    assert found.sites == sorted({names[1][k] for k in windows.site})
    order = np.lexsort((
        [names[1][k] for k in windows.site], [names[0][k] for k in windows.satellite],
        windows.rise_s,
    ))  # fmt: skip
    for name in ("rise_s", "culminate_s", "set_s"):
        # The table holds nanoseconds; Python's clock, and so ours, microseconds.
        np.testing.assert_allclose(
            getattr(found.windows, name), getattr(windows, name)[order], rtol=0, atol=2e-6
        )
    for name in shared:
        np.testing.assert_allclose(
            getattr(found.windows, name), getattr(windows, name)[order], rtol=1e-12
        )


def test_the_run_folders_contacts_table_is_read_back(tmp_path):
    rise = pd.Timestamp("2026-08-22T14:02:03.250", tz="UTC")
    table = pd.DataFrame({
        "contact_id": [0, 1], "satellite": ["c", "c"], "norad_id": [None, None],
        "cluster": ["north", "south"], "rise_utc": [rise, rise + timedelta(minutes=40)],
        "culminate_utc": [rise + timedelta(minutes=2), rise + timedelta(minutes=44)],
        "set_utc": [rise + timedelta(minutes=5), rise + timedelta(minutes=49)],
        "rise_s": [7323.25, 9723.25], "set_s": [7623.25, 10263.25], "duration_s": [300.0, 540.0],
        "max_elevation_deg": [30.0, 70.5], "min_slant_range_km": [None, 700.0],
        "uplink_capacity_bytes_per_device": [1e6, 2e6], "served": [True, False],
    })  # fmt: skip
    path = tmp_path / "contacts.csv"
    table.to_csv(path, index=False)
    found = orbit.read_windows(str(path), START)
    assert (found.satellites, found.sites) == (["c"], ["north", "south"])
    assert found.windows.rise_s.tolist() == [7323.25, 9723.25]
    assert found.windows.set_s.tolist() == [7623.25, 10263.25]
    assert found.windows.culminate_s.tolist() == [7443.25, 9963.25]
    assert found.windows.max_elevation_deg.tolist() == [30.0, 70.5]
    np.testing.assert_array_equal(found.windows.min_slant_range_km, [np.nan, 700.0])
    assert not found.windows.clipped_start.any()


STK = """\
"Access","Station","Start Time (UTCG)","Stop Time (UTCG)","Duration (sec)"
1,Zurich,22 Aug 2026 14:02:03.123,22 Aug 2026 14:08:00.000,356.877
2,Zurich,1 Sep 2026 00:59:59.5,1 Sep 2026 01:08:00.1234567,480.623
1,Troll,22 Aug 2026 14:02:04,22 Aug 2026 14:09:00,416
"""
STK_COLUMNS = {"site": "Station", "rise_utc": "Start Time (UTCG)", "set_utc": "Stop Time (UTCG)"}


def test_another_tools_columns_are_mapped_by_name():
    found = parse_windows(STK, columns=STK_COLUMNS)
    assert (found.satellites, found.sites) == (["satellite"], ["Troll", "Zurich"])
    assert found.start == datetime(2026, 8, 22, 14, 2, 3, 123000, tzinfo=UTC)
    assert found.windows.site.tolist() == [1, 0, 1]
    np.testing.assert_allclose(found.windows.rise_s[:2], [0.0, 0.877])
    np.testing.assert_allclose(found.windows.set_s[:2], [356.877, 416.877])
    late = datetime(2026, 9, 1, 0, 59, 59, 500000, tzinfo=UTC) - found.start
    assert found.windows.rise_s[2] == late.total_seconds()
    lasts = found.windows.set_s - found.windows.rise_s
    np.testing.assert_allclose(lasts, [356.877, 416.0, 480.623457])
    np.testing.assert_allclose(found.windows.culminate_s, found.windows.rise_s + lasts / 2)
    for name in GEOMETRY:
        assert np.isnan(getattr(found.windows, name)).all()
    assert (found.windows.culminations == 0).all()
    by_duration = {**STK_COLUMNS, "duration_s": "Duration (sec)"}
    del by_duration["set_utc"]
    same = parse_windows(STK, columns=by_duration)
    np.testing.assert_allclose(same.windows.set_s, found.windows.set_s, atol=1e-3)


@pytest.mark.parametrize(
    "written",
    ["2026-08-22T14:02:03.500Z", "2026-08-22 14:02:03.5+00:00", "2026-08-22T16:02:03.5+02:00",
     "20260822T140203.5Z", "2026-08-22 14:02:03.500 UTC", "2026-08-22T14:02:03.500000000Z"],
)  # fmt: skip
def test_iso_times_with_a_zone_are_read(written):
    found = parse_windows(f"site,rise_utc,duration_s\na,{written},60\n", start=START)
    assert found.windows.rise_s[0] == 7323.5
    assert found.windows.set_s[0] == 7383.5


def _open_at_start(culminate):
    return (
        "site,rise_utc,culminate_utc,set_utc,max_elevation_deg,min_slant_range_km,"
        "rise_azimuth_deg,culminate_range_rate_km_s,set_azimuth_deg,culminations,sgp4_error\n"
        f"a,2026-08-22T11:55:00Z,2026-08-22T{culminate}Z,2026-08-22T12:05:00Z,"
        "40,900,10,0.5,200,1,true\n"
        "b,2026-08-22T11:00:00Z,,2026-08-22T12:00:00Z,40,900,10,0.5,200,1,\n"
    )


def test_windows_open_at_the_start_are_clipped_and_earlier_ones_left_out():
    found = parse_windows(_open_at_start("12:01:00"), start=START)
    assert found.sites == ["a", "b"]
    windows = found.windows
    assert (windows.rise_s[0], windows.culminate_s[0], windows.set_s[0]) == (0.0, 60.0, 300.0)
    assert windows.clipped_start.tolist() == [True]
    assert windows.clipped_end.tolist() == windows.sgp4_error.tolist() == [False]
    assert np.isnan(windows.rise_azimuth_deg[0])
    assert (windows.max_elevation_deg[0], windows.min_slant_range_km[0]) == (40.0, 900.0)
    assert (windows.set_azimuth_deg[0], windows.culminations[0]) == (200.0, 1)


def test_what_culminated_before_the_start_has_no_known_height():
    windows = parse_windows(_open_at_start("11:59:00"), start=START).windows
    assert (windows.rise_s[0], windows.culminate_s[0], windows.culminations[0]) == (0.0, 0.0, 0)
    unknown = [windows.max_elevation_deg, windows.min_slant_range_km]
    assert np.isnan([*unknown, windows.culminate_range_rate_km_s]).all()
    assert windows.set_azimuth_deg[0] == 200.0


@pytest.mark.parametrize(
    ("top", "kept_s"), [("12:00:00.000", 0.001), ("12:00:00.5", 0.5), ("12:00:01.001", 1.0005)]
)
def test_a_culmination_that_rounding_puts_outside_is_kept_inside(top, kept_s):
    text = (
        "site,rise_utc,culminate_utc,duration_s\n"
        f"a,2026-08-22T12:00:00.001Z,2026-08-22T{top}Z,0.9995\n"
    )
    assert parse_windows(text, start=START).windows.culminate_s.tolist() == [kept_s]


@pytest.mark.parametrize("duration", ["", "nan", "300", "299.0", "301", "3.00e2"])
def test_a_duration_beside_the_set_need_agree_to_a_second_only(duration):
    windows = parse_windows(f"duration_s,{HEAD}{duration},{ROW}", start=START).windows
    assert windows.set_s.tolist() == [300.0]


def test_windows_that_touch_are_two():
    text = "site,rise_utc,duration_s\na,2026-08-22T12:00:00Z,60\na,2026-08-22T12:01:00Z,60\n"
    assert len(parse_windows(text).windows) == 2


HEAD = "site,rise_utc,set_utc\n"
ROW = "a,2026-08-22T12:00:00Z,2026-08-22T12:05:00Z\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "no rows found"),
        (HEAD, 1, "no rows found"),
        ("station,rise_utc,set_utc\n" + ROW, 1,
         'no column site; add it, or say by columns={"site": "..."} what it is called here'),
        ("site,rise,set_utc\n" + ROW, 1, "no column rise_utc"),
        ("site,rise_utc,set\n" + ROW, 1, "no column set_utc or duration_s"),
        (HEAD + ROW + "a,2026-08-22T12:10:00,2026-08-22T12:15:00Z", 3,
         "rise_utc '2026-08-22T12:10:00' has no time zone; append Z if it is UTC"),
        (HEAD + "a,yesterday,2026-08-22T12:15:00Z", 2, "rise_utc 'yesterday' is not a time"),
        (HEAD + "a,,2026-08-22T12:15:00Z", 2, "rise_utc '' is not a time"),
        (HEAD + "a,2026-08-22,2026-08-23", 2, "has no time zone"),
        (HEAD + "a,31 Jun 2026 00:00:00,2026-08-22T12:15:00Z", 2, "day is out of range"),
        (HEAD + "a,30 Jun 2026 23:59:60,2026-08-22T12:15:00Z", 2, "seconds go up to 59.999"),
        (HEAD + "a,2026-08-22T12:15:00Z,2026-08-22T12:15:00Z", 2, "not after it rises"),
        (HEAD + ROW + "\n# again\nb" + ROW[1:] + "a,2026-08-22T12:04:59Z,2026-08-22T12:09:00Z", 6,
         "the window overlaps that of line 2, of the same satellite and site"),
        (HEAD + ROW + "a,2026-08-22T11:59:59Z,2026-08-22T12:09:00Z", 3, "overlaps that of line 2"),
        (HEAD + "," + ROW[2:], 2, "site is empty"),
        (HEAD + "a,0001-01-01T00:00:00+02:00,2026-08-22T12:15:00Z", 2, "is not in 1957 to 2156"),
        ("site,rise_utc,duration_s\na,2026-08-22T12:00:00Z,0", 2, "not after it rises"),
        ("site,rise_utc,duration_s\na,2026-08-22T12:00:00Z,-1e99", 2, "duration_s -1e+99 is outs"),
        ("site,rise_utc,duration_s\na,2026-08-22T12:00:00Z,1e10", 2, "is outside 0 to 1e+09"),
        ("site,rise_utc,duration_s\na,2026-08-22T12:00:00Z,long", 2, "duration_s 'long' is not"),
        ("duration_s," + HEAD + "10," + ROW, 2, "the window sets 300 s after it rises, but "
         "duration_s says 10; correct one of them, or leave duration_s out"),
        ("duration_s," + HEAD + "301.1," + ROW, 2, "but duration_s says 301.1; correct one"),
        ("duration_s," + HEAD + "five," + ROW, 2, "duration_s 'five' is not a number"),
        ("site,rise_utc,culminate_utc,set_utc\na,2026-08-22T12:00:00Z,2026-08-22T12:06:00Z,"
         "2026-08-22T12:05:00Z", 2, "culminates at 2026-08-22 12:06:00+00:00, outside it"),
        ("max_elevation_deg," + HEAD + "91," + ROW, 2, "max_elevation_deg 91.0 is outside -90 to"),
        ("rise_azimuth_deg," + HEAD + "east," + ROW, 2, "rise_azimuth_deg 'east' is not a number"),
        ("clipped_end," + HEAD + "maybe," + ROW, 2, "clipped_end 'maybe' is not a flag"),
        ("culminations," + HEAD + "1.5," + ROW, 2, "culminations '1.5' is not a count"),
    ],
)  # fmt: skip
def test_every_mistake_is_one_line_that_names_its_place(tmp_path, text, line, words):
    path = tmp_path / "windows.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}:{line}: ") as caught:
        orbit.read_windows(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.lists(
        st.lists(
            st.sampled_from([
                "a", "", "2026-08-22T12:00:00Z", "2026-08-22T12:05:00Z", "2026-08-22 12:00",
                "22 Aug 2026 12:01:00", "31 Feb 2026 24:00:00.5", "9999-12-31T23:59:59Z", "1e999",
                "-1", "nan", "true", '"', "\x00", "#", "é\u2028", "\t",
            ]),
            min_size=4, max_size=5,
        ),
        max_size=4,
    )
)  # fmt: skip
def test_whatever_is_written_the_mistake_is_one_line(rows):
    text = "site,rise_utc,set_utc,culminations\n" + "\n".join(map(",".join, rows))
    try:
        assert len(parse_windows(text, "x.csv").windows)
    except ValueError as error:
        assert re.match(r"x.csv:\d+: .*; .*$", str(error))


def test_day_first_times_need_a_header_that_says_utc():
    local = STK.replace("UTCG", "LCLG")
    columns = {ours: theirs.replace("UTCG", "LCLG") for ours, theirs in STK_COLUMNS.items()}
    with pytest.raises(ValueError, match=r":2: Start Time \(LCLG\) .* has no time zone; if it is"):
        parse_windows(local, "stk.csv", columns=columns)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"rise": "Start"}, "columns: 'rise' is no column of windows; did you mean 'rise_utc'?"),
        ({"site": "Staton"}, "stk.csv:1: column 'Staton' is missing; did you mean 'Station'?"),
    ],
)
def test_columns_that_are_not_there_are_refused(columns, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_windows(STK, "stk.csv", columns=columns)


def test_starts_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="no time zone"):
        parse_windows(HEAD + ROW, start=START.replace(tzinfo=None))
    with pytest.raises(ValueError, match="all windows end before start 2026-08-23T12:00:00Z"):
        parse_windows(HEAD + ROW, start=START + timedelta(days=1))
