"""Satellites and sites: what they say of themselves, and what is refused."""

from datetime import UTC, datetime
from math import nan

import numpy as np
import pytest

import orbit

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
