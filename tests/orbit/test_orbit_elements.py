"""Satellites and sites: what they say of themselves, and what is refused."""

import re
from datetime import UTC, datetime
from math import nan

import numpy as np
import pytest

import orbit
from tests.kit.orbit import limits, site_frames

EPOCH = datetime(2026, 8, 22, 12, tzinfo=UTC)


def test_the_representation_of_a_satellite_is_one_line():
    made = orbit.circular_satellite("Paul", 600.0, 53.0, 10.0, 20.0, EPOCH)
    assert repr(made) == "Satellite('Paul', norad_id=0, epoch=2026-08-22T12:00:00Z)"


def test_the_mean_motion_is_the_one_of_the_element_set():
    one = "1 25544U 98067A   26234.50053383  .00009133  00000+0  17025-3 0  9997"
    two = "2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031"
    (iss,) = orbit.parse_satellites(f"{one}\n{two}")
    assert iss.revolutions_per_day == pytest.approx(15.49570248, abs=1e-12)


def test_epochs_are_right_to_the_microsecond():
    one = "1 25544U 98067A   26234.50053383  .00009133  00000+0  17025-3 0  9997"
    two = "2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031"
    # 0.50053383 days are 43246.122912 s.
    (iss,) = orbit.parse_satellites(f"{one}\n{two}")
    assert iss.epoch == datetime(2026, 8, 22, 12, 0, 46, 122912, tzinfo=UTC)


def test_an_error_of_elements_is_one_line_with_or_without_a_name():
    error = orbit.ElementError.at("a.tle:3", "ISS\n(ZARYA)" + 90 * "x", "is broken", "mend it")
    assert isinstance(error, ValueError)
    assert str(error).startswith("a.tle:3 (ISS (ZARYA)xxx")
    assert str(error).endswith("x): is broken; mend it")
    assert len(str(error)) < 100 and "\n" not in str(error)
    bare = orbit.ElementError.at("a.tle:3", "", "is broken", "mend it")
    assert str(bare) == "a.tle:3: is broken; mend it"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"latitude_deg": 90.1}, "latitude_deg 90.1"),
        ({"longitude_deg": 360.0}, "longitude_deg 360.0"),
        ({"longitude_deg": -180.1}, "longitude_deg -180.1"),
        ({"altitude_m": 9001.0}, "altitude_m 9001.0"),
        ({"altitude_m": nan}, "altitude_m nan"),
        ({"min_elevation_deg": 90.0}, "min_elevation_deg 90.0"),
        ({"min_elevation_deg": -0.1}, "min_elevation_deg -0.1"),
    ],
)
def test_sites_out_of_range_are_refused_by_name(change, words):
    with pytest.raises(ValueError, match=f"site 'here': {words}"):
        orbit.Site(**{"name": "here", "latitude_deg": 0.0, "longitude_deg": 0.0, **change})


def test_one_turn_of_longitude_is_the_same_place(satellites, start):
    west, east = orbit.Site("w", 10.0, -20.0), orbit.Site("e", 10.0, 340.0)
    seen = orbit.look_angles(satellites[5], [west, east], start, np.arange(0.0, 6000.0, 60.0))
    np.testing.assert_allclose(seen.slant_range_km[:, 0], seen.slant_range_km[:, 1], atol=1e-8)


@pytest.mark.parametrize(
    "wrong", ["10", None, True, [1.0], np.zeros(3), np.array(10.0), np.array([[1], [2]]), 1j]
)
def test_what_is_no_number_is_refused_in_one_line(wrong):
    words = " ".join(repr(wrong).split())
    with pytest.raises(ValueError, match="is not a number; give one from 0 to 90") as caught:
        limits.within(wrong, 0, 90, "mask")
    assert str(caught.value).startswith(f"mask {words} is not a number")
    with pytest.raises(ValueError, match="is not a number; give one from 0 up to but") as caught:
        limits.within_open(wrong, 0, 90, "mask")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [10**400, -(10**5000)], ids=["400 digits", "5000 digits"])
def test_whole_numbers_larger_than_floats_are_refused(wrong):
    for check in (limits.within, limits.within_open):
        with pytest.raises(ValueError, match="mask is larger than any float; give one from 0"):
            check(wrong, 0, 90, "mask")


@pytest.mark.parametrize("good", [10, 10.0, np.float64(10), np.float32(10), np.int16(10)])
def test_numbers_of_all_kinds_become_floats(good):
    assert limits.within(good, 0, 10, "mask") == 10.0
    assert type(limits.within_open(good, 0, 11, "mask")) is float


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (("x", "48", 0), "site 'x': latitude_deg '48' is not a number; give one from -90 to 90"),
        (("x", 48, None), "site 'x': longitude_deg None is not a number"),
        (("x", 48, 11, "500"), "site 'x': altitude_m '500' is not a number"),
        (("x", 48, 11, 0, "10"), "site 'x': min_elevation_deg '10' is not a number"),
        ((None, 1, 1), "site name None is no name; give text such as"),
        (("", 1, 1), "site name '' is no name"),
        ((" ", 1, 1), "site name ' ' is no name"),
        (("a\nb", 1, 1), r"site name 'a\nb' has a line break; write it on one line"),
        (("a\u2028", 1, 1), r"site name 'a\u2028' has a line break"),
    ],
)
def test_sites_of_wrong_types_are_refused_in_one_line(fields, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        orbit.Site(*fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sites", "words"),
    [
        (None, "sites: a NoneType is no list of sites; give a list"),
        ({"a": 1}, "sites: a dict is no list of sites"),
        ([], "no site given"),
        ([(48.1, 11.6)], "a tuple is no site; give orbit.Site(name, latitude_deg, longitude_deg)"),
        ((48.1, 11.6), "a float is no site; give orbit.Site("),
        ([None], "a NoneType is no site"),
        ([{"name": "a"}], "a dict is no site"),
    ],
)
def test_what_is_no_list_of_sites_is_refused(sites, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        site_frames(sites, 10.0)


@pytest.mark.parametrize("mask", ["10", None, True])
def test_masks_that_are_no_numbers_are_refused(mask):
    with pytest.raises(ValueError, match=f"min_elevation_deg {mask!r} is not a number"):
        site_frames([orbit.Site("a", 1, 1)], mask)
