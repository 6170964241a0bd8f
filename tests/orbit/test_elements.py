"""Element sets: two-line elements and OMM, what is read of them, and what is refused."""

import bz2
import gzip
import json
import lzma
import zipfile
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sgp4.api import Satrec
from sgp4.io import fix_checksum
from skyfield.api import EarthSatellite

import orbit
from tests.kit.skies import CIRCLES, ONE, START, TIMESCALE, TWO, element_file, refused

NAME = "ISS (ZARYA)"
# Written by hand from the columns of each other; a low orbit and one that SGP4 calls deep space.
LINES = f"""\
{NAME}
{ONE}
{TWO}
DEEP <&> SPACE, ONE
1 08195U 75081A   06176.33215444  .00000099  00000-0  11873-3 0   813
2 08195  64.1586 279.0717 6877146 264.7651  20.2257  2.00491383225656
"""
ISS = {
    "OBJECT_NAME": NAME, "NORAD_CAT_ID": 25544, "EPOCH": "2026-08-22T12:00:46.122912",
    "MEAN_MOTION": 15.49570248, "ECCENTRICITY": 0.0007668, "INCLINATION": 51.6331,
    "RA_OF_ASC_NODE": 331.8814, "ARG_OF_PERICENTER": 72.6488, "MEAN_ANOMALY": 287.5339,
    "BSTAR": 0.00017025, "MEAN_MOTION_DOT": 0.00009133, "EPHEMERIS_TYPE": 0,
}  # fmt: skip
DEEP = {
    "OBJECT_NAME": "DEEP <&> SPACE, ONE", "NORAD_CAT_ID": 8195,
    "EPOCH": "2006-06-25T07:58:18.143616", "MEAN_MOTION": 2.00491383, "ECCENTRICITY": 0.6877146,
    "INCLINATION": 64.1586, "RA_OF_ASC_NODE": 279.0717, "ARG_OF_PERICENTER": 264.7651,
    "MEAN_ANOMALY": 20.2257, "BSTAR": 0.00011873, "MEAN_MOTION_DOT": 9.9e-7, "EPHEMERIS_TYPE": 0,
}  # fmt: skip


def _csv(entries):
    return pd.DataFrame(entries).to_csv(index=False)


def _leaves(fields):
    return "".join(f"<{key}>{escape(str(value))}</{key}>" for key, value in fields.items())


def _omm(fields):
    about = {"CENTER_NAME": "EARTH", "REF_FRAME": "TEME", "TIME_SYSTEM": "UTC"}
    segment = f"<metadata>{_leaves(about)}</metadata><data><!-- fitted -->{_leaves(fields)}</data>"
    return f"<omm><header><ID/></header><body><segment>{segment}</segment></body></omm>"


def _xml(entries):
    return f'<?xml version="1.0"?>\n<ndm>{"".join(map(_omm, entries))}</ndm>'


def _lines(*edits):
    """Lines 1 and 2; each edit writes a text from a column (counted from 1) of one of them on."""
    lines = {1: ONE, 2: TWO}
    for number, first, text in edits:
        line = lines[number]
        lines[number] = fix_checksum(line[: first - 1] + text + line[first - 1 + len(text) :])
    return "\n".join(lines.values())


def _json(change):
    return json.dumps([ISS | change])


def _apart_mm(one, other):
    """The largest distance of two satellites over two weeks about the first one's epoch."""
    days = np.linspace(-7, 7, 57)
    whole = np.full(days.shape, one.model.jdsatepoch)
    states = [s.model.sgp4_array(whole, one.model.jdsatepochF + days) for s in (one, other)]
    np.testing.assert_array_equal(states[0][0], states[1][0])
    good = states[0][0] == 0
    assert good.any()
    return 1e6 * np.linalg.norm(states[0][1] - states[1][1], axis=1)[good].max()


CSV = _csv([ISS])
HEAD, ROW = CSV.splitlines()
GERMAN = [
    HEAD.replace(",", ";"),
    ROW.replace(",", ";").replace(".", ",").replace("46,122", "46.122"),
]
KVN = "CCSDS_OMM_VERS = 2.0\nCOMMENT by hand\n" + "".join(
    f"{key} = {value}\n" for key, value in ISS.items()
)
SATNOGS = {"tle0": f"0 {NAME}", "tle1": ONE, "tle2": TWO, "tle_source": "x", "norad_cat_id": 25544}
WAYS = {
    "three lines": f"{NAME}\n{ONE}\n{TWO}\n",
    "comment and blank lines": f"\n# got today\n{NAME}\n\n{ONE}\n{TWO}",
    "lines of a web page": f"{NAME}\n{ONE}\n{TWO}\n".replace(" ", "\xa0"),
    "text behind the columns": f"{NAME}\n{ONE}      0.0\n{TWO}      4320.0        360.00",
    "csv with blank lines and a comment": f"# got today\n{HEAD}\n\n{ROW}\n,,,,,,,,,,,,\n",
    "json, numbers as text": json.dumps({key: str(value) for key, value in ISS.items()}),
    "xml, no data about": f"\n<omm><body><segment>{_leaves(ISS)}</segment></body></omm>",
    "xml, namespace": _omm(ISS).replace("<omm>", '<omm xmlns="urn:ccsds:schema:ndmxml">'),
    "kvn": KVN,
    "kvn, units, blanks, a zone": KVN.replace("51.6331", " 51.6331  [deg]")
    .replace(" = ", "\t=  ")
    .replace("46.122912", "46.122912Z"),
    "kvn, another order": "\n".join(reversed(KVN.splitlines())),
    "omm, a theory of CCSDS": json.dumps({**ISS, "MEAN_ELEMENT_THEORY": "TLE"}),
    "omm, a blank for T": json.dumps({**ISS, "EPOCH": "2026-08-22 12:00:46.122912+00:00"}),
    "omm, an offset of nothing": json.dumps({**ISS, "EPOCH": "2026-08-22T12:00:46.122912+0000"}),
    "omm, the frame's name in the registry": json.dumps({**ISS, "REF_FRAME": "TEMEOFDATE"}),
    "omm, microseconds apart": json.dumps(
        {**ISS, "EPOCH": "2026-08-22 12:00:46", "EPOCH_MICROSECONDS": 122912}
    ),
    "json, tle0 to tle2": json.dumps([SATNOGS]),
    "json, results": json.dumps({"count": 1, "next": None, "results": [SATNOGS]}),
    "json, member of lines": json.dumps(
        {"@id": "x", "member": [{"name": NAME, "line1": ONE, "line2": TWO}]}
    ),
    "json, by number": json.dumps({"meta": {"a": 1}, "25544": ISS}, indent=1),
    "json, lines apart from the name": json.dumps(
        {"info": {"satname": NAME}, "tle": f"{ONE}\r\n{TWO}"}
    ),
    "json, lists of lines": json.dumps([[NAME, ONE, TWO]]),
    "csv, a tab, small letters": CSV.replace(",", "\t").replace(HEAD, HEAD.lower()),
    "csv, index, semicolons, decimal commas": "".join(
        f"{index};{line}\n" for index, line in zip(("", "0"), GERMAN, strict=True)
    ),
    "csv, words": CSV.replace(HEAD, HEAD.title().replace("_", " ")),
    "csv, a cell in two lines": f'note,{HEAD}\n"of\ntoday",{ROW}\n',
    "csv of lines, semicolons": f"name;line1;line2\n{NAME};{ONE};{TWO}\n",
    "gpredict": f"[Satellite]\nVERSION=1.1\nNAME={NAME}\nNICKNAME=I\nTLE1={ONE}\nTLE2={TWO}\n",
    "csv of lines": f"name,line1,line2\n{NAME},{ONE},{TWO}\n",
    "xml, units": _xml([ISS]).replace("<INCLINATION>", '<INCLINATION units="DEG">'),
}


@pytest.mark.parametrize("text", WAYS.values(), ids=WAYS)
def test_every_way_to_write_a_satellite_gives_the_same_one(tmp_path, text):
    model = Satrec.twoline2rv(ONE, TWO)
    path = tmp_path / "elements.dat"
    for mark, end in (("", "\n"), ("\ufeff", "\r\n")):
        written = mark + end.join(text.splitlines())
        path.write_bytes(written.encode())
        (read,) = orbit.read_satellites(path)
        assert [read] == orbit.parse_satellites(written) == list(orbit.scan_satellites(written))
        assert (read.name, read.norad_id, read.made) == (NAME, 25544, False)
        # 0.50053383 days are 43246.122912 s.
        assert read.epoch == datetime(2026, 8, 22, 12, 0, 46, 122912, tzinfo=UTC)
        assert read.model.jdsatepochF * 86400e6 == pytest.approx(43246122912, abs=0.01)
        assert read.revolutions_per_day == pytest.approx(15.49570248, abs=1e-12)
        assert _apart_mm(read, orbit.Satellite("", 0, read.epoch, model)) < 1


@pytest.mark.parametrize("write", [json.dumps, _csv, _xml])
def test_omm_and_two_line_elements_are_the_same_satellites(write):
    told = orbit.parse_satellites(write([ISS, DEEP]))
    lines = orbit.parse_satellites(LINES)
    assert told == lines and [satellite.norad_id for satellite in told] == [25544, 8195]
    assert max(map(_apart_mm, told, lines)) < 1
    change = {"NORAD_CAT_ID": 799999999.0, "OBJECT_NAME": " "}
    # Every angle may be 0: an equatorial orbit that is at its node.
    angles = ("INCLINATION", "RA_OF_ASC_NODE", "ARG_OF_PERICENTER", "MEAN_ANOMALY", "ECCENTRICITY")
    (read,) = orbit.parse_satellites(write([ISS | change | dict.fromkeys(angles, 0)]))
    assert (read.norad_id, read.name) == (799999999, "799999999")
    assert read.model.inclo == read.model.nodeo == read.model.ecco == 0.0


def test_published_files_are_read_to_their_last_line():
    for path in sorted(element_file(".").glob("*.tle")):
        text = path.read_text()
        lines = sum(line.startswith("1 ") for line in text.splitlines())
        satellites = orbit.parse_satellites(text, path.name)
        assert len(satellites) == lines > 0
    lines = orbit.read_satellites(element_file("skyfield_stations.tle"))
    for ending in ("json", "csv"):
        told = orbit.read_satellites(element_file(f"skyfield_stations.{ending}"))
        assert told == lines and len(told) > 20
        assert max(map(_apart_mm, told, lines)) < 1


STARTS = ("[DTV] ONE", "<ISS>", "<html>", "EPOCH", "A = B", "COMMENT")
"""Names that begin as other formats do."""
AXIS_KM = (398600.4418 * (86400 / (2 * np.pi * ISS["MEAN_MOTION"])) ** 2) ** (1 / 3)
BY_AXIS = KVN.replace(f"MEAN_MOTION = {ISS['MEAN_MOTION']}", f"SEMI_MAJOR_AXIS = {AXIS_KM} [km]")
NUMBERLESS = {key: value for key, value in ISS.items() if key != "NORAD_CAT_ID"}


def _utc(*moment):
    return {"epoch": datetime(*moment, tzinfo=UTC)}


SAID = (
    (_lines((1, 3, "Z9999"), (2, 3, "Z9999")), {"norad_id": 339999, "name": "339999"}),
    (_lines((1, 3, "    5"), (2, 3, "    5")), {"norad_id": 5, "name": "5"}),
    (json.dumps(NUMBERLESS), {"norad_id": 0, "name": NAME}),
    (f"0 \n{ONE}\n{TWO}", {"name": "25544"}),
    *((f"{name}\n{ONE}\n{TWO}", {"name": name}) for name in (
        *STARTS, "2 PATHFINDER", "1 KUNS", "1 12U CUBESAT", "2 5", "1 25544U", "1 2 3")),
    *((_json({"OBJECT_NAME": written}), {"name": name}) for written, name in (
        ("  A\nB\t C ", "A B C"), ("\ud83d", "?"), (None, "25544"), (7, "7"))),
    # Blanks for zeros.
    (_lines((1, 54, "-11606-4")), {"model.bstar": pytest.approx(-0.11606e-4, rel=1e-14)}),
    (_lines((1, 54, "   170-5")), {"model.bstar": pytest.approx(0.0017e-5, rel=1e-14)}),
    (_lines((1, 54, "-  170-5")), {"model.bstar": pytest.approx(-0.0017e-5, rel=1e-14)}),
    (_lines((1, 45, "     0-0")), {"model.nddot": 0.0}),
    (_lines((2, 27, "     12")), {"model.ecco": pytest.approx(12e-7, rel=1e-14)}),
    # Angles modulo 360.
    *((_lines((2, first, text)), {name: pytest.approx(np.radians(degrees), rel=1e-12)})
      for first, text, name, degrees in (
        (18, "691.8814", "model.nodeo", 331.8814), (18, "-28.1186", "model.nodeo", 331.8814),
        (35, "432.6488", "model.argpo", 72.6488), (44, "-72.4661", "model.mo", 287.5339))),
    (_json({"RA_OF_ASC_NODE": ISS["RA_OF_ASC_NODE"] + 10800}),
     {"model.nodeo": pytest.approx(np.radians(331.8814), rel=1e-12)}),
    # Kepler's third law, by the GM that is given or by that of SGP4.
    (f"{BY_AXIS}GM = 398600.4418 [km**3/s**2]\n",
     {"revolutions_per_day": pytest.approx(ISS["MEAN_MOTION"], rel=1e-12)}),
    (BY_AXIS, {"revolutions_per_day": pytest.approx(ISS["MEAN_MOTION"], rel=1e-6)}),
    # Day 366 of a common year is the day after its last, as its sources mean it.
    (_lines((1, 19, "19366.50000000")), _utc(2020, 1, 1, 12)),
    (_lines((1, 19, " 6176.33215444")), _utc(2006, 6, 25, 7, 58, 18, 143616)),
    # A hundred-millionth of a day is 864 us: no rounding is needed.
    (_lines((1, 19, "57001.00000000")), _utc(1957, 1, 1)),
    (_lines((1, 19, "00366.50000000")), _utc(2000, 12, 31, 12)),
    (_lines((1, 19, "56001.00000001")), _utc(2056, 1, 1, 0, 0, 0, 864)),
    (_json({"EPOCH": "2024-366T12:00:46"}), _utc(2024, 12, 31, 12, 0, 46)),
)  # fmt: skip


@pytest.mark.parametrize(("text", "said"), SAID)
def test_what_is_written_is_read_as_meant(text, said):
    [read] = orbit.parse_satellites(text)
    assert {name: attrgetter(name)(read) for name in said} == said


def test_lines_without_a_checksum_are_read_where_it_is_ignored():
    (whole,) = orbit.parse_satellites(f"{NAME}\n{ONE}\n{TWO}")
    for width in (68, 63):
        bare = f"{NAME}\n{ONE[:width]}\n{TWO[:width]}"
        (read,) = orbit.parse_satellites(bare, checksum="ignore")
        assert read == whole and _apart_mm(read, whole) == 0
        _assert_refused(bare, ":2 (ISS (ZARYA)): ", f"line 1 has {width} characters instead of 69")


PACKED = {"gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress}


@pytest.mark.parametrize("form", PACKED)
def test_a_packed_file_is_told_by_its_form(tmp_path, form):
    path = tmp_path / "packed.dat"
    path.write_bytes(PACKED[form](LINES.encode()))
    for read in (orbit.read_satellites, orbit.read_sites, orbit.read_windows):
        refused(rf"packed\.dat:1: is {form} instead of text; unpack it", read, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("iss.tle", LINES)
    refused(r"packed\.dat:1: is a zip archive", orbit.read_satellites, path)


BAD = KVN.replace("51.6331", "251.6331")
TILTED = {"a": 1, "b": 251.6, "c": 1}
GPREDICT = [f"[Satellite]\nNAME={n}\nTLE1={ONE}\nTLE2={TWO}\n" for n in "AB"]
SEVERAL = (
    (f"a\n{ONE}\n{TWO}\nb\n{ONE[:-1]}0\n{TWO}\nc\n{ONE}\n{TWO}",
     "f:5 (b): line 1 gives checksum '0'"),
    (_csv([{**ISS, "OBJECT_NAME": n, "INCLINATION": deg} for n, deg in TILTED.items()]),
     "f:3 (b): INCLI"),
    (KVN + BAD + KVN, "INCLINATION 251.6331"),
    ("".join(text.partition("\n")[2] for text in (KVN, BAD, KVN)), "INCLINATION 251.6331"),
    (json.dumps({"results": [SATNOGS, {**SATNOGS, "tle1": "1 x"}, ISS]}), "line 1"),
    (GPREDICT[0] + GPREDICT[1].replace("TLE2", "TLE3") + GPREDICT[1], "(B): "),
)  # fmt: skip


@pytest.mark.parametrize(("text", "words"), SEVERAL)
def test_satellites_follow_each_other_and_one_that_is_broken_is_left_out(text, words):
    entries = [*orbit.scan_satellites(text, "f")]
    kinds = [orbit.Satellite, orbit.ElementError, orbit.Satellite]
    assert list(map(type, entries)) == kinds and words in str(entries[1])
    good, bad = orbit.parse_elements(text, "f")
    assert good == [entries[0], entries[2]] and bad == [str(entries[1])]
    refused("f:1: no elements found; give two-line", orbit.parse_elements, "\n", "f")


def _assert_refused(text, place, words):
    with pytest.raises(orbit.ElementError) as caught:
        orbit.parse_satellites(text, "some.dat")
    message = str(caught.value)
    assert message.startswith(f"some.dat{place}") and words in message
    assert ";" in message and "\n" not in message and len(message) < 300


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # Lines.
        (f"\x1b[2J\n{ONE}\n{TWO}", ":1 ("),
        (f"{ONE[:50]}\n{TWO}", ":1 (25544): line 1 has 50 characters instead of 69"),
        (f"{ONE}7\n{TWO}", ":1 (25544): line 1 has 70 characters instead of 69"),
        (_lines((2, 3, "25545")), ":2 (25544): catalogue number 25545 follows line 1 of 25544"),
        (_lines((1, 3, "I5544")), ":1: catalogue number 'I5544' is neither"),
        (_lines((2, 9, "5x.6331 ")), "inclination '5x.6331 ' is not a decimal"),
        (_lines((2, 9, "400.0000")), "inclination 400.0000 is outside 0 to 180"),
        (_lines((2, 53, "18.50000248")), "mean motion 18.50000248 is outside 1e-05 to 18"),
        (_lines((2, 27, "0 06317")), "eccentricity '0 06317' is not seven digits"),
        (_lines((1, 19, "x6")), "epoch year 'x6' is not two digits"),
        (_lines((1, 54, " 1 2 3-4")), "BSTAR ' 1 2 3-4' is not of the form"),
        (_lines((2, 17, "9")), ":2 (25544): column 17 is '9' instead of blank"),
        (f"{ONE[:64]}é{ONE[65:]}\n{TWO}", "not printable ASCII"),
        (f"{NAME}\n{_lines((1, 63, '4'))}", ":2 (ISS (ZARYA)): ephemeris type '4' is not for SGP4"),
        # Other frames, types and spellings.
        (_json({"TIME_SYSTEM": "TAI"}), "TIME_SYSTEM 'TAI' is not UTC; give EPOCH in UTC"),
        (_json({"BSTAR": [0.1]}), "BSTAR [0.1] is no text or number"),
        (_json({"MEAN_MOTION": None, "mean_moton": 15}), "rename the unknown field 'mea"),
        (_json({"OBJECT_NAME": "\x1b"}), "OBJECT_NAME '\\x1b' has characters that can"),
        # Files without elements.
        ("", ":1: no elements found; give two-line elements, or OMM as JSON, CSV, XML or KVN"),
        ('{"count": 0, "results": []}', ":1: no elements found; give two-line elements"),
        (json.dumps([SATNOGS | {"tle1": ""}]), f" entry 1 ({NAME}): line 1 is ''; give line 1 of"),
        (
            _json(dict.fromkeys(ISS)).replace("EPOCH", "epoch").replace("null", "1"),
            "EPOCH is missi",
        ),
        ("No GP data found\n", ":1: no element sets, it starts with 'No GP data found'"),
        ('{"error": "rate limit"}', " entry 1: an answer in place of elements, 'rate limit'"),
        ("[1]", " entry 1: is int instead of an object"),
        ("[\n{", ":2: broken JSON at line 2, column 2: "),
        (f"{json.dumps(ISS)}\n{json.dumps(DEEP)}\n", ":2: JSON lines, a value in each line; put"),
        ("[" * 100000, ":1: JSON that cannot be read: "),
        ("<ndm>\n<omm>", ":2: broken XML: no element found: line 2, column 5"),
        ("<gpx></gpx>", ":1: XML of <gpx> instead of <ndm> or <omm>"),
        ("\n <HTML><Body>Sorry", ":1: a web page instead of elements; give two-line"),
        ("<!doctype html>\n<title>403\nNo</title>", ":1: a web page ('403\\nNo') instead of"),
        ('<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC ""><html/>', ":1: a web page instead"),
        # KVN.
        ("CCSDS_OPM_VERS = 2.0\nX = 1", ":1: an OPM (CCSDS), which has no mean elements; give"),
        (f"{KVN}BSTAR = 1\n", f":{KVN.count(chr(10)) + 1} (ISS (ZARYA)): BSTAR is given twice"),
        (f"{KVN}hello\n", f":{KVN.count(chr(10)) + 1} (ISS (ZARYA)): 'hello' is neither KEYWORD"),
        (KVN.replace("51.6331", "x"), ":8 (ISS (ZARYA)): INCLINATION 'x' is not a decimal"),
        (KVN.replace("0.0007668", "1 [km]"), ":7 (ISS (ZARYA)): ECCENTRICITY is in 'km'; give it"),
        (f"{KVN}MEAN_ELEMENT_THEORY = DSST\n", "MEAN_ELEMENT_THEORY 'DSST' is not SGP4; get"),
        ('<!DOCTYPE b [<!ENTITY a "x">]><omm>&a;</omm>', ":1: XML with a DOCTYPE or"),
        (_omm(ISS).replace("<BSTAR>", '<BSTAR units="rad">'), "BSTAR is in 'rad'"),
        (f"{HEAD}\n{ROW},3\n", ":2: cells in the row: 13, in the header: 12; give every"),
        (f'{HEAD}\n{ROW}\n"', ":3: unexpected end of data; check the quotation marks"),
        (f"{HEAD},BSTAR\n{ROW},1\n", ":1: column 'BSTAR' comes twice; keep one of them"),
    ],
)
def test_what_cannot_be_read_is_refused_by_place_and_remedy(text, words):
    _assert_refused(text, "", words)


@pytest.mark.parametrize(
    ("write", "place"), [(json.dumps, " entry 2"), (_csv, ":3"), (_xml, " entry 2")]
)
def test_wrong_fields_are_refused_by_entry_and_name(write, place):
    for change, words in (
        (
            {"EPOCH": "2026-08-22T12:00:46+02:00"},
            "EPOCH '2026-08-22T12:00:46+02:00' is ahead of UTC or behind it",
        ),
        ({"EPOCH": "2026-08-22T12:00"}, "EPOCH '2026-08-22T12:00' is not an ISO 8601 time"),
        ({"EPOCH": "1926-08-22T12:00:46"}, "EPOCH 1926-08-22T12:00:46 is not in 1957 to 2100"),
        ({"EPOCH": "2026-366T12:00:46"}, "EPOCH 2026-366T12:00:46: 2026 has 365 days"),
        ({"MEAN_MOTION": "1_5.4"}, "MEAN_MOTION '1_5.4' is not a decimal number"),
        ({"ECCENTRICITY": 1.0}, "ECCENTRICITY 1.0 is outside 0 to 0.9999999"),
        ({"INCLINATION": 411.6331}, "INCLINATION 411.6331 is outside 0 to 180"),
        ({"BSTAR": "1e999"}, "BSTAR 1e999 is outside -100 to 100 1/ER"),
        ({"EPOCH": " ", "BSTAR": ""}, "EPOCH, BSTAR are missing; add what is missing"),
        ({"NORAD_CAT_ID": 1000000000}, "NORAD_CAT_ID '1000000000' is no whole number"),
    ):
        _assert_refused(write([DEEP, {**ISS, **change}]), f"{place} (ISS (ZARYA)): ", words)


@pytest.mark.parametrize(
    ("inside", "most", "words"),
    [
        (lambda n: "".join(f"<omm><a{k}/></omm>" for k in range(n)), 998, "1000 different names"),
        (lambda n: f"<omm>{'<a/>' * n}</omm>", 100, "100 elements for one satellite"),
        (lambda n: "<a>" * n + "<omm/>" + "</a>" * n, 30, "32 elements inside of one another"),
    ],
)
def test_xml_is_read_up_to_its_bounds(inside, most, words):
    for count in (most, most + 1):
        *_, last = orbit.scan_satellites(f"<ndm>{inside(count)}</ndm>")
        assert (f"XML with more than {words}" in str(last)) == (count > most)


@pytest.mark.parametrize("revolutions", [1.0027, 2, 15.5])
def test_a_nameless_satellite_of_next_to_no_inclination_is_propagated(revolutions):
    change = {"OBJECT_NAME": "", "NORAD_CAT_ID": 0, "MEAN_MOTION": revolutions}
    (read,) = orbit.parse_satellites(_json({**change, "INCLINATION": 4e-308}))
    error, position_km, _ = read.model.sgp4(read.model.jdsatepoch, read.model.jdsatepochF + 1)
    assert read.name == "0" and error == 0 and np.isfinite(position_km).all()


def test_what_is_no_text_file_is_refused(tmp_path):
    path = tmp_path / "mine.json"
    for before, line in (("", 1), ("\ufeff", 1), ("A\r\nB\r\n", 3), ("A\rB\r", 3)):
        path.write_bytes(before.encode() + b"caf\xe9")
        wrong = rf"mine\.json:{line}: not UTF-8 text .*; give two-line"
        refused(wrong, orbit.read_satellites, str(path))
    for form in ("utf-16", "utf-16-le", "utf-16-be"):
        path.write_bytes(LINES.encode(form))
        wrong = r"mine\.json:1: not UTF-8 text, but UTF-16; save it as UTF-8$"
        refused(wrong, orbit.read_satellites, str(path))
        path.write_bytes(path.read_bytes().decode("utf-16" if form == "utf-16" else form).encode())
        assert len(orbit.read_satellites(str(path))) == 2
    refused("a bytes is no text; give the text", orbit.scan_satellites, b"abc")
    refused("checksum 'skip' is unknown", orbit.scan_satellites, "", checksum="skip")


def test_no_wrong_digit_and_no_lost_character_is_let_through():
    for line, place in ((line, place) for line in (0, 1) for place in range(68)):
        lines = [ONE, TWO]
        whole = [ONE, TWO][line]
        lines[line] = whole[:place] + whole[place + 1 :]
        with pytest.raises(orbit.ElementError):
            orbit.parse_satellites("\n".join(lines))
        if place < (61, 55)[line]:  # what lines without checksum can tell by their columns
            with pytest.raises(orbit.ElementError):
                orbit.parse_satellites("\n".join(lines), checksum="ignore")
        if whole[place].isdigit():
            lines[line] = whole[:place] + str((int(whole[place]) + 7) % 10) + whole[place + 1 :]
            with pytest.raises(orbit.ElementError):
                orbit.parse_satellites("\n".join(lines))


CHANGES = st.dictionaries(st.sampled_from(sorted(ISS)), st.none() | st.integers() | st.text())
STARTS = st.sampled_from(["", "[", "{", "<", f"{HEAD}\n", f"{ONE}\n"])


@given(st.tuples(STARTS, st.text()).map("".join) | CHANGES.map(_json))
def test_any_text_and_any_fields_give_satellites_or_single_lines(text):
    for entry in orbit.scan_satellites(text):
        if not isinstance(entry, orbit.Satellite):
            assert isinstance(entry, orbit.ElementError) and len(str(entry).splitlines()) == 1


def test_skyfields_own_satellites_are_taken():
    theirs = EarthSatellite(ONE, TWO, NAME, TIMESCALE)
    ours = orbit.as_satellite(theirs)
    assert ours == orbit.parse_satellites(f"{NAME}\n{ONE}\n{TWO}")[0]
    assert repr(ours) == f"Satellite('{NAME}', norad_id=25544, epoch=2026-08-22T12:00:46Z)"
    assert orbit.as_satellite(ours) is ours
    assert orbit.as_satellite(EarthSatellite(ONE, TWO, None, TIMESCALE)).name == "25544"
    back = orbit.as_satellite(EarthSatellite.from_satrec(CIRCLES[3].model, TIMESCALE))
    assert (back.name, back.norad_id, back.epoch) == ("0", 0, START)
    refused("a NoneType is no satellite; give one of", orbit.as_satellite, None)


def made(days, number=1):
    epoch = START + timedelta(days=days)
    one = orbit.keplerian_satellite("S", epoch, semi_major_axis_km=6900.0, inclination_deg=97.5)
    return orbit.Satellite("S", number, epoch, one.model)


def test_the_latest_set_before_the_start_stands_for_its_satellite():
    """Before the first, the first; satellites are told by number, those without one all stay."""
    sets = [made(0), made(1.5), made(1)]
    nameless = [made(days, number=0) for days in (0, 1)]
    other = made(0, number=2)
    for days, which in ((None, 1), (2, 1), (1.5, 1), (1.4, 2), (1, 2), (0.5, 0), (-1, 0)):
        start = None if days is None else START + timedelta(days=days)
        found = orbit.one_each([*sets, other, *nameless], start)
        assert found == [sets[which], other, *nameless], days
    refused("has no time zone", orbit.one_each, sets, START.replace(tzinfo=None))
    corrected = [made(0), made(0)]
    assert orbit.one_each(corrected) == corrected[1:]
