"""Tables of windows as tools write them: zones, units, separators, absent cells, names."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit
from tests.kit.skies import refused

RISE = datetime(2026, 3, 29, 20, 56, 12, 192000, tzinfo=UTC)
FORMS = (
    "2026-03-29T20:56:12.192", "2026-03-29 20:56:12.192", "20260329T205612.192",
    "29 Mar 2026 20:56:12.192", "29-Mar-2026 20:56:12.192", "2026 Mar 29 20:56:12.192",
    "2026/03/29 20:56:12.192", "29.03.2026 20:56:12.192", "2026-088T20:56:12.192",
    "Sun 29 March 2026 20:56:12.192", "29-MAR-2026 20:56:12.192", "29 mar 2026 20:56:12.192",
)  # fmt: skip
SAY_UTC = (
    "rise_utc",
    "AOS (UTC)",
    "Start Time (UTCG)",
    "AOS [Z]",
    "aos_gmt",
    "start_z",
    "AOS UTC+0",
)
SAY_NOT = ("AOS", "Start Time (LCLG)", "AOS (local)", "AOS (UTC+2)", "AOS (CET)", "rise gmt-5")


def _first(text, **asked):
    windows = orbit.parse_windows(text, "t.csv", **asked).windows
    return {name: values[0] for name, values in vars(windows).items()}


def _table(header, time):
    return f"site,{header},duration_s\nA,{time},60\n"


@pytest.mark.parametrize("time", FORMS)
def test_a_header_that_says_utc_holds_for_every_form_of_date(time):
    for header in SAY_UTC:
        found = orbit.parse_windows(_table(header, time), columns={"rise_utc": header})
        assert found.start == RISE, header
    for header in SAY_NOT:
        words = r"t\.csv:2: .* has no time zone; if it is UTC, append Z or say so in the header"
        refused(words, _first, _table(header, time), columns={"rise_utc": header})
        for end in ("Z", " UTC", "+00:00"):
            if time[0] == "2" and end == "+00:00" and "Mar" in time:
                continue
            found = orbit.parse_windows(_table(header, time + end), columns={"rise_utc": header})
            assert found.start == RISE


@pytest.mark.parametrize(
    "time", ["2026-03-29", "20260329", "03/29/2026 20:56:12", "20:56", "46110.87"]
)
def test_a_time_that_says_no_day_or_no_hour_is_refused(time):
    refused(r"t\.csv:2: .* is not a time; write it like 2026-", _first, _table("rise_utc", time))


@pytest.mark.parametrize("header", ["AOS (TAI)", "rise_gps", "riseTai", "GPST", "Start [TT]"])
def test_a_header_of_another_scale_is_refused_whatever_zone_the_cells_have(header):
    for end in ("", "Z", " UTC", "+00:00"):
        time = f"2026-03-29T20:56:12{end}"
        words = r"t\.csv:2: .* the header says (TAI|GPS|GPST|TT), which is not UTC .* give the ti"
        refused(words, _first, _table(header, time), columns={"rise_utc": header})
    for other in ("tail rise_utc", "GPS rise (UTC)", "attempt [Z]"):
        found = orbit.parse_windows(_table(other, FORMS[0]), columns={"rise_utc": other})
        assert found.start == RISE


DURATIONS = (
    ("duration_min", "6", 360.0), ("Duration (min)", "6.5", 390.0), ("Dur [minutes]", "6", 360),
    ("Duration (sec)", "360.5", 360.5), ("Dur (hr)", "0.1", 360.0), ("durationHours", ".1", 360),
    ("duration_ms", "360000", 360.0), ("Duration", "360", 360.0), ("Dauer", "6 min", 360.0),
    ("Duration", "0:06:00.5", 360.5), ("Duration", "00:06:01", 361), ("Dur (mm:ss)", "6:01", 361),
    ("Duration", "0 days 00:06:01", 361), ("Duration", "PT6M1S", 361), ("pass minutes", "6", 360),
    ("Duration", "6m 12s", 372.0), ("Duration", "6m12.5s", 372.5), ("Duration (s)", "6m", 360.0),
    ("Duration", "1h 02m", 3720.0), ("Duration", "1 hr 2 min 3 sec", 3723.0), ("D", "PT1H", 3600),
    ("Duration", "P1DT0H1M", 86460.0), ("Duration", "1 d 2 h", 93600.0),
)  # fmt: skip


@pytest.mark.parametrize(("header", "cell", "seconds"), DURATIONS)
def test_a_duration_is_in_the_unit_of_its_header(header, cell, seconds):
    text = f"site,rise_utc,{header}\nA,2026-03-29T20:56:12,{cell}\n"
    assert _first(text, columns={"duration_s": header})["set_s"] == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "cell",
    ["0:10:75", "0:75:00", "7:01:99", "0 days 00:06:60", "12s 6m", "6m 6m", "6m 12", "6x 1s"],
)
def test_a_duration_of_no_such_time_is_refused(cell):
    text = f"site,rise_utc,Duration\nA,2026-03-29T20:56:12,{cell}\n"
    words = rf"t\.csv:2: Duration '{cell}'"
    refused(words, _first, text, columns={"duration_s": "Duration"})


ANGLES = [
    ("Max El (rad)", math.pi / 180),
    ("el_rad", math.pi / 180),
    ("max_el_deg", 1.0),
    ("°", 1.0),
]
RANGES = [
    ("Range (m)", 1000.0),
    ("range_km", 1.0),
    ("min range", 1.0),
    ("Range [miles]", 1 / 1.609344),
]


@given(st.sampled_from(ANGLES), st.sampled_from(RANGES), st.integers(1, 89), st.integers(300, 3000))
def test_elevations_and_ranges_are_in_the_units_of_their_headers(angle, length, degrees, range_km):
    header = f"site,rise_utc,set_utc,{angle[0]},{length[0]}"
    row = (
        f"A,2026-03-29T20:56:12,2026-03-29T20:57:12,{degrees * angle[1]!r},{range_km * length[1]!r}"
    )
    found = _first(
        f"{header}\n{row}\n",
        columns={"max_elevation_deg": angle[0], "min_slant_range_km": length[0]},
    )
    assert found["max_elevation_deg"] == pytest.approx(degrees, rel=1e-12)
    assert found["min_slant_range_km"] == pytest.approx(range_km, rel=1e-12)


@pytest.mark.parametrize(
    ("ours", "header", "words"),
    [
        ("duration_s", "Duration (km)", "'km' is no unit of time that is known; use s, min"),
        ("duration_s", "duration_m", "its header does not tell the unit; name it like"),
        ("duration_s", "Duration (fortnights)", "'fortnights' is no unit of time"),
        ("max_elevation_deg", "El (gon)", "'gon' is no unit of angle that is known; use deg"),
        ("min_slant_range_km", "Range (s)", "'s' is no unit of distance"),
    ],
)  # fmt: skip
def test_a_unit_that_is_not_known_is_refused_with_its_column(ours, header, words):
    text = f"site,rise_utc,set_utc,{header}\nA,2026-03-29T20:56:12,2026-03-29T20:57:12,1\n"
    refused(f"t.csv:1: column '.*' for {ours}: {words}", _first, text, columns={ours: header})


def test_minutes_that_are_rounded_agree_with_rise_and_set_and_others_do_not():
    text = "site,rise_utc,set_utc,d (min)\nA,2026-03-29T20:56:12,2026-03-29T21:03:00,{}\n"
    for good in ("7", "6.8", "6"):
        assert _first(text.format(good), columns={"duration_s": "d (min)"})["set_s"] == 408.0
    words = "t.csv:2: the window sets 408 s after it rises, but d .min. says 480 s"
    refused(words, _first, text.format("8"), columns={"duration_s": "d (min)"})
    refused(
        "t.csv:2: d .min. '6:48'", _first, text.format("6:48"), columns={"duration_s": "d (min)"}
    )


@pytest.mark.parametrize("nothing", ["", "null", "None", "NULL", "NaN", "n/a", "-"])
def test_cells_that_say_nothing_are_absent(nothing):
    header = (
        "site,rise_utc,culminate_utc,set_utc,duration_s,max_elevation_deg,culminations,clipped_end"
    )
    row = f"A,2026-03-29T20:56:12,{nothing},{nothing},60,{nothing},{nothing},{nothing}"
    found = _first(f"{header}\n{row}\n")
    assert (found["culminate_s"], found["set_s"], found["culminations"]) == (30.0, 60.0, 0)
    assert np.isnan(found["max_elevation_deg"]) and not found["clipped_end"]
    row = f"A,{nothing},,,60,,,"
    refused("t.csv:2: rise_utc is empty; give the time", _first, f"{header}\n{row}\n")
    row = f"A,2026-03-29T20:56:12,,,{nothing},,,"
    refused("t.csv:2: set_utc is empty; give when", _first, f"{header}\n{row}\n")
    if nothing not in ("n/a", "-"):  # which may be names
        words = "t.csv:2: site is empty; give a name"
        refused(words, _first, f"{header}\n{nothing},2026-03-29T20:56:12,,,60,,,\n")


GERMAN = """\
\ufeff"Satellit";"Aufgang (UTC)";"Dauer (min)";"Höhe (km)";
"ISS; Zarya";29.03.2026 20:56:12,192;6,5;417,25;

"ISS; Zarya";29.03.2026 22:30:00;5;"1.5e3";
"""
GPREDICT = """\
Upcoming passes for ISS
Observer: sample.qth, Copenhagen, Denmark

AOS (UTC)            LOS (UTC)            Duration  Max El  AOS Az
2026/03/29 20:56:12  2026/03/29 21:03:13  00:07:01   16.97  312.48
2026/03/29 22:30:00  2026/03/29 22:35:00  00:05:00    5.00  300.00
"""
TABS = "site\trise_utc\tset_utc\r\nA\t2026-03-29T20:56:12\t2026-03-29T20:57:12\r\n"


def test_tables_with_other_separators_and_lines_above_the_header_are_read():
    columns = {"satellite": "Satellit", "rise_utc": "Aufgang (UTC)", "duration_s": "Dauer (min)"}
    columns["min_slant_range_km"] = "Höhe (km)"
    for end in ("\n", "\r\n"):
        text = GERMAN.replace("\n", end)
        found = orbit.parse_windows(text, columns=columns, site="Bern")
        assert (found.satellites, found.sites, found.start) == (["ISS; Zarya"], ["Bern"], RISE)
        windows = found.windows
        np.testing.assert_allclose(windows.set_s - windows.rise_s, [390.0, 300.0])
        np.testing.assert_allclose(windows.min_slant_range_km, [417.25, 1500.0])
    found = orbit.parse_windows(TABS)
    assert (found.sites, found.windows.set_s.tolist()) == (["A"], [60.0])
    columns = {"rise_utc": "AOS (UTC)", "set_utc": "LOS (UTC)", "duration_s": "Duration"}
    columns["max_elevation_deg"] = "Max El"
    found = orbit.parse_windows(GPREDICT, columns=columns, site="Bern", satellite="ISS")
    assert (found.satellites, found.sites) == (["ISS"], ["Bern"])
    np.testing.assert_allclose(found.windows.set_s - found.windows.rise_s, [421.0, 300.0])
    assert found.windows.max_elevation_deg.tolist() == [16.97, 5.0]


STK = """\
Facility-Bern-To-Satellite-ISS
------------------------------
                  Access        Start Time (UTCG)           Stop Time (UTCG)        Duration (sec)
                  ------    ------------------------    ------------------------    --------------
                       1    29 Mar 2026 20:56:12.192    29 Mar 2026 21:02:42.192           390.000
                       2     1 Apr 2026 20:56:12.192     1 Apr 2026 21:01:12.192           300.000
"""


def test_a_line_of_dashes_below_the_header_is_no_row():
    columns = {"rise_utc": "Start Time (UTCG)", "set_utc": "Stop Time (UTCG)"}
    columns["duration_s"] = "Duration (sec)"
    found = orbit.parse_windows(STK, columns=columns, site="Bern")
    assert found.start == RISE
    np.testing.assert_allclose(found.windows.set_s - found.windows.rise_s, [390.0, 300.0])
    lines = STK.splitlines(keepends=True)
    text = "".join([*lines, lines[3]])
    refused(r"t\.csv:7: .* is not a time", _first, text, columns=columns, site="Bern")


def test_names_of_the_file_become_those_of_the_user():
    text = "satellite,site,rise_utc,duration_s\n25544,Zürich (ETH),2026-03-29T20:56:12,60\n"
    names = {"Zürich (ETH)": "Zurich", "25544": "ISS"}
    found = orbit.parse_windows(text, "t.csv", names=names)
    assert (found.satellites, found.sites) == (["ISS"], ["Zurich"])
    words = r"t.csv:1: names: 'Zürich' is no satellite or site here; did you mean 'Zürich \(ETH\)'"
    refused(words, _first, text, names={"Zürich": "Zurich"})


ROWS = [f"A,2026-03-29T{hour:02}:00:00,600" for hour in range(24)]
OVERLAPS = "A,2026-03-29T03:05:00,600"
WRONG = (
    "Global Statistics", 'A",x,2026-03-29T03:30:00,600', '"A,2026-03-29T03:30:00,600', "A,noon,600",
    "A,2026-03-29T03:30:00,-5", OVERLAPS, ",2026-03-29T03:30:00,600", "a" * 20_000,
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 24), st.sampled_from(WRONG)), max_size=6))
def test_bad_rows_are_left_out_and_nothing_that_is_right(placed):
    rows = [*ROWS]
    for place, wrong in sorted(placed, reverse=True):
        rows.insert(place, wrong)
    bad = []
    text = "\n".join(["site,rise_utc,duration_s", *rows, ""])
    found = orbit.parse_windows(text, "t.csv", on_bad=bad.append)
    assert found.windows.rise_s.tolist() == [3600.0 * hour for hour in range(24)]
    at = {int(str(error).split(":")[1]) for error in bad}
    wrong = {number for number, row in enumerate(rows, 2) if row in WRONG and row != OVERLAPS}
    assert wrong <= at and len(bad) == len(placed)
    if placed:
        refused(r"t\.csv:\d+: ", orbit.parse_windows, text, "t.csv")


def test_a_header_that_comes_again_is_left_out_only_where_rows_name_their_site_and_satellite():
    head = "rise_utc,set_utc"
    rows = [f"2026-03-29T2{hour}:00:00Z,2026-03-29T2{hour}:10:00Z" for hour in range(2)]
    report = "\n".join(["Observer: A", head, rows[0], "", "Observer: B", head, rows[1], ""])
    words = r"t\.csv:6: the header comes again, .* may be of another satellite or site"
    refused(words, orbit.parse_windows, report, "t.csv", site="A", on_bad=[].append)
    named = [f"satellite,site,{head}", f"X,A,{rows[0]}", f"satellite,site,{head}", f"X,B,{rows[1]}"]
    bad = []
    found = orbit.parse_windows("\n".join(named), "t.csv", on_bad=bad.append)
    assert (found.sites, len(bad)) == (["A", "B"], 1)


def test_a_table_without_a_good_row_is_refused():
    words = (
        "t.csv:1: no good row is left; the first bad one: t.csv:2: rise_utc 'noon' is not a time"
    )
    bad = []
    refused(
        words,
        orbit.parse_windows,
        "site,rise_utc,duration_s\nA,noon,6\n",
        "t.csv",
        on_bad=bad.append,
    )
    assert len(bad) == 1
