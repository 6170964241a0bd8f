"""Skyfield's satellites as ours."""

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from skyfield.api import EarthSatellite

import orbit

ONE = "1 25544U 98067A   26234.50053383  .00009133  00000+0  17025-3 0  9997"
TWO = "2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031"


def test_a_satellite_of_ours_is_passed_through():
    made = orbit.circular_satellite(
        "c", 550.0, 53.0, 0.0, 0.0, datetime(2026, 8, 22, 12, tzinfo=UTC)
    )
    assert orbit.as_satellite(made) is made


def test_an_earth_satellite_keeps_its_name_number_epoch_and_model(timescale):
    theirs = EarthSatellite(ONE, TWO, "ISS (ZARYA)", timescale)
    ours = orbit.as_satellite(theirs)
    assert ours == orbit.parse_satellites(f"ISS (ZARYA)\n{ONE}\n{TWO}")[0]
    assert ours.model is theirs.model
    assert abs((ours.epoch - theirs.epoch.utc_datetime()).total_seconds()) < 1e-4


def test_an_earth_satellite_without_a_name_has_its_number(timescale):
    assert orbit.as_satellite(EarthSatellite(ONE, TWO, None, timescale)).name == "25544"
    made = orbit.circular_satellite(
        "c", 550.0, 53.0, 0.0, 0.0, datetime(2026, 8, 22, 12, 30, 0, 250000, tzinfo=UTC)
    )
    back = orbit.as_satellite(EarthSatellite.from_satrec(made.model, timescale))
    assert (back.name, back.norad_id, back.epoch) == ("0", 0, made.epoch)


def test_contacts_of_both_kinds_are_the_same(timescale):
    theirs = EarthSatellite(ONE, TWO, "ISS (ZARYA)", timescale)
    ours = orbit.as_satellite(theirs)
    start = datetime(2026, 8, 22, 12, tzinfo=UTC)
    seen = [
        orbit.look_angles(s, [orbit.Site("here", 47.0, 8.0)], start, np.arange(0.0, 6000.0, 60.0))
        for s in (ours, orbit.parse_satellites(f"{ONE}\n{TWO}")[0])
    ]
    np.testing.assert_array_equal(seen[0].slant_range_km, seen[1].slant_range_km)


@pytest.mark.parametrize("thing", ["ISS", 25544, None, object()])
def test_anything_else_is_refused_in_one_line(thing):
    kind = type(thing).__name__
    with pytest.raises(ValueError, match=f"a {kind} is no satellite; give one of") as caught:
        orbit.as_satellite(thing)
    assert "\n" not in str(caught.value)


def test_skyfield_is_not_imported_to_refuse():
    code = (
        "import sys, orbit\n"
        "try:\n    orbit.as_satellite('ISS')\n"
        "except ValueError:\n    print('skyfield' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
