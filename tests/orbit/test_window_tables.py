"""Tables of windows as tools write them: zones, units, separators, absent cells, names."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit
from tests.kit.skies import CIRCLES, DAY, EIGHT_SITES, START, refused

RISE = datetime(2026, 3, 29, 20, 56, 12, 192000, tzinfo=UTC)
AT = "2026-03-29T20:56:12"
HEAD, NOON = "site,rise_utc,set_utc\n", "2026-08-22T12:"
ROW = f"a,{NOON}00:00Z,{NOON}05:00Z\n"
TIMES = ["rise_s", "culminate_s", "set_s"]


def _first(text, **asked):
    windows = orbit.parse_windows(text, "t.csv", **asked).windows
    return {name: values[0] for name, values in vars(windows).items()}


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
    path = tmp_path / "table.csv"
    table.sample(frac=1, random_state=1).to_csv(path, index=False)
    found = orbit.read_windows(path, start)
    told = _sorted(found.windows, found.satellites, found.sites)
    wanted = _sorted(windows, *([place.name for place in places] for places in asked[:2]))
    told[TIMES] += (found.start - START).total_seconds()
    np.testing.assert_allclose(told.pop(TIMES[0]), wanted.pop(TIMES[0]), rtol=0, atol=atol_s)
    pd.testing.assert_frame_equal(told, wanted, rtol=1e-12, atol=atol_s)


# What tools write.

STK = """\
Facility-Bern-To-Satellite-ISS
------------------------------
                  Access        Start Time (UTCG)           Stop Time (UTCG)        Duration (sec)
                  ------    ------------------------    ------------------------    --------------
                       1    29 Mar 2026 20:56:12.192    29 Mar 2026 21:02:42.192           390.000
                       2     1 Apr 2026 20:56:12.192     1 Apr 2026 21:01:12.192           300.000
"""
STK_COLUMNS = {"rise_utc": "Start Time (UTCG)", "set_utc": "Stop Time (UTCG)"}
STK_CSV = """\
"Access","Station","Start Time (UTCG)","Stop Time (UTCG)","Duration (sec)"
1,Zurich,29 Mar 2026 20:56:12.192,29 Mar 2026 21:02:12.1234567,359.931
1,Bern,1 Apr 2026 20:56:12.192,1 Apr 2026 21:01:12.192,300
"""
GERMAN = """\
\ufeff"Satellit";"Aufgang (UTC)";"Dauer (min)";"Höhe (km)";
"ISS; Zarya";29.03.2026 20:56:12,192;6,5;417,25;

"ISS; Zarya";29.03.2026 22:30:00;5;"1.5e3";
"""
GERMAN_COLUMNS = {
    "satellite": "Satellit", "rise_utc": "Aufgang (UTC)", "duration_s": "Dauer (min)",
    "min_slant_range_km": "Höhe (km)",
}  # fmt: skip
GPREDICT = """\
Upcoming passes for ISS
Observer: sample.qth, Copenhagen, Denmark

AOS (UTC)                LOS (UTC)            Duration  Max El  AOS Az
2026/03/29 20:56:12.192  2026/03/29 21:03:13  00:07:01   16.97  312.48
2026/03/29 22:30:00      2026/03/29 22:35:00  00:05:00    5.00  300.00
"""
RUN = """\
contact_id,cluster,rise_utc,culminate_utc,set_utc,min_slant_range_km
0,north,2026-03-29 20:56:12.192+00:00,2026-03-29 20:58:12.192+00:00,2026-03-29 21:02:42.192+00:00,
1,south,2026-03-29 23:56:12.192+02:00,,2026-03-29 22:01:12.192+00:00,700.0
"""
NAMED = f"satellite,site,rise_utc,duration_s\n25544,Zürich (ETH),{AT}.192,60\n"
NO_NAME = "satellite"
TABLES = {
    "a report of STK": (
        STK, {"columns": STK_COLUMNS | {"duration_s": "Duration (sec)"}, "site": "Bern"},
        NO_NAME, ["Bern"], [390.0, 300.0],
    ),
    "a table of STK": (
        STK_CSV, {"columns": STK_COLUMNS | {"site": "Station"}},
        NO_NAME, ["Bern", "Zurich"], [359.931457, 300.0],
    ),
    "semicolons, decimal commas, blank lines": (
        GERMAN, {"columns": GERMAN_COLUMNS, "site": "Bern"}, "ISS; Zarya", ["Bern"], [390.0, 300.0],
    ),
    "columns of blanks": (
        GPREDICT,
        {
            "columns": {"rise_utc": "AOS (UTC)", "set_utc": "LOS (UTC)", "duration_s": "Duration"},
            "site": "Bern", "satellite": "ISS",
        },
        "ISS", ["Bern"], [420.808, 300.0],
    ),
    "tabs": (f"site\trise_utc\tset_utc\nA\t{AT}.192\t2026-03-29T20:57:12.192\n", {},
             NO_NAME, ["A"], [60.0]),
    "a run folder": (RUN, {}, NO_NAME, ["north", "south"], [390.0, 300.0]),
    "other names": (NAMED, {"names": {"Zürich (ETH)": "Zurich", "25544": "ISS"}},
                    "ISS", ["Zurich"], [60.0]),
}  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("text", "asked", "satellite", "sites", "lasts_s"), TABLES.values(), ids=TABLES
)
def test_tables_of_other_tools_are_read(text, asked, satellite, sites, lasts_s, end):
    found = orbit.parse_windows(text.replace("\n", end), **asked)
    assert (found.satellites, found.sites, found.start) == ([satellite], sites, RISE)
    windows = found.windows
    np.testing.assert_allclose(windows.set_s - windows.rise_s, lasts_s, atol=1e-6)
    if "min_slant_range_km" in asked.get("columns", ()):
        np.testing.assert_allclose(windows.min_slant_range_km, [417.25, 1500.0])
    elif text is RUN:
        np.testing.assert_array_equal(windows.min_slant_range_km, [np.nan, 700.0])
        assert windows.culminate_s.tolist() == [120.0, 3750.0]


# Times, and the scale that they are in.

FORMS = (
    "2026-03-29T20:56:12.192", "2026-03-29 20:56:12.192", "20260329T205612.192",
    "29 Mar 2026 20:56:12.192", "29-Mar-2026 20:56:12.192", "2026 Mar 29 20:56:12.192",
    "2026/03/29 20:56:12.192", "29.03.2026 20:56:12.192", "2026-088T20:56:12.192",
    "Sun 29 March 2026 20:56:12.192", "29-MAR-2026 20:56:12.192", "29 mar 2026 20:56:12.192",
)  # fmt: skip
SAY_UTC = ("rise_utc", "AOS (UTC)", "Start Time (UTCG)", "AOS [Z]", "aos_gmt", "start_z")
SAY_UTC += ("AOS UTC+0", "tail rise_utc", "GPS rise (UTC)", "attempt [Z]")
SAY_NOT = ("AOS", "Start Time (LCLG)", "AOS (local)", "AOS (UTC+2)", "AOS (CET)", "rise gmt-5")


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


@pytest.mark.parametrize("header", ["AOS (TAI)", "rise_gps", "riseTai", "GPST", "Start [TT]"])
@pytest.mark.parametrize("end", ["", "Z", " UTC", "+00:00"])
def test_a_header_of_another_scale_is_refused_whatever_zone_the_cells_have(header, end):
    words = r"t\.csv:2: .* the header says (TAI|GPS|GPST|TT), which is not UTC .* give the ti"
    refused(words, _first, _table(header, AT + end), columns={"rise_utc": header})


def test_times_may_be_written_in_several_ways_and_rounded():
    # Windows that touch are two.
    text = f"site,rise_utc,duration_s\na,2026-08-22T14:00:00.5+02:00,60\na,{NOON}01:00.50 UTC,60\n"
    windows = orbit.parse_windows(text, start=START).windows
    assert (windows.rise_s.tolist(), windows.set_s.tolist()) == ([0.5, 60.5], [60.5, 120.5])
    for top, kept_s in (("00:00.000", 0.001), ("00:01.001", 1.0005)):
        text = f"site,rise_utc,culminate_utc,duration_s\na,{NOON}00:00.001Z,{NOON}{top}Z,0.9995\n"
        assert orbit.parse_windows(text, start=START).windows.culminate_s.tolist() == [kept_s]
    short = f"duration_s,{HEAD}0.5,a,{NOON}00:00Z,{NOON}00:00.25Z\n"
    assert _first(short)["set_s"] == 0.25
    for duration in ("nan", "299.0", "301"):
        assert _first(f"duration_s,{HEAD}{duration},{ROW}")["set_s"] == 300.0


@pytest.mark.parametrize(("culminate", "over"), [(f"{NOON}01:00Z", False), (f"{NOON}00:00Z", True)])
def test_windows_open_at_the_start_are_clipped_and_earlier_ones_left_out(culminate, over):
    found = orbit.parse_windows(
        "site,rise_utc,culminate_utc,set_utc,max_elevation_deg,min_slant_range_km,"
        "rise_azimuth_deg,culminate_range_rate_km_s,set_azimuth_deg,culminations,sgp4_error\n"
        f"a,{NOON}00:00Z,{culminate},{NOON}05:00Z,40,900,10,0.5,200,1,true\n"
        f"b,2026-08-22T11:00:00Z,,{NOON}00:30Z,40,900,10,0.5,200,1,\n",
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


# Units, and cells that say nothing.

DURATIONS = (
    ("duration_min", "6", 360.0), ("Duration (min)", "6.5", 390.0), ("Dur [minutes]", "6", 360),
    ("Duration (sec)", "360.5", 360.5), ("Dur (hr)", "0.1", 360.0), ("durationHours", ".1", 360),
    ("duration_ms", "360000", 360.0), ("Duration", "360", 360.0), ("Dauer", "6 min", 360.0),
    ("Duration", "0:06:00.5", 360.5), ("Duration", "00:06:01", 361), ("Dur (mm:ss)", "6:01", 361),
    ("Duration (MM:SS.sss)", "05:21.825", 321.825), ("Dur (mm:ss.0)", "65:01.5", 3901.5),
    ("Dur (HH:MM:SS.sss)", "0:05:21.825", 321.825), ("Duration [min:sec]", "5:21.5", 321.5),
    ("Duration", "0 days 00:06:01", 361), ("Duration", "PT6M1S", 361), ("pass minutes", "6", 360),
    ("Duration", "6m 12s", 372.0), ("Duration", "6m12.5s", 372.5), ("Duration (s)", "6m", 360.0),
    ("Duration", "1h 02m", 3720.0), ("Duration", "1 hr 2 min 3 sec", 3723.0), ("D", "PT1H", 3600),
    ("Duration", "P1DT0H1M", 86460.0), ("Duration", "1 d 2 h", 93600.0),
)  # fmt: skip


@pytest.mark.parametrize(("header", "cell", "seconds"), DURATIONS)
def test_a_duration_is_in_the_unit_of_its_header(header, cell, seconds):
    text = f"site,rise_utc,{header}\nA,{AT},{cell}\n"
    assert _first(text, columns={"duration_s": header})["set_s"] == pytest.approx(seconds, abs=1e-6)


def test_minutes_that_are_rounded_agree_with_rise_and_set():
    for good in ("7", "6.8", "6"):
        text = f"{HEAD[:-1]},d (min)\nA,{AT},2026-03-29T21:03:00,{good}\n"
        assert _first(text, columns={"duration_s": "d (min)"})["set_s"] == 408.0


RADIAN = math.pi / 180
ANGLES = [("Max El (rad)", RADIAN), ("el_rad", RADIAN), ("max_el_deg", 1.0), ("°", 1.0)]
RANGES = [
    ("Range (m)", 1000.0), ("range_km", 1.0), ("min range", 1.0), ("Range [miles]", 1 / 1.609344),
]  # fmt: skip


@given(st.sampled_from(ANGLES), st.sampled_from(RANGES), st.integers(1, 89), st.integers(300, 3000))
def test_elevations_and_ranges_are_in_the_units_of_their_headers(angle, length, degrees, range_km):
    head = f"{HEAD[:-1]},{angle[0]},{length[0]}"
    row = f"A,{AT},2026-03-29T20:57:12,{degrees * angle[1]!r},{range_km * length[1]!r}"
    columns = {"max_elevation_deg": angle[0], "min_slant_range_km": length[0]}
    found = _first(f"{head}\n{row}\n", columns=columns)
    assert found["max_elevation_deg"] == pytest.approx(degrees, rel=1e-12)
    assert found["min_slant_range_km"] == pytest.approx(range_km, rel=1e-12)


@pytest.mark.parametrize("nothing", ["", "null", "None", "NULL", "NaN", "n/a", "-"])
def test_cells_that_say_nothing_are_absent(nothing):
    head = f"{HEAD[:-1]},culminate_utc,duration_s,max_elevation_deg,culminations,clipped_end\n"
    found = _first(f"{head}A,{AT},{nothing},{nothing},60,{nothing},{nothing},{nothing}\n")
    assert (found["culminate_s"], found["set_s"], found["culminations"]) == (30.0, 60.0, 0)
    assert np.isnan(found["max_elevation_deg"]) and not found["clipped_end"]
    refused("t.csv:2: rise_utc is empty; give the t", _first, f"{head}A,{nothing},,,60,,,\n")
    refused("t.csv:2: set_utc is empty; give when", _first, f"{head}A,{AT},,,{nothing},,,\n")
    if nothing not in ("n/a", "-"):  # which may be names
        refused("t.csv:2: site is empty; give a name", _first, f"{head}{nothing},{AT},,,60,,,\n")


# What is refused.

LASTS = f"site,rise_utc,d\nA,{AT},"
SETS = f"{AT[:-8]}21:03:00"
REFUSED = (
    *((f"{HEAD}a,{time},{NOON}15:00Z", None, "2: rise_utc .* is not a time; write it like 2026-")
      for time in ("2026-03-29", "20260329", "03/29/2026 20:56:12", "20:56", "46110.87")),
    (f"{HEAD}a,31 Jun 2026 00:00:00,{NOON}15:00Z", None, "2: .*day is out of range"),
    (f"{HEAD}a,30 Jun 2026 23:59:60,{NOON}15:00Z", None, "2: .*seconds go up to 59.999"),
    (f"{HEAD}a,0001-01-01T00:00:00+02:00,{NOON}15:00Z", None, "2: .*is not in 1957 to 2156"),
    (f"{HEAD}a,{NOON}15:00Z,{NOON}15:00Z", None, "2: .*not after it rises"),
    (f"{HEAD}{ROW}\n# again\nb{ROW[1:]}a,{NOON}04:59Z,{NOON}09:00Z", None,
     "6: .*overlaps that of line 2"),
    (f"duration_s,{HEAD}301.1,{ROW}", None, "2: the window sets 300 s after it rises, but dura"),
    (f"culminate_utc,{HEAD}{NOON}06:00Z,{ROW}", None, "2: .*culminates at 2026-08-22 12:06:00"),
    (f"max_elevation_deg,{HEAD}91,{ROW}", None, "2: max_elevation_deg 91.0 is outside -90 to 90"),
    (f"clipped_end,{HEAD}maybe,{ROW}", None, "2: clipped_end 'maybe' is not a flag"),
    (f"culminations,{HEAD}1.5,{ROW}", None, "2: culminations '1.5' is not a count"),
    *((f"{LASTS}{cell}\n", {"duration_s": "d"}, f"2: d '{cell}'") for cell in (
        "0:10:75", "0:75:00", "7:01:99", "0 days 00:06:60", "12s 6m", "6m 6m", "6m 12", "6x 1s")),
    *((f"{HEAD[:-1]},{unit}\nA,{AT},{SETS},1\n", {ours: unit}, f"1: .* for {ours}: {words}")
      for ours, unit, words in (
        ("duration_s", "Duration (km)", "'km' is no unit of time that is known; use s, min"),
        ("duration_s", "duration_m", "its header does not tell the unit; name it like"),
        ("duration_s", "Duration (fortnights)", "'fortnights' is no unit of time"),
        ("max_elevation_deg", "El (gon)", "'gon' is no unit of angle that is known; use deg"),
        ("min_slant_range_km", "Range (s)", "'s' is no unit of distance"))),
    *((f"{HEAD[:-1]},d (min)\nA,{AT},{SETS},{cell}\n", {"duration_s": "d (min)"}, words)
      for cell, words in (
        ("8", "2: the window sets 408 s after it rises, but d .min. says 480 s"),
        ("6:48", "2: d .min. '6:48'"))),
    (STK_CSV, {"site": "Staton"}, "1: column 'Staton' is missing; did you mean 'Station'"),
    (STK + STK.splitlines()[3], STK_COLUMNS, "7: .* is not a time"),
    ('[{"start": 1}]', None, "1: JSON instead of a table; give a table with the columns satellite"),
    *((text, None, "1: the header line is missing, .* columns satellite, site, rise_utc, set_utc")
      for text in (ROW + ROW, f"S1;{ROW}".replace(",", ";"), "0 1\n0 4\n")),
)  # fmt: skip


@pytest.mark.parametrize(("text", "columns", "words"), REFUSED)
def test_every_mistake_is_one_line_that_names_its_place(text, columns, words):
    site = "Bern" if text.startswith(STK) else None
    refused(rf"^t\.csv:{words}", _first, text, columns=columns, site=site)


def test_names_that_nothing_has_and_a_start_behind_all_windows_are_refused():
    words = r"t.csv:1: names: 'Zürich' is no satellite or site here; did you mean 'Zürich \(ETH\)'"
    refused(words, _first, NAMED, names={"Zürich": "Zurich"})
    words = "columns: 'rise' is no column of windows; did you mean 'rise_utc'"
    refused(words, _first, STK_CSV, columns={"rise": "Start"})
    refused("all windows end before start 2026-08-22T12:00:00Z", _first, RUN, start=START)


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
    words = "t.csv:1: no good row is left; the first bad one: t.csv:2: rise_utc 'noon' is not a ti"
    bad = []
    refused(words, _first, "site,rise_utc,duration_s\nA,noon,6\n", on_bad=bad.append)
    assert len(bad) == 1
