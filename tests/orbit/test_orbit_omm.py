"""Orbit Mean-Elements Messages: the same satellites as two-line elements, and what is refused."""

import csv
import io
import json
from datetime import UTC, datetime
from xml.sax.saxutils import escape

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit

# Written by hand from the columns of each other; a low orbit and one that SGP4 calls deep space.
TLE = """\
ISS (ZARYA)
1 25544U 98067A   26234.50053383  .00009133  00000+0  17025-3 0  9997
2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031
DEEP <&> SPACE, ONE
1 08195U 75081A   06176.33215444  .00000099  00000-0  11873-3 0   813
2 08195  64.1586 279.0717 6877146 264.7651  20.2257  2.00491383225656
"""
ISS = {
    "OBJECT_NAME": "ISS (ZARYA)", "OBJECT_ID": "1998-067A",
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
    about |= {"MEAN_ELEMENT_THEORY": "SGP4"}
    about |= {key: fields[key] for key in ("OBJECT_NAME", "OBJECT_ID")}
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


def _apart_mm(one, other):
    """The largest distance of two satellites over two weeks about the first one's epoch."""
    days = np.linspace(-7, 7, 57)
    whole = np.full(days.shape, one.model.jdsatepoch)
    states = [s.model.sgp4_array(whole, one.model.jdsatepochF + days) for s in (one, other)]
    np.testing.assert_array_equal(states[0][0], states[1][0])
    good = states[0][0] == 0
    assert good.any()
    return 1e6 * np.linalg.norm(states[0][1] - states[1][1], axis=1)[good].max()


@pytest.mark.parametrize("write", FORMS.values(), ids=FORMS)
def test_omm_and_two_line_elements_of_the_same_satellites_are_the_same(write):
    told, lines = orbit.parse_satellites(write([ISS, DEEP])), orbit.parse_satellites(TLE)
    assert told == lines
    assert [satellite.norad_id for satellite in told] == [25544, 8195]
    for one, other in zip(told, lines, strict=True):
        assert one.revolutions_per_day == pytest.approx(other.revolutions_per_day, rel=1e-14)
        assert _apart_mm(one, other) < 1


@pytest.mark.parametrize("ending", ["json", "csv"])
def test_published_omm_and_two_line_elements_are_the_same(element_files, ending):
    lines = orbit.read_satellites(element_files / "skyfield_stations.tle")
    told = orbit.read_satellites(element_files / f"skyfield_stations.{ending}")
    assert told == lines and len(told) > 20
    assert max(map(_apart_mm, told, lines)) < 1


@pytest.mark.parametrize("ending", ["json", "csv", "xml"])
def test_published_samples_are_read(element_files, ending):
    (read,) = orbit.read_satellites(element_files / f"python-sgp4_sample_omm.{ending}")
    assert (read.name, read.norad_id) == ("VANGUARD 1", 5)
    assert read.model.sgp4_tsince(0.0)[0] == 0


@pytest.mark.parametrize("write", FORMS.values(), ids=FORMS)
def test_nine_digit_numbers_are_kept(write):
    (read,) = orbit.parse_satellites(write([{**ISS, "NORAD_CAT_ID": 799999999}]))
    assert read.norad_id == 799999999
    assert _apart_mm(read, orbit.parse_satellites(TLE)[0]) < 1


@pytest.mark.parametrize("write", FORMS.values(), ids=FORMS)
def test_numbers_that_became_floats_are_whole_again(write):
    (read,) = orbit.parse_satellites(write([{**ISS, "NORAD_CAT_ID": 25544.0, "OBJECT_NAME": " "}]))
    assert (read.norad_id, read.name) == (25544, "25544")


def test_one_object_duplicates_and_strings_for_numbers_are_fine():
    (one,) = orbit.parse_satellites(json.dumps(ISS))
    words = {key: str(value) for key, value in ISS.items()}
    twice = orbit.parse_satellites("\ufeff" + json.dumps([words, words]))
    assert twice == [one, one]


def test_fields_that_sgp4_does_not_need_may_be_missing_or_unknown():
    needed = {key: ISS[key] for key in ("BSTAR", "NORAD_CAT_ID", *MEAN)}
    (read,) = orbit.parse_satellites(json.dumps({**needed, "RCS_SIZE": None, "FILE": 3}))
    assert read.name == "25544"
    assert _apart_mm(read, orbit.parse_satellites(TLE)[0]) < 1


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-08-22T12:00:46.122912Z", datetime(2026, 8, 22, 12, 0, 46, 122912, tzinfo=UTC)),
        ("2026-08-22T12:00:46", datetime(2026, 8, 22, 12, 0, 46, tzinfo=UTC)),
        ("2026-08-22T12:00:46.5Z", datetime(2026, 8, 22, 12, 0, 46, 500000, tzinfo=UTC)),
        ("2024-366T12:00:46", datetime(2024, 12, 31, 12, 0, 46, tzinfo=UTC)),
        ("2026-234T12:00:46", datetime(2026, 8, 22, 12, 0, 46, tzinfo=UTC)),
        ("2026-08-22T23:59:59.999999", datetime(2026, 8, 22, 23, 59, 59, 999999, tzinfo=UTC)),
    ],
)
def test_epochs_are_utc_to_the_microsecond(written, moment):
    (read,) = orbit.parse_satellites(json.dumps({**ISS, "EPOCH": written}))
    assert read.epoch == moment
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    day = (moment - midnight).total_seconds() / 86400
    whole = read.model.jdsatepoch - 2451544.5
    assert whole + read.model.jdsatepochF - day == pytest.approx(
        (midnight - datetime(2000, 1, 1, tzinfo=UTC)).days, abs=1e-11
    )


def test_epoch_and_model_are_the_same_instant():
    (read,) = orbit.parse_satellites(json.dumps(ISS))
    assert read.model.jdsatepochF * 86400e6 == pytest.approx(43246122912, abs=0.01)


@pytest.mark.parametrize("write", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"EPOCH": "22 Aug 2026"}, "EPOCH '22 Aug 2026' is not an ISO 8601 time"),
        ({"EPOCH": "2026-08-22T12:00:46+02:00"}, "is not an ISO 8601 time"),
        ({"EPOCH": "2026-08-32T12:00:46"}, "EPOCH 2026-08-32T12:00:46: "),
        ({"EPOCH": "2026-400T12:00:46"}, "EPOCH 2026-400T12:00:46: "),
        ({"EPOCH": "2016-12-31T23:59:60"}, "EPOCH 2016-12-31T23:59:60: "),
        ({"EPOCH": "1926-08-22T12:00:46"}, "EPOCH 1926-08-22T12:00:46 is not in 1957 to 2100"),
        ({"EPOCH": "2101-01-01T00:00:00"}, "is not in 1957 to 2100; correct the year"),
        ({"EPOCH": "2026-366T12:00:46"}, "EPOCH 2026-366T12:00:46: 2026 has 365 days"),
        ({"NORAD_CAT_ID": "25544.5"}, "NORAD_CAT_ID '25544.5' is no whole number"),
        ({"MEAN_MOTION": 0}, "MEAN_MOTION 0 is outside 1e-05 to 18 rev/day"),
        ({"MEAN_MOTION": 92.9}, "MEAN_MOTION 92.9 is outside"),
        ({"MEAN_MOTION": "1_5.4"}, "MEAN_MOTION '1_5.4' is not a decimal number"),
        ({"ECCENTRICITY": 1.0}, "ECCENTRICITY 1.0 is outside 0 to 0.9999999"),
        ({"ECCENTRICITY": 7668}, "ECCENTRICITY 7668 is outside"),
        ({"INCLINATION": -1}, "INCLINATION -1 is outside 0 to 180 deg"),
        ({"RA_OF_ASC_NODE": 360.5}, "RA_OF_ASC_NODE 360.5 is outside 0 to 360 deg"),
        ({"ARG_OF_PERICENTER": "nan"}, "ARG_OF_PERICENTER 'nan' is not a decimal number"),
        ({"MEAN_ANOMALY": "inf"}, "MEAN_ANOMALY 'inf' is not a decimal number"),
        ({"BSTAR": "1e999"}, "BSTAR 1e999 is outside -100 to 100 1/ER"),
        ({"BSTAR": ""}, "BSTAR is missing; add what is missing"),
        ({"EPOCH": " ", "BSTAR": ""}, "EPOCH, BSTAR are missing"),
        ({"NORAD_CAT_ID": "T0001"}, "NORAD_CAT_ID 'T0001' is no whole number"),
        ({"NORAD_CAT_ID": 1000000000}, "NORAD_CAT_ID '1000000000' is no whole number"),
        ({"NORAD_CAT_ID": -5}, "NORAD_CAT_ID '-5' is no whole number"),
        ({"EPHEMERIS_TYPE": 4}, "EPHEMERIS_TYPE '4' is not 0; get elements made for SGP4"),
    ],
)
def test_wrong_fields_are_refused_by_file_entry_and_name(write, change, words):
    with pytest.raises(orbit.ElementError) as caught:
        orbit.parse_satellites(write([DEEP, {**ISS, **change}]), "some.omm")
    message = str(caught.value)
    where = "some.omm:3" if write is _csv else "some.omm entry 2"
    assert message.startswith(f"{where} (ISS (ZARYA)): ")
    assert words in message
    assert ";" in message and "\n" not in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"TIME_SYSTEM": "TAI"}, "TIME_SYSTEM 'TAI' is not UTC; give EPOCH in UTC"),
        ({"MEAN_ELEMENT_THEORY": "SGP4-XP"}, "MEAN_ELEMENT_THEORY 'SGP4-XP' is not SGP4"),
        ({"REF_FRAME": "EME2000"}, "REF_FRAME 'EME2000' is not TEME"),
        ({"CENTER_NAME": "MARS"}, "CENTER_NAME 'MARS' is not EARTH"),
        ({"BSTAR": True}, "BSTAR True is no text or number"),
        ({"BSTAR": [0.1]}, "BSTAR [0.1] is no text or number"),
        ({"BSTAR": float("nan")}, "BSTAR 'nan' is not a decimal number"),
        ({"NORAD_CAT_ID": 25544.5}, "NORAD_CAT_ID '25544.5' is no whole number"),
    ],
)
def test_other_frames_theories_and_types_are_refused(change, words):
    with pytest.raises(orbit.ElementError) as caught:
        orbit.parse_satellites(json.dumps([{**ISS, **change}]), "some.json")
    assert str(caught.value).startswith(f"some.json entry 1 (ISS (ZARYA)): {words}")


@pytest.mark.parametrize(
    ("written", "name"),
    [("  A\nB\t C ", "A B C"), ("\ud83d", "?"), ("", "25544"), (None, "25544"), (7, "7")],
)
def test_names_are_one_line_that_can_be_written(written, name):
    (read,) = orbit.parse_satellites(json.dumps({**ISS, "OBJECT_NAME": written}))
    assert read.name == name


def test_what_sgp4_wants_may_be_said_outright():
    said = {"TIME_SYSTEM": "UTC", "MEAN_ELEMENT_THEORY": "SGP4", "REF_FRAME": "TEME"}
    assert orbit.parse_satellites(json.dumps({**ISS, **said})) == orbit.parse_satellites(
        json.dumps(ISS)
    )


@pytest.mark.parametrize("wrong", ["MEAN_MOTON", "mean_motion"])
def test_a_misspelt_field_is_named(wrong):
    fields = {**ISS, wrong: ISS["MEAN_MOTION"]}
    del fields["MEAN_MOTION"]
    with pytest.raises(orbit.ElementError) as caught:
        orbit.parse_satellites(json.dumps(fields))
    assert f"MEAN_MOTION is missing; rename the unknown field '{wrong}'" in str(caught.value)


def test_units_in_xml_are_checked():
    right = _xml([ISS]).replace("<INCLINATION>", '<INCLINATION units="deg">')
    right = right.replace("<MEAN_MOTION>", '<MEAN_MOTION units="REV/DAY">')
    assert orbit.parse_satellites(right) == orbit.parse_satellites(_xml([ISS]))
    with pytest.raises(orbit.ElementError, match="INCLINATION is in 'rad'; give it in deg"):
        orbit.parse_satellites(right.replace('"deg"', '"rad"'))


def test_xml_may_have_namespaces_or_be_a_single_message():
    (iss,) = orbit.parse_satellites(json.dumps(ISS))
    bare = _omm(ISS)
    assert orbit.parse_satellites(bare) == [iss]
    spaced = bare.replace("<omm>", '<omm xmlns="urn:ccsds:schema:ndmxml">', 1)
    assert orbit.parse_satellites(spaced) == [iss]


@given(st.dictionaries(st.sampled_from(sorted(ISS)), st.none() | st.integers() | st.text()))
def test_any_fields_give_a_satellite_or_one_line(change):
    for entry in orbit.scan_satellites(json.dumps([{**ISS, **change}])):
        if isinstance(entry, orbit.ElementError):
            assert len(str(entry).splitlines()) == 1
        else:
            assert isinstance(entry, orbit.Satellite)
