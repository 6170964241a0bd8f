"""Element sets: two-line elements and OMM, what is read of them, and what is refused."""

import csv
import io
import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from math import isfinite, radians
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sgp4.api import Satrec
from sgp4.io import fix_checksum
from skyfield.api import EarthSatellite, load

import orbit
from tests.kit.skies import CIRCLES, ONE, START, TWO, element_file

NAME = "ISS (ZARYA)"
# Written by hand from the columns of each other; a low orbit and one that SGP4 calls deep space.
DEEP_LINES = """\
DEEP <&> SPACE, ONE
1 08195U 75081A   06176.33215444  .00000099  00000-0  11873-3 0   813
2 08195  64.1586 279.0717 6877146 264.7651  20.2257  2.00491383225656
"""
TLE = f"{NAME}\n{ONE}\n{TWO}\n{DEEP_LINES}"
ISS = {
    "OBJECT_NAME": NAME, "OBJECT_ID": "1998-067A",
    "EPOCH": "2026-08-22T12:00:46.122912", "MEAN_MOTION": 15.49570248, "ECCENTRICITY": 0.0007668,
    "INCLINATION": 51.6331, "RA_OF_ASC_NODE": 331.8814, "ARG_OF_PERICENTER": 72.6488,
    "MEAN_ANOMALY": 287.5339, "EPHEMERIS_TYPE": 0, "CLASSIFICATION_TYPE": "U",
    "NORAD_CAT_ID": 25544, "ELEMENT_SET_NO": 999, "REV_AT_EPOCH": 58203, "BSTAR": 0.00017025,
    "MEAN_MOTION_DOT": 0.00009133, "MEAN_MOTION_DDOT": 0,
}  # fmt: skip
DEEP = {
    **ISS, "OBJECT_NAME": "DEEP <&> SPACE, ONE", "OBJECT_ID": "1975-081A",
    "EPOCH": "2006-06-25T07:58:18.143616", "MEAN_MOTION": 2.00491383, "ECCENTRICITY": 0.6877146,
    "INCLINATION": 64.1586, "RA_OF_ASC_NODE": 279.0717, "ARG_OF_PERICENTER": 264.7651,
    "MEAN_ANOMALY": 20.2257, "NORAD_CAT_ID": 8195, "BSTAR": 0.00011873,
    "MEAN_MOTION_DOT": 9.9e-7,
}  # fmt: skip
MEAN = ["EPOCH", "MEAN_MOTION", "ECCENTRICITY", "INCLINATION", "RA_OF_ASC_NODE"]
MEAN += ["ARG_OF_PERICENTER", "MEAN_ANOMALY"]
NEEDED = {key: ISS[key] for key in ("OBJECT_NAME", "NORAD_CAT_ID", "BSTAR", *MEAN)}


def _csv(entries):
    out = io.StringIO()
    writer = csv.DictWriter(out, list(entries[0]))
    writer.writeheader()
    writer.writerows(entries)
    return out.getvalue()


def _leaves(fields):
    return "".join(f"<{key}>{escape(str(value))}</{key}>" for key, value in fields.items())


def _omm(fields):
    about = {"CENTER_NAME": "EARTH", "REF_FRAME": "TEME", "TIME_SYSTEM": "UTC"}
    about |= {"MEAN_ELEMENT_THEORY": "SGP4", "OBJECT_NAME": fields["OBJECT_NAME"]}
    mean = {key: fields[key] for key in MEAN}
    rest = {key: value for key, value in fields.items() if key not in about and key not in mean}
    return (
        "<omm><header><CREATION_DATE/></header><body><segment>"
        f"<metadata>{_leaves(about)}</metadata><data><!-- fitted -->"
        f"<meanElements>{_leaves(mean)}</meanElements>"
        f"<tleParameters>{_leaves(rest)}</tleParameters></data></segment></body></omm>"
    )


def _xml(entries):
    return f'<?xml version="1.0"?>\n<ndm>{"".join(map(_omm, entries))}</ndm>'


FORMS = {"json": json.dumps, "csv": _csv, "xml": _xml}
IN_EVERY_FORM = pytest.mark.parametrize("write", FORMS.values(), ids=FORMS)


def _edited(line, first, text):
    """`line` with `text` written from column `first` (counted from 1), its checksum mended."""
    return fix_checksum(line[: first - 1] + text + line[first - 1 + len(text) :])


def _apart_mm(one, other):
    """The largest distance of two satellites over two weeks about the first one's epoch."""
    days = np.linspace(-7, 7, 57)
    whole = np.full(days.shape, one.model.jdsatepoch)
    states = [s.model.sgp4_array(whole, one.model.jdsatepochF + days) for s in (one, other)]
    np.testing.assert_array_equal(states[0][0], states[1][0])
    good = states[0][0] == 0
    assert good.any()
    return 1e6 * np.linalg.norm(states[0][1] - states[1][1], axis=1)[good].max()


# What is read.

CSV = _csv([NEEDED])
WAYS = {
    "three lines": f"{NAME}\n{ONE}\n{TWO}\n",
    "three lines, odd name": f"0 {NAME}   \n{ONE}\n{TWO}\n",
    "comment and blank lines": f"\n# got today\n{NAME}\n\n{ONE}\n{TWO}",
    "text behind the columns": f"{NAME}\n{ONE}      0.0\n{TWO}      4320.0        360.00",
    "csv": CSV,
    "csv with blank lines": CSV.replace("\r\n", "\n\n") + ",,,,,,,,,\n",
    "csv in quotes": re.sub(r"[^,\r\n]+", r'"\g<0>"', CSV),
    "csv below a comment": f"# got today\n{CSV}",
    "json list": json.dumps([NEEDED]),
    "json object": "\n  " + json.dumps(NEEDED, indent=1),
    "json, numbers as text": json.dumps({key: str(value) for key, value in NEEDED.items()}),
    "json, more fields": json.dumps({**ISS, "RCS_SIZE": None, "TIME_SYSTEM": "UTC", "FILE": 3}),
    "xml": f"\n<omm><body><segment>{_leaves(NEEDED)}</segment></body></omm>",
    "xml, one message": _omm(ISS),
    "xml, namespace": _omm(ISS).replace("<omm>", '<omm xmlns="urn:ccsds:schema:ndmxml">'),
    "xml, units": _omm(ISS).replace("<INCLINATION>", '<INCLINATION units="DEG">'),
}


@pytest.mark.parametrize("text", WAYS.values(), ids=WAYS)
def test_every_way_to_write_a_satellite_gives_the_same_one(tmp_path, text):
    model, path = Satrec.twoline2rv(ONE, TWO), tmp_path / "elements.dat"
    for mark, end in (("", "\n"), ("\ufeff", "\r\n")):
        written = mark + "\n".join(text.splitlines()).replace("\n", end)
        path.write_bytes(written.encode())
        (read,) = orbit.read_satellites(path)
        assert [read] == orbit.parse_satellites(written) == list(orbit.scan_satellites(written))
        assert (read.name, read.norad_id, read.made) == (NAME, 25544, False)
        # 0.50053383 days are 43246.122912 s.
        assert read.epoch == datetime(2026, 8, 22, 12, 0, 46, 122912, tzinfo=UTC)
        assert read.model.jdsatepochF * 86400e6 == pytest.approx(43246122912, abs=0.01)
        assert read.revolutions_per_day == pytest.approx(15.49570248, abs=1e-12)
        assert _apart_mm(read, orbit.Satellite("", 0, read.epoch, model)) < 1


@IN_EVERY_FORM
def test_omm_and_two_line_elements_are_the_same_satellites(write):
    told, lines = orbit.parse_satellites(write([ISS, DEEP])), orbit.parse_satellites(TLE)
    assert told == lines and [satellite.norad_id for satellite in told] == [25544, 8195]
    assert max(map(_apart_mm, told, lines)) < 1


@pytest.mark.parametrize("ending", ["json", "csv", "xml"])
def test_published_omm_is_read(ending):
    (read,) = orbit.read_satellites(element_file(f"python-sgp4_sample_omm.{ending}"))
    assert (read.name, read.norad_id) == ("VANGUARD 1", 5)
    if ending != "xml":
        lines = orbit.read_satellites(element_file("skyfield_stations.tle"))
        told = orbit.read_satellites(element_file(f"skyfield_stations.{ending}"))
        assert told == lines and len(told) > 20
        assert max(map(_apart_mm, told, lines)) < 1


def test_every_published_file_is_read_to_its_last_line():
    for path in sorted(element_file(".").glob("*.tle")):
        text = path.read_text()
        lines = sum(line.startswith("1 ") for line in text.splitlines())
        satellites = orbit.parse_satellites(text, path.name)
        assert len(satellites) == lines > 0
        if "starlink" in path.name:
            assert len({satellite.norad_id for satellite in satellites}) == lines > 10000


@IN_EVERY_FORM
def test_numbers_of_nine_digits_and_those_that_became_floats_are_kept(write):
    for number, kept in ((799999999, 799999999), (25544.0, 25544)):
        (read,) = orbit.parse_satellites(
            write([{**ISS, "NORAD_CAT_ID": number, "OBJECT_NAME": " "}])
        )
        assert (read.norad_id, read.name) == (kept, str(kept))


@pytest.mark.parametrize(
    ("written", "number"),
    [("B1234", 111234), ("A0000", 100000), ("J0001", 180001), ("Z9999", 339999), ("    5", 5)],
)
def test_catalogue_numbers_are_read_in_alpha_5(written, number):
    (read,) = orbit.parse_satellites(_edited(ONE, 3, written) + "\n" + _edited(TWO, 3, written))
    assert (read.norad_id, read.name) == (number, str(number))


@pytest.mark.parametrize(
    ("written", "name"),
    [("  A\nB\t C ", "A B C"), ("\ud83d", "?"), ("", "25544"), (None, "25544"), (7, "7")],
)
def test_names_are_one_line_that_can_be_written(written, name):
    (read,) = orbit.parse_satellites(json.dumps({**ISS, "OBJECT_NAME": written}))
    assert read.name == name


@pytest.mark.parametrize("name", ["[DTV] ONE", "<ISS>", "{1}", "EPOCH"])
def test_a_name_that_looks_like_another_format_is_a_name(name):
    assert orbit.parse_satellites(f"{name}\n{ONE}\n{TWO}")[0].name == name


@pytest.mark.parametrize(
    ("line", "first", "written", "field", "value"),
    [
        (ONE, 54, "-11606-4", "bstar", -0.11606e-4),
        (ONE, 54, "+11606 4", "bstar", 0.11606e4),
        (TWO, 27, "0006317", "ecco", 0.0006317),
        (TWO, 9, "   .6331", "inclo", radians(0.6331)),
    ],
)
def test_signs_and_leading_blanks_are_read_as_meant(line, first, written, field, value):
    edited = _edited(line, first, written)
    (read,) = orbit.parse_satellites(f"{edited}\n{TWO}" if line is ONE else f"{ONE}\n{edited}")
    assert getattr(read.model, field) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    "written", ["57001.00000000", "99059.99999999", "00366.99999999", "56001.00000864"]
)
def test_epochs_of_lines_keep_eight_decimals_and_turn_over_in_1957(written):
    (read,) = orbit.parse_satellites(_edited(ONE, 19, written) + "\n" + TWO)
    # A hundred-millionth of a day is 864 us: no rounding is needed.
    year = int(written[:2]) + (1900 if written >= "57" else 2000)
    days = timedelta(days=int(written[2:5]) - 1, microseconds=864 * int(written[6:]))
    assert read.epoch == datetime(year, 1, 1, tzinfo=UTC) + days


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-08-22T12:00:46.122912Z", datetime(2026, 8, 22, 12, 0, 46, 122912, tzinfo=UTC)),
        ("2026-08-22T12:00:46.5Z", datetime(2026, 8, 22, 12, 0, 46, 500000, tzinfo=UTC)),
        ("2024-366T12:00:46", datetime(2024, 12, 31, 12, 0, 46, tzinfo=UTC)),
        ("2026-08-22T23:59:59.999999", datetime(2026, 8, 22, 23, 59, 59, 999999, tzinfo=UTC)),
    ],
)
def test_epochs_of_omm_are_utc_to_the_microsecond(written, moment):
    (read,) = orbit.parse_satellites(json.dumps({**ISS, "EPOCH": written}))
    assert read.epoch == moment
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    day = (moment - midnight).total_seconds() / 86400
    since_2000 = read.model.jdsatepoch - 2451544.5 + read.model.jdsatepochF - day
    assert since_2000 == pytest.approx((midnight - datetime(2000, 1, 1, tzinfo=UTC)).days, abs=1e-9)


def test_a_scan_gives_the_good_and_the_bad_in_order():
    wrong = f"a\n{ONE}\n{TWO}\nb\n{ONE[:-1]}0\n{TWO}\nc\n{ONE}\n{TWO}"
    for text, place in (
        (wrong, "f:5 (b): line 1 gives checksum '0'"),
        (_csv([{**ISS, "OBJECT_NAME": n, "INCLINATION": i} for n, i in
               (("a", 1), ("b", 251.6), ("c", 1))]), "f:3 (b): INCLINATION 251.6 is outside"),
    ):  # fmt: skip
        entries = list(orbit.scan_satellites(text, "f"))
        assert [getattr(entry, "name", None) for entry in entries] == ["a", None, "c"]
        assert str(entries[1]).startswith(place)
    assert len(orbit.parse_satellites(wrong, checksum="ignore")) == 3


# What is refused, in one line that names the place and the remedy.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{NAME}\n{ONE}\n", ":2 (ISS (ZARYA)): line 1 is not followed by a line 2"),
        (f"{TWO}\n", ":1 (25544): line 2 does not follow a line 1"),
        (f"{NAME}\n{TWO}\n", ":1: neither a line 1 or 2 nor a name"),
        (f"{ONE}\n{TWO}\n<html>\n<body>", ":3: neither a line 1 or 2 nor a name"),
        (f"\x1b[2J\n{ONE}\n{TWO}", ":1 ("),
        (f"{ONE[:50]}\n{TWO}", ":1 (25544): line 1 has 50 characters instead of 69"),
        (f"{ONE}\n{TWO}9", ":2 (25544): line 2 has 70 characters instead of 69"),
        (f"{ONE}\n{_edited(TWO, 3, '25545')}", ":2 (25544): catalogue number 25545 follows"),
        (f"{_edited(ONE, 3, 'I5544')}\n{TWO}", ":1: catalogue number 'I5544' is neither"),
        (f"{_edited(ONE, 3, '1 2 5')}\n{TWO}", ":1: catalogue number '1 2 5' is neither"),
        (f"{ONE}\n{_edited(TWO, 9, '181.0000')}", "inclination 181.0000 is outside 0 to 180"),
        (f"{ONE}\n{_edited(TWO, 9, '5x.6331 ')}", "inclination '5x.6331 ' is not a decimal"),
        (f"{ONE}\n{_edited(TWO, 18, '400.0000')}", "right ascension of the node 400.0000 is outs"),
        (f"{ONE}\n{_edited(TWO, 53, '00.00000000')}", "mean motion 00.00000000 is outside"),
        (f"{ONE}\n{_edited(TWO, 53, '18.50000248')}", "mean motion 18.50000248 is outside 1e-05"),
        (f"{ONE}\n{_edited(TWO, 27, '0 06317')}", "eccentricity '0 06317' is not seven digits"),
        (f"{_edited(ONE, 21, '000.50053383')}\n{TWO}", "epoch day 000.50053383 is outside"),
        (f"{_edited(ONE, 19, '26366.5')}\n{TWO}", "366.50053383 is beyond the 365 days of 2026"),
        (f"{_edited(ONE, 19, '57366.0')}\n{TWO}", "is beyond the 365 days of 1957"),
        (f"{_edited(ONE, 19, ' 6')}\n{TWO}", "epoch year ' 6' is not two digits"),
        (f"{_edited(ONE, 54, ' 1 2 3-4')}\n{TWO}", "BSTAR ' 1 2 3-4' is not of the form"),
        (f"{_edited(ONE, 45, '   1 2-3')}\n{TWO}", "rate of change '   1 2-3' is not of"),
        (f"{ONE}\n{_edited(TWO, 17, '9')}", ":2 (25544): column 17 is '9' instead of blank"),
        (f"{_edited(ONE, 33, '9')}\n{TWO}", ":1 (25544): column 33 is '9' instead of blank"),
        (f"{ONE[:64]}é{ONE[65:]}\n{TWO}", "not printable ASCII"),
        (f"{ONE[:-1]}0\n{TWO}", ":1 (25544): line 1 gives checksum '0' but its characters tally"),
        (f"{NAME}\n{_edited(ONE, 63, '4')}\n{TWO}", ":2 (ISS (ZARYA)): ephemeris type '4' is not"),
    ],
)
def test_broken_lines_are_refused_by_place_and_remedy(text, words):
    _assert_refused(text, ":", words)


@IN_EVERY_FORM
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"EPOCH": "22 Aug 2026"}, "EPOCH '22 Aug 2026' is not an ISO 8601 time"),
        ({"EPOCH": "2026-08-22T12:00:46+02:00"}, "is not an ISO 8601 time"),
        ({"EPOCH": "2026-400T12:00:46"}, "EPOCH 2026-400T12:00:46: "),
        ({"EPOCH": "2016-12-31T23:59:60"}, "EPOCH 2016-12-31T23:59:60: "),
        ({"EPOCH": "1926-08-22T12:00:46"}, "EPOCH 1926-08-22T12:00:46 is not in 1957 to 2100"),
        ({"EPOCH": "2026-366T12:00:46"}, "EPOCH 2026-366T12:00:46: 2026 has 365 days"),
        ({"MEAN_MOTION": 92.9}, "MEAN_MOTION 92.9 is outside 1e-05 to 18 rev/day"),
        ({"MEAN_MOTION": "1_5.4"}, "MEAN_MOTION '1_5.4' is not a decimal number"),
        ({"ECCENTRICITY": 1.0}, "ECCENTRICITY 1.0 is outside 0 to 0.9999999"),
        ({"INCLINATION": -1}, "INCLINATION -1 is outside 0 to 180 deg"),
        ({"MEAN_ANOMALY": "nan"}, "MEAN_ANOMALY 'nan' is not a decimal number"),
        ({"BSTAR": "1e999"}, "BSTAR 1e999 is outside -100 to 100 1/ER"),
        ({"EPOCH": " ", "BSTAR": ""}, "EPOCH, BSTAR are missing; add what is missing"),
        ({"NORAD_CAT_ID": "T0001"}, "NORAD_CAT_ID 'T0001' is no whole number"),
        ({"NORAD_CAT_ID": 1000000000}, "NORAD_CAT_ID '1000000000' is no whole number"),
        ({"EPHEMERIS_TYPE": 4}, "EPHEMERIS_TYPE '4' is not 0; get elements made for SGP4"),
    ],
)
def test_wrong_fields_are_refused_by_entry_and_name(write, change, words):
    place = ":3 (ISS (ZARYA)): " if write is _csv else " entry 2 (ISS (ZARYA)): "
    _assert_refused(write([DEEP, {**ISS, **change}]), place, words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"TIME_SYSTEM": "TAI"}, "TIME_SYSTEM 'TAI' is not UTC; give EPOCH in UTC"),
        ({"MEAN_ELEMENT_THEORY": "SGP4-XP"}, "MEAN_ELEMENT_THEORY 'SGP4-XP' is not SGP4"),
        ({"REF_FRAME": "EME2000"}, "REF_FRAME 'EME2000' is not TEME"),
        ({"CENTER_NAME": "MARS"}, "CENTER_NAME 'MARS' is not EARTH"),
        ({"BSTAR": True}, "BSTAR True is no text or number"),
        ({"BSTAR": [0.1]}, "BSTAR [0.1] is no text or number"),
        ({"MEAN_MOTION": None, "MEAN_MOTON": 15}, "rename the unknown field 'MEAN_MOTON'"),
        ({"MEAN_MOTION": None, "mean_motion": 15}, "rename the unknown field 'mean_motion'"),
        ({"OBJECT_NAME": "\x1b[2J"}, "OBJECT_NAME '\\x1b[2J' has characters that cannot be shown"),
    ],
)
def test_other_frames_types_and_spellings_are_refused(change, words):
    _assert_refused(json.dumps([{**ISS, **change}]), " entry 1", words)


HEAD, ROW = CSV.splitlines()


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", ":1", "no elements found; give two-line elements, or OMM as JSON, CSV or XML"),
        ("\ufeff \r\n", ":1", "no elements found"),
        ("# nothing\n\n", ":1", "no elements found"),
        ("[]", ":1", "no elements found"),
        (f"{HEAD}\n", ":1", "no elements found"),
        ("<ndm/>", ":1", "no elements found"),
        ("name,latitude\na,1\n", ":1", "no element sets, it starts with 'name,latitude'; give"),
        ("CCSDS_OMM_VERS = 2.0\nOBJECT_NAME = ISS", ":1", "OMM in KVN, which is not read; give"),
        ("x" * 10**6, ":1", f"no element sets, it starts with '{40 * 'x'}'; give"),
        ("[1]", " entry 1", "is int instead of an object"),
        ("[\n{", ":2", "broken JSON at line 2, column 2: "),
        ("[" * 100000, ":1", "JSON that cannot be read: "),
        ("<ndm>\n<omm>", ":2", "broken XML: no element found: line 2, column 5"),
        ("<html></html>", ":1", "XML of <html> instead of <ndm> or <omm>"),
        ('<!DOCTYPE ndm [<!ENTITY a "b">]><ndm/>', ":1", "XML with a DOCTYPE or ENTITY; remove"),
        (_omm(ISS).replace("<INCLINATION>", '<INCLINATION units="rad">'), " entry 1 (ISS (ZARYA))",
         "INCLINATION is in 'rad'; give it in deg"),
        (f"{HEAD}\n{ROW},3\n", ":2", "11 columns where the header has 10"),
        (f'{HEAD}\n{ROW}\n"', ":3", "broken CSV: "),
        (f"{HEAD},BSTAR\n{ROW},1\n", ":1", "a column is given twice"),
    ],
)  # fmt: skip
def test_files_without_elements_are_refused_in_one_line(text, place, words):
    _assert_refused(text, f"{place}: ", words)


def _assert_refused(text, place, words):
    with pytest.raises(orbit.ElementError) as caught:
        orbit.parse_satellites(text, "some.dat")
    message = str(caught.value)
    assert message.startswith(f"some.dat{place}") and words in message
    assert ";" in message and "\n" not in message and len(message) < 300


def test_a_bomb_of_entities_is_refused_unread():
    levels = [f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)]
    before = time.perf_counter()
    with pytest.raises(orbit.ElementError, match="DOCTYPE or ENTITY"):
        orbit.parse_satellites(f'<!DOCTYPE b [<!ENTITY a0 "x">{"".join(levels)}]><omm>&a11;</omm>')
    assert time.perf_counter() - before < 1


def test_what_is_no_text_file_is_refused(tmp_path):
    path = tmp_path / "mine.json"
    path.write_bytes(b"\xff\xfe[\x00]\x00")
    with pytest.raises(orbit.ElementError, match=r"mine\.json:1: not UTF-8 text .*; give two-line"):
        orbit.read_satellites(str(path))
    with pytest.raises(FileNotFoundError):
        orbit.read_satellites(tmp_path / "none.tle")
    for text in (None, b"abc", ["1 25544U"]):
        with pytest.raises(ValueError, match=f"a {type(text).__name__} is no text; give the text"):
            orbit.scan_satellites(text)
    with pytest.raises(ValueError, match="checksum 'skip' is unknown"):
        orbit.scan_satellites("", checksum="skip")


def test_no_wrong_digit_and_no_lost_character_is_let_through():
    for line, place in ((line, place) for line in (0, 1) for place in range(68)):
        lines, whole = [ONE, TWO], [ONE, TWO][line]
        lines[line] = whole[:place] + whole[place + 1 :]
        with pytest.raises(orbit.ElementError):
            orbit.parse_satellites("\n".join(lines), checksum="ignore")
        if whole[place].isdigit():
            lines[line] = whole[:place] + str((int(whole[place]) + 7) % 10) + whole[place + 1 :]
            with pytest.raises(orbit.ElementError):
                orbit.parse_satellites("\n".join(lines))


@given(st.sampled_from(["", "[", "{", "<", f"{HEAD}\n", f"{ONE}\n"]), st.text(max_size=200))
def test_any_text_gives_single_lines(first, rest):
    for entry in orbit.scan_satellites(first + rest):
        assert isinstance(entry, orbit.ElementError) and len(str(entry).splitlines()) == 1


@given(st.dictionaries(st.sampled_from(sorted(ISS)), st.none() | st.integers() | st.text()))
def test_any_fields_give_a_satellite_or_one_line(change):
    for entry in orbit.scan_satellites(json.dumps([{**ISS, **change}])):
        if not isinstance(entry, orbit.Satellite):
            assert len(str(entry).splitlines()) == 1


@given(
    st.sampled_from([(ONE, 45, 8), (ONE, 54, 8), (ONE, 21, 12), (ONE, 34, 10), (TWO, 9, 8),
                     (TWO, 18, 8), (TWO, 27, 7), (TWO, 35, 8), (TWO, 44, 8), (TWO, 53, 11)]),
    st.text(" +-.01239", min_size=12, max_size=12),
)  # fmt: skip
def test_whatever_stands_in_a_column_sgp4_gets_finite_numbers(column, noise):
    line, first, width = column
    edited = _edited(line, first, noise[:width])
    (read,) = orbit.scan_satellites(f"{edited}\n{TWO}" if line is ONE else f"{ONE}\n{edited}")
    if isinstance(read, orbit.Satellite):
        names = ("bstar", "ndot", "nddot", "ecco", "no_kozai", "jdsatepochF")
        assert all(isfinite(getattr(read.model, name)) for name in names)
    else:
        assert isinstance(read, orbit.ElementError)


# Satellites.


def test_satellites_and_their_errors_say_what_they_are_in_one_line():
    made = orbit.circular_satellite("Paul", 600.0, 53.0, 10.0, 20.0, START)
    assert repr(made) == "Satellite('Paul', norad_id=0, epoch=2026-08-22T12:00:00Z)"
    error = orbit.ElementError.at("a.tle:3", "ISS\n(ZARYA)" + 90 * "x", "is broken", "mend it")
    assert str(error).startswith("a.tle:3 (ISS (ZARYA)xxx")
    assert str(error).endswith("x): is broken; mend it") and len(str(error)) < 100
    assert str(orbit.ElementError.at("f", "", "broken", "mend it")) == "f: broken; mend it"


def test_skyfields_own_satellites_are_taken():
    timescale = load.timescale(builtin=True)
    theirs = EarthSatellite(ONE, TWO, NAME, timescale)
    ours = orbit.as_satellite(theirs)
    assert ours == orbit.parse_satellites(f"{NAME}\n{ONE}\n{TWO}")[0]
    assert ours.model is theirs.model and orbit.as_satellite(ours) is ours
    assert orbit.as_satellite(EarthSatellite(ONE, TWO, None, timescale)).name == "25544"
    back = orbit.as_satellite(EarthSatellite.from_satrec(CIRCLES[3].model, timescale))
    assert (back.name, back.norad_id, back.epoch) == ("0", 0, START)
    for thing in ("ISS", None):
        with pytest.raises(ValueError, match=r"^a \w+ is no satellite; give one of[^\n]+$"):
            orbit.as_satellite(thing)


# The package.


def test_the_package_offers_what_it_promises():
    for name in orbit.__all__:
        assert getattr(orbit, name).__module__.startswith("orbit.") and getattr(orbit, name).__doc__
    assert dir(orbit) == sorted(orbit.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Sattelite'"):
        _ = orbit.Sattelite


@pytest.mark.process
@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import orbit", {"numpy", "pandas", "torch", "matplotlib", "scipy", "skyfield"}),
        ("import orbit\ntry: orbit.as_satellite('ISS')\nexcept ValueError: pass", {"skyfield"}),
        ("import orbit; from datetime import datetime, timedelta, timezone\n"
         "t = datetime(2026, 8, 22, tzinfo=timezone.utc)\n"
         "s = orbit.circular_satellite('c', 600, 53, 0, 0, t)\n"
         "orbit.contact_windows([s], [orbit.Site('a', 0, 0)], t, t + timedelta(days=1), 10)",
         {"pandas", "torch", "matplotlib", "scipy", "simpy"}),
    ],
)  # fmt: skip
def test_no_heavy_library_is_loaded_without_need(code, unwanted):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True, cwd=Path(orbit.__file__).parents[1],
    )  # fmt: skip
    assert unwanted.isdisjoint(name.partition(".")[0] for name in done.stdout.split())
