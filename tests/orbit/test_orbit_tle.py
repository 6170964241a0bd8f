"""Two-line elements: what is read, and what is refused with a line that teaches."""

from datetime import UTC, datetime, timedelta
from math import isfinite, radians

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sgp4.api import Satrec
from sgp4.io import fix_checksum

import orbit

NAME = "ISS (ZARYA)"
ONE = "1 25544U 98067A   26234.50053383  .00009133  00000+0  17025-3 0  9997"
TWO = "2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031"


def _edited(line, first, text):
    """`line` with `text` written from column `first` (counted from 1), its checksum mended."""
    return fix_checksum(line[: first - 1] + text + line[first - 1 + len(text) :])


@pytest.mark.parametrize(
    "text",
    [
        f"{NAME}\n{ONE}\n{TWO}\n",
        f"0 {NAME}   \r\n{ONE}\r\n{TWO}\r\n",
        f"\n# from somewhere\n{NAME}\n\n{ONE}\n{TWO}",
    ],
)
def test_names_line_ends_blank_lines_and_comments_do_not_matter(text):
    (iss,) = orbit.parse_satellites(text)
    assert (iss.name, iss.norad_id) == (NAME, 25544)
    assert iss.epoch.replace(microsecond=0) == datetime(2026, 8, 22, 12, 0, 46, tzinfo=UTC)
    truth = Satrec.twoline2rv(ONE, TWO)
    when = truth.jdsatepoch, truth.jdsatepochF + 0.3
    assert iss.model.sgp4(*when) == truth.sgp4(*when)


def test_a_satellite_without_a_name_is_called_by_its_number():
    names = [
        satellite.name
        for satellite in orbit.parse_satellites(f"{ONE}\n{TWO}\n{NAME}\n{ONE}\n{TWO}")
    ]
    assert names == ["25544", NAME]


@pytest.mark.parametrize(
    ("written", "number"),
    [("B1234", 111234), ("A0000", 100000), ("J0001", 180001), ("Z9999", 339999), ("    5", 5)],
)
def test_catalogue_numbers_are_read_in_alpha_5(written, number):
    text = _edited(ONE, 3, written) + "\n" + _edited(TWO, 3, written)
    assert orbit.parse_satellites(text)[0].norad_id == number


def test_files_are_read_with_their_path_in_messages(tmp_path):
    path = tmp_path / "mine.tle"
    path.write_bytes(f"\ufeff{NAME}\r\n{ONE}\r\n{TWO}\r\n".encode())
    assert orbit.read_satellites(path) == orbit.parse_satellites(f"{NAME}\n{ONE}\n{TWO}")
    path.write_text(f"{NAME}\n{ONE}\n{TWO[:-1]}0\n")
    with pytest.raises(
        orbit.ElementError, match=r"mine\.tle:3 \(ISS \(ZARYA\)\): line 2 gives checksum '0'"
    ):
        orbit.read_satellites(str(path))
    assert len(orbit.read_satellites(path, checksum="ignore")) == 1
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(orbit.ElementError, match="not UTF-8 text"):
        orbit.read_satellites(path)
    with pytest.raises(FileNotFoundError):
        orbit.read_satellites(tmp_path / "none.tle")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ":1: no elements found"),
        ("# nothing\n\n", ":1: no elements found"),
        (f"{NAME}\n{ONE}\n", ":2 (ISS (ZARYA)): line 1 is not followed by a line 2"),
        (f"{ONE}\n{ONE}\n{TWO}", ":1 (25544): line 1 is not followed"),
        (f"{TWO}\n", ":1 (25544): line 2 does not follow a line 1"),
        (f"{NAME}\n{TWO}\n", ":1: neither a line 1 or 2 nor a name"),
        (f"{ONE}\n{TWO}\nleft over", ":3: neither a line 1 or 2 nor a name"),
        (f"{ONE}\n{TWO}\n<html>\n<body>", ":3: neither a line 1 or 2 nor a name"),
        (f"{ONE[:50]}\n{TWO}", ":1 (25544): line 1 has 50 characters instead of 69"),
        (f"{ONE}\n{TWO}9", ":2 (25544): line 2 has 70 characters instead of 69"),
        (
            f"{ONE}\n{_edited(TWO, 3, '25545')}",
            ":2 (25544): catalogue number 25545 follows line 1 of 25544",
        ),
        (f"{_edited(ONE, 3, 'I5544')}\n{TWO}", ":1: catalogue number 'I5544' is neither"),
        (f"{ONE}\n{_edited(TWO, 9, '181.0000')}", "inclination 181.0000 is outside 0 to 180"),
        (f"{ONE}\n{_edited(TWO, 9, '5x.6331 ')}", "inclination '5x.6331 ' is not a decimal"),
        (f"{ONE}\n{_edited(TWO, 53, '00.00000000')}", "mean motion 00.00000000 is outside"),
        (f"{ONE}\n{_edited(TWO, 27, '00x7668')}", "eccentricity '00x7668' is not seven digits"),
        (f"{_edited(ONE, 21, '000.50053383')}\n{TWO}", "epoch day 000.50053383 is outside"),
        (f"{_edited(ONE, 19, 'xx')}\n{TWO}", "epoch year 'xx' is not two digits"),
        (f"{_edited(ONE, 54, ' 17025e3')}\n{TWO}", "BSTAR ' 17025e3' is not of the form"),
        (f"{_edited(ONE, 54, '     0+0')}\n{TWO}", "BSTAR '     0+0' is not of the form"),
        (f"{_edited(ONE, 54, '+    3-4')}\n{TWO}", "BSTAR '+    3-4' is not of the form"),
        (f"{_edited(ONE, 54, ' 1 2 3-4')}\n{TWO}", "BSTAR ' 1 2 3-4' is not of the form"),
        (f"{_edited(ONE, 54, ' ' * 8)}\n{TWO}", "BSTAR '        ' is not of the form"),
        (f"{_edited(ONE, 45, '   1 2-3')}\n{TWO}", "rate of change '   1 2-3' is not of"),
        (f"{_edited(ONE, 3, 'A 1 5')}\n{TWO}", ":1: catalogue number 'A 1 5' is neither"),
        (f"{_edited(ONE, 3, '1 2 5')}\n{TWO}", ":1: catalogue number '1 2 5' is neither"),
        (f"{_edited(ONE, 3, '     ')}\n{TWO}", ":1: catalogue number '     ' is neither"),
        (f"{ONE}\n{_edited(TWO, 27, '0 06317')}", "eccentricity '0 06317' is not seven digits"),
        (f"{_edited(ONE, 19, ' 6')}\n{TWO}", "epoch year ' 6' is not two digits"),
        (
            f"{_edited(ONE, 19, '26366.5')}\n{TWO}",
            "366.50053383 is beyond the 365 days of 2026",
        ),
        (f"{_edited(ONE, 19, '57366.0')}\n{TWO}", "is beyond the 365 days of 1957"),
        (f"{ONE}\n{_edited(TWO, 17, '9')}", ":2 (25544): column 17 is '9' instead of blank"),
        (f"{_edited(ONE, 33, '9')}\n{TWO}", ":1 (25544): column 33 is '9' instead of blank"),
        (f"{ONE[:64]}é{ONE[65:]}\n{TWO}", "not printable ASCII"),
        (
            f"{ONE[:-1]}0\n{TWO}",
            ":1 (25544): line 1 gives checksum '0' but its characters tally to 7",
        ),
        (
            f"{NAME}\n{fix_checksum(ONE[:62] + '4' + ONE[63:])}\n{TWO}",
            ":2 (ISS (ZARYA)): ephemeris type '4' is not for SGP4 (4 is SGP4-XP)",
        ),
        (f"{ONE[:-1]} \n{TWO}", ":1 (25544): line 1 has 68 characters"),
    ],
)
def test_broken_elements_are_refused_with_file_line_and_remedy(text, words):
    with pytest.raises(orbit.ElementError) as caught:
        orbit.parse_satellites(text, source="some.tle")
    message = str(caught.value)
    assert message.startswith("some.tle:")
    assert words in message
    assert "\n" not in message
    assert ";" in message


@given(line=st.sampled_from([0, 1]), place=st.integers(0, 67), digit=st.integers(0, 9))
def test_no_single_wrong_digit_is_let_through(line, place, digit):
    lines = [ONE, TWO]
    if lines[line][place].isdigit() and lines[line][place] != str(digit):
        lines[line] = lines[line][:place] + str(digit) + lines[line][place + 1 :]
        with pytest.raises(orbit.ElementError):
            orbit.parse_satellites("\n".join(lines))


@given(line=st.sampled_from([0, 1]), place=st.integers(0, 68))
def test_no_lost_character_is_let_through(line, place):
    lines = [ONE, TWO]
    lines[line] = lines[line][:place] + lines[line][place + 1 :]
    with pytest.raises(orbit.ElementError):
        orbit.parse_satellites("\n".join(lines), checksum="ignore")


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=400))
def test_any_text_gives_satellites_or_an_element_error(text):
    with pytest.raises(orbit.ElementError):
        orbit.parse_satellites(text)


def test_what_follows_the_columns_after_a_blank_is_left_alone():
    text = f"{ONE}      0.0\n{TWO}      4320.0        360.00"
    assert orbit.parse_satellites(text) == orbit.parse_satellites(f"{ONE}\n{TWO}")


def test_bad_entries_are_told_in_between_the_good_ones():
    entries = list(
        orbit.scan_satellites(f"a\n{ONE}\n{TWO}\nb\n{ONE[:-1]}0\n{TWO}\nc\n{ONE}\n{TWO}")
    )
    assert [getattr(entry, "name", None) for entry in entries] == ["a", None, "c"]
    assert str(entries[1]).startswith("<text>:5 (b): line 1 gives checksum '0'")


@given(
    st.sampled_from([(ONE, 45, 8), (ONE, 54, 8), (ONE, 21, 12), (ONE, 34, 10), (TWO, 9, 8),
                     (TWO, 18, 8), (TWO, 27, 7), (TWO, 35, 8), (TWO, 44, 8), (TWO, 53, 11)]),
    st.text(" +-.01239", min_size=12, max_size=12),
)  # fmt: skip
def test_whatever_stands_in_a_column_sgp4_gets_finite_numbers(column, noise):
    line, first, width = column
    edited = _edited(line, first, noise[:width])
    text = f"{edited}\n{TWO}" if line is ONE else f"{ONE}\n{edited}"
    (read,) = orbit.scan_satellites(text)
    if isinstance(read, orbit.Satellite):
        model = read.model
        rest = (model.bstar, model.ndot, model.nddot, model.ecco, model.no_kozai, model.jdsatepochF)
        assert all(map(isfinite, rest))
    else:
        assert isinstance(read, orbit.ElementError)


@pytest.mark.parametrize(
    ("number", "first", "written", "field", "value"),
    [
        (ONE, 54, "-11606-4", "bstar", -0.11606e-4),
        (ONE, 54, "+11606 4", "bstar", 0.11606e4),
        (TWO, 27, "0006317", "ecco", 0.0006317),
        (TWO, 9, "  5.6331", "inclo", radians(5.6331)),
        (TWO, 9, "   .6331", "inclo", radians(0.6331)),
    ],
)
def test_signs_and_leading_blanks_are_read_as_meant(number, first, written, field, value):
    edited = _edited(number, first, written)
    text = f"{edited}\n{TWO}" if number is ONE else f"{ONE}\n{edited}"
    (read,) = orbit.parse_satellites(text)
    assert getattr(read.model, field) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("day", ["001.00000000", "059.99999999", "366.99999999"])
def test_epochs_keep_the_eight_decimals_of_a_day(day):
    text = _edited(ONE, 19, f"24{day}") + "\n" + TWO
    (read,) = orbit.parse_satellites(text)
    # A hundred-millionth of a day is 864 us: no rounding is needed.
    whole, part = day.split(".")
    days = timedelta(days=int(whole) - 1, microseconds=864 * int(part))
    assert read.epoch == datetime(2024, 1, 1, tzinfo=UTC) + days


def test_two_digit_years_turn_over_in_1957():
    years = [
        orbit.parse_satellites(_edited(ONE, 19, year) + "\n" + TWO)[0].epoch.year
        for year in ("57", "99", "00", "56")
    ]
    assert years == [1957, 1999, 2000, 2056]


def test_an_unknown_way_with_checksums_is_refused():
    with pytest.raises(ValueError, match="checksum 'skip' is unknown"):
        orbit.parse_satellites(f"{ONE}\n{TWO}", checksum="skip")


def test_every_published_file_is_read_to_its_last_line(element_files):
    for path in sorted(element_files.glob("*.tle")):
        text = path.read_text()
        lines = sum(line.startswith("1 ") for line in text.splitlines())
        assert len(orbit.parse_satellites(text, path.name)) == lines > 0


def test_whole_catalogues_are_read(element_files):
    satellites = orbit.read_satellites(element_files / "earth2026_starlink.tle")
    assert len(satellites) > 10000
    assert len({satellite.norad_id for satellite in satellites}) == len(satellites)
    assert all(satellite.epoch.year == 2026 for satellite in satellites)
