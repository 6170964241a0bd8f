"""What is said of old elements, leap seconds and the end of the UT1 table."""

from datetime import UTC, datetime, timedelta

import pytest
from sgp4.io import fix_checksum

import orbit

ONE = "1 25544U 98067A   26234.50053383  .00009133  00000+0  17025-3 0  9997"
TWO = "2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031"
(ISS,) = orbit.parse_satellites(f"ISS\n{ONE}\n{TWO}")
OLDER = fix_checksum("1 25545" + ONE[7:18] + "26200.50053383" + ONE[32:])
(OLD,) = orbit.parse_satellites(f"OLD ONE\n{OLDER}\n{fix_checksum('2 25545' + TWO[7:])}")
DAY = timedelta(days=1)


def test_an_orbit_warning_is_a_user_warning():
    assert issubclass(orbit.OrbitWarning, UserWarning)


def test_fresh_elements_over_a_week_raise_no_doubt():
    assert orbit.doubts([ISS], ISS.epoch, ISS.epoch + 7 * DAY) == []
    assert orbit.doubts([ISS], ISS.epoch - 7 * DAY, ISS.epoch + 7 * DAY) == []


@pytest.mark.parametrize(("first", "last", "days"), [(-1, 60, 60), (-9.5, 1, 9.5), (20, 21, 21)])
def test_elements_far_from_the_span_are_named_with_their_age(first, last, days):
    (line,) = orbit.doubts([ISS], ISS.epoch + first * DAY, ISS.epoch + last * DAY)
    assert "1 of 1 element sets lie more than 7 days from their epoch" in line
    assert f"ISS the most with {days:.1f} days" in line
    assert "seconds to minutes" in line
    assert "\n" not in line


def test_of_many_the_oldest_is_named_and_orbits_from_scratch_do_not_age():
    made = orbit.circular_satellite("c", 550.0, 53.0, 0.0, 0.0, ISS.epoch - 900 * DAY)
    (line,) = orbit.doubts([made, OLD, ISS], ISS.epoch, ISS.epoch + DAY)
    assert line.startswith("1 of 3 element sets")
    assert "OLD ONE the most with 35.0 days" in line
    assert orbit.doubts([made], ISS.epoch, ISS.epoch + DAY) == []


def test_a_catalogued_satellite_of_number_0_ages_like_any_other():
    first, second = (fix_checksum(line[:2] + "00000" + line[7:]) for line in (ONE, TWO))
    (unnumbered,) = orbit.parse_satellites(f"NEW\n{first}\n{second}")
    assert (unnumbered.norad_id, unnumbered.made) == (0, False)
    (line,) = orbit.doubts([unnumbered], ISS.epoch, ISS.epoch + 30 * DAY)
    assert "NEW the most with 30.0 days" in line


def test_whether_it_is_made_from_scratch_is_known_of_every_satellite():
    made = orbit.walker_star(780.0, 86.4, 2, 2, 0, ISS.epoch)
    made += [orbit.keplerian_satellite("k", ISS.epoch, semi_major_axis_km=7e3, inclination_deg=9)]
    assert all(satellite.made for satellite in made)
    assert not ISS.made and not OLD.made


def _called(name, number):
    return orbit.Satellite(name, number, ISS.epoch, ISS.model)


NAMES = "tables tell them by name only, so rename one"


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ([("A", 1), ("B", 2), ("C", 0), ("D", 0)], []),
        ([("ISS (ZARYA)", 25544), ("B", 2), ("ISS (ZARYA)", 44714)],
         [f"2 satellites are called 'ISS (ZARYA)' (25544, 44714); {NAMES}"]),
        ([("A", 1), ("B", 2), ("A", 0), ("B", 3), ("A", 4)],
         ["3 satellites are called 'A' (1, 4), and 1 more name comes more than once; " + NAMES]),
        ([("A", 0), ("A", 0)], [f"2 satellites are called 'A'; {NAMES}"]),
        ([("A", k) for k in range(1, 9)],
         [f"8 satellites are called 'A' (1, 2, 3, 4, 5, ...); {NAMES}"]),
        ([("A", 41917), ("B", 41917)],
         ["41917 comes twice: two element sets of one satellite count as two; keep one of them"]),
        ([("A", 5), ("B", 6), ("C", 7), ("D", 6), ("E", 7), ("F", 8), ("G", 8), ("H", 6)],
         ["6 comes 3 times, and 2 more numbers come more than once: 3 element sets of one "
          "satellite count as 3; keep one of them"]),
    ],
)  # fmt: skip
def test_names_and_numbers_that_come_more_than_once_are_told(given, lines):
    satellites = [_called(name, number) for name, number in given]
    assert orbit.doubts(iter(satellites), ISS.epoch, ISS.epoch + DAY) == lines


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "satellites: a NoneType is no list of satellites; give a list"),
        (ISS, "satellites: a Satellite is no list of satellites; give a list"),
        ([3], "a int is no satellite; give one of"),
        ("ISS", "a str is no satellite; give one of"),
    ],
)
def test_what_is_no_list_of_satellites_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        orbit.doubts(given, ISS.epoch, ISS.epoch + DAY)


@pytest.mark.parametrize(
    ("start", "end", "within"),
    [
        (datetime(2016, 12, 31, tzinfo=UTC), datetime(2017, 1, 2, tzinfo=UTC), True),
        (datetime(2016, 12, 31, tzinfo=UTC), datetime(2017, 1, 1, tzinfo=UTC), True),
        (datetime(2017, 1, 1, tzinfo=UTC), datetime(2017, 1, 2, tzinfo=UTC), False),
        (datetime(2016, 12, 30, tzinfo=UTC), datetime(2016, 12, 31, 23, tzinfo=UTC), False),
    ],
)
def test_a_leap_second_within_the_span_is_told(start, end, within):
    made = orbit.circular_satellite("c", 550.0, 53.0, 0.0, 0.0, start)
    lines = orbit.doubts([made], start, end)
    assert [("a leap second ends 2016-12-31" in line) for line in lines] == [True] * within


def test_each_leap_second_has_its_line():
    # UTC had leap seconds at the end of June 2012, of June 2015 and of December 2016.
    made = orbit.circular_satellite("c", 550.0, 53.0, 0.0, 0.0, datetime(2012, 1, 1, tzinfo=UTC))
    lines = orbit.doubts([made], made.epoch, datetime(2018, 1, 1, tzinfo=UTC))
    assert [line.split(",")[0] for line in lines] == [
        f"a leap second ends {day}" for day in ("2012-06-30", "2015-06-30", "2016-12-31")
    ]


def test_a_span_outside_the_table_of_ut1_is_told(timescale):
    last = timescale.tt_jd(timescale.delta_t_table[0][-1]).utc_datetime()
    # The table's dates are TT; its rows are midnights of UTC to the rounding of a Julian date.
    last = (last + timedelta(seconds=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    made = orbit.circular_satellite("c", 550.0, 53.0, 0.0, 0.0, last)
    assert orbit.doubts([made], last - DAY, last) == []
    (line,) = orbit.doubts([made], last - DAY, last + DAY)
    assert f"leaves the table of UT1, 1973-01-02 to {last:%Y-%m-%d}" in line
    (line,) = orbit.doubts(
        [made], datetime(1972, 8, 1, tzinfo=UTC), datetime(1972, 8, 2, tzinfo=UTC)
    )
    assert "UT1" in line


def test_spans_are_checked():
    with pytest.raises(ValueError, match="is not after start"):
        orbit.doubts([ISS], ISS.epoch, ISS.epoch)
    with pytest.raises(ValueError, match="has no time zone"):
        orbit.doubts([ISS], datetime(2026, 8, 22), ISS.epoch)
