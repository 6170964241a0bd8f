"""What format element sets are in is seen from their content; files are refused in one line."""

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit

ONE = "1 25544U 98067A   26234.50053383  .00009133  00000+0  17025-3 0  9997"
TWO = "2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031"
HEAD = (
    "OBJECT_NAME,EPOCH,MEAN_MOTION,ECCENTRICITY,INCLINATION,RA_OF_ASC_NODE,ARG_OF_PERICENTER,"
    "MEAN_ANOMALY,NORAD_CAT_ID,BSTAR"
)
ROW = "ISS,2026-08-22T12:00:46.122912,15.49570248,.0007668,51.6331,331.8814,72.6488,287.5339,25544"
ROW += ",.17025E-3"


def _forms():
    fields = dict(zip(HEAD.split(","), ROW.split(","), strict=True))
    leaves = "".join(f"<{key}>{value}</{key}>" for key, value in fields.items())
    return {
        "three lines": f"ISS\n{ONE}\n{TWO}\n",
        "three lines, odd name": f"ISS\n{ONE}\n{TWO}\n".replace("ISS", "0 ISS "),
        "comment first": f"# got today\nISS\n{ONE}\n{TWO}",
        "csv": f"{HEAD}\n{ROW}\n",
        "csv with blank lines": f"\n{HEAD}\n\n{ROW}\n,,,,,,,,,\n",
        "csv in quotes": re.sub(r"[^,\n]+", r'"\g<0>"', f"{HEAD}\n{ROW}\n"),
        "csv below a comment": f"# got today\n{HEAD}\n{ROW}\n",
        "json list": json.dumps([fields]),
        "json object": "\n  " + json.dumps(fields, indent=1),
        "xml": f"\n<omm><body><segment>{leaves}</segment></body></omm>",
    }


@pytest.mark.parametrize("text", _forms().values(), ids=_forms())
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["bare", "with a byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_all_formats_give_the_same_satellite(tmp_path, text, mark, end):
    wanted = orbit.parse_satellites(f"ISS\n{ONE}\n{TWO}")
    text = mark + text.replace("\n", end)
    path = tmp_path / "elements.dat"
    path.write_bytes(text.encode())
    assert orbit.read_satellites(path) == wanted
    assert orbit.parse_satellites(text) == wanted
    assert list(orbit.scan_satellites(text)) == wanted


def test_a_name_that_looks_like_another_format_is_a_name():
    for name in ("[DTV] ONE", "<ISS>", "{1}", "EPOCH"):
        (read,) = orbit.parse_satellites(f"{name}\n{ONE}\n{TWO}")
        assert read.name == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "f:1: no elements found; give two-line elements, or OMM as JSON, CSV or XML"),
        ("\ufeff \r\n", "f:1: no elements found"),
        ("[]", "f:1: no elements found"),
        (f"{HEAD}\n", "f:1: no elements found"),
        ("<ndm/>", "f:1: no elements found"),
        ("hello\nworld", "f:1: no element sets, it starts with 'hello'; give two-line elements"),
        ("name,latitude\na,1\n", "f:1: no element sets, it starts with 'name,latitude'; give"),
        (
            "CCSDS_OMM_VERS = 2.0\nCREATION_DATE = 2026-08-22T00:00:00\nOBJECT_NAME = ISS",
            "f:1: OMM in KVN, which is not read; give JSON, CSV or XML",
        ),
        ("x" * 10**6, f"f:1: no element sets, it starts with '{40 * 'x'}'; give"),
        ("[1]", "f entry 1: is int instead of an object"),
        ("[\n{", "f:2: broken JSON at line 2, column 2: "),
        (json.dumps([{"EPOCH": 1}] * 3)[:-5], "f:1: broken JSON at line 1, column "),
        ("[" * 100000, "f:1: JSON that cannot be read: "),
        ('[{"BSTAR": ' + "1" * 5000 + "}]", "f:1: JSON that cannot be read: "),
        ("<ndm>\n<omm>", "f:2: broken XML: no element found: line 2, column 5"),
        ("<html></html>", "f:1: XML of <html> instead of <ndm> or <omm>"),
        ('<!DOCTYPE ndm [<!ENTITY a "b">]><ndm/>', "f:1: XML with a DOCTYPE or ENTITY; remove"),
        (f"{HEAD}\n{ROW},3\n", "f:2: 11 columns where the header has 10"),
        (f"{HEAD}\n{ROW[:-5]}x\n", "f:2 (ISS): BSTAR '.170x' is not a decimal number"),
        (f'{HEAD}\n{ROW}\n"', "f:3: broken CSV: "),
        (f"{HEAD},BSTAR\n{ROW},1\n", "f:1: a column is given twice"),
        (f"{HEAD[:-6]}\n{ROW[:-10]}\n", "f:2 (ISS): BSTAR is missing"),
    ],
)
def test_files_that_hold_no_elements_are_refused_in_one_line(text, words):
    with pytest.raises(orbit.ElementError) as caught:
        orbit.parse_satellites(text, "f")
    message = str(caught.value)
    assert message.startswith(words)
    assert ";" in message and "\n" not in message and len(message) < 300


def test_a_bomb_of_entities_is_refused_unread():
    levels = [f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)]
    text = f'<!DOCTYPE b [<!ENTITY a0 "x">{"".join(levels)}]><omm>&a11;</omm>'
    before = time.perf_counter()
    with pytest.raises(orbit.ElementError, match="DOCTYPE or ENTITY"):
        orbit.parse_satellites(text)
    assert time.perf_counter() - before < 1


def test_a_scan_gives_the_good_and_the_bad_in_order():
    text = f"{HEAD}\n{ROW}\n{ROW.replace('51.6331', '251.6331')}\n{ROW.replace('ISS', 'TOO')}\n"
    good, bad, other = orbit.scan_satellites(text, "f.csv")
    assert (good.name, other.name) == ("ISS", "TOO")
    assert str(bad).startswith("f.csv:3 (ISS): INCLINATION 251.6331 is outside 0 to 180 deg")


def test_an_unknown_way_with_checksums_is_refused_at_once():
    with pytest.raises(ValueError, match="checksum 'skip' is unknown"):
        orbit.scan_satellites("", checksum="skip")


@pytest.mark.parametrize("text", [None, b"abc", 3, ["1 25544U"]])
def test_what_is_no_text_is_refused_in_one_line(text):
    for read in (orbit.parse_satellites, orbit.scan_satellites):
        with pytest.raises(ValueError, match=f"a {type(text).__name__} is no text; give the text"):
            read(text)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "mine.json"
    path.write_bytes(b"\xff\xfe[\x00]\x00")
    with pytest.raises(orbit.ElementError, match=r"mine\.json:1: not UTF-8 text .*; give two-line"):
        orbit.read_satellites(path)


@given(st.sampled_from(["", "[", "{", "<", f"{HEAD}\n", f"{ONE}\n"]), st.text(max_size=200))
def test_any_text_gives_satellites_or_single_lines(first, rest):
    for entry in orbit.scan_satellites(first + rest):
        assert isinstance(entry, orbit.ElementError)
        assert len(str(entry).splitlines()) == 1
