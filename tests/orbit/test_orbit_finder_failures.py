"""Satellites that SGP4 refuses: told of once, cut there, and without harm to the others."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import sgp4
from skyfield.api import EarthSatellite, wgs84

import orbit

DAY = timedelta(days=1)
# Drag so strong that it comes down four days after its epoch, 2026-08-22T12:00:46Z.
DECAYING = (
    "FALLING\n"
    "1 25544U 98067A   26234.50053383  .09133000  00000+0  90000-1 0  9997\n"
    "2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031\n"
)


@pytest.fixture(scope="module")
def decaying():
    return orbit.parse_satellites(DECAYING, checksum="ignore")[0]


def _codes(satellite, start, time_s):
    fraction = (start - start.replace(hour=0, minute=0, second=0)).total_seconds() / 86400
    whole = start.toordinal() + 1721424.5
    error, *_ = satellite.model.sgp4_array(np.full(len(time_s), whole), fraction + time_s / 86400)
    return error


def test_a_failure_in_the_span_is_reported_and_nothing_else_changes(
    decaying, satellites, sites, start
):
    told = []
    span_s = 8 * 86400.0
    together = orbit.contact_windows(
        [*satellites[:2], decaying, satellites[2]], sites, start, start + 8 * DAY, 10.0,
        on_failure=told.append,
    )  # fmt: skip
    (failure,) = told
    assert (failure.satellite, failure.name, failure.whole) == (2, "FALLING", False)
    assert failure.last_s == span_s
    around = _codes(decaying, start, failure.first_s + np.array([-0.002, 0.002]))
    assert around[0] == 0
    assert around[1] == 6
    assert not _codes(decaying, start, np.arange(0.0, failure.first_s, 30.0)).any()
    alone = orbit.contact_windows(satellites[:3], sites, start, start + 8 * DAY, 10.0)
    others = together.where(together.satellite != 2)
    np.testing.assert_array_equal(others.rise_s, alone.rise_s)
    np.testing.assert_array_equal(others.set_s, alone.set_s)
    mine = together.where(together.satellite == 2)
    assert mine.set_s.max() <= failure.first_s
    assert len(mine) > 40


def test_a_span_that_ends_before_the_failure_knows_nothing_of_it(decaying, start, timescale):
    told, anywhere = [], [orbit.Site("anywhere", 0.0, 0.0)]
    orbit.contact_windows([decaying], anywhere, start, start + 8 * DAY, 5.0, on_failure=told.append)
    (failure,) = told
    begin, end = (start + timedelta(seconds=failure.first_s - s) for s in (3600.0, 30.0))
    times = timescale.utc(2026, 8, 22, 12, 0, failure.first_s - np.arange(100.0, 3600.0, 50.0))
    under = wgs84.subpoint_of(EarthSatellite.from_satrec(decaying.model, timescale).at(times))
    angles = zip(under.latitude.degrees, under.longitude.degrees, strict=True)
    below = [orbit.Site("below", latitude, longitude, -500.0) for latitude, longitude in angles]
    windows = orbit.contact_windows([decaying], below, begin, end, 5.0, on_failure=told.append)
    assert len(told) == 1
    assert len(windows) > 60
    assert not windows.sgp4_error.any()
    for w, site in enumerate(windows.site):
        if not windows.clipped_end[w]:
            seen = orbit.look_angles(decaying, below[site], begin, windows.set_s[[w]])
            assert abs(seen.elevation_deg[0, 0] - 5.0) < 2e-4


def test_the_text_of_a_failure_says_who_when_why_and_what_to_do(decaying, sites, start):
    told = []
    orbit.contact_windows([decaying], sites, start, start + 8 * DAY, 10.0, on_failure=told.append)
    text = str(told[0])
    assert "\n" not in text
    moment = start + timedelta(seconds=told[0].first_s)
    for words in ("'FALLING'", f"{moment:%Y-%m-%dT%H:%M:%SZ}", "has decayed", "use elements of"):
        assert words in text


def test_a_failure_in_the_span_is_a_warning_when_nobody_asks(decaying, sites, start):
    with pytest.warns(orbit.OrbitWarning, match="SGP4 fails for 'FALLING'") as warned:
        orbit.contact_windows([decaying], sites, start, start + 8 * DAY, 10.0)
    assert len(warned) == 1
    assert warned[0].filename == __file__


@pytest.mark.parametrize("days", [6, 60, 400])
def test_one_that_decayed_before_the_span_is_an_error_or_has_no_windows(
    decaying, satellites, sites, start, days
):
    later = start + days * DAY
    with pytest.raises(orbit.ElementError, match="SGP4 fails for 'FALLING'") as caught:
        orbit.contact_windows([satellites[0], decaying], sites, later, later + DAY, 10.0)
    assert "\n" not in str(caught.value)
    told = []
    windows = orbit.contact_windows(
        [satellites[0], decaying], sites, later, later + DAY, 10.0, on_failure=told.append
    )
    assert [failure.whole for failure in told] == [True]
    assert set(windows.satellite) == {0}


def test_only_failing_satellites_give_an_empty_table(decaying, sites, start):
    later, told = start + 9 * DAY, []
    with pytest.warns(orbit.OrbitWarning, match="from their epoch"):
        table = orbit.find_contacts(
            decaying, sites, later, later + DAY, 10.0, on_failure=told.append
        )
    assert len(table) == 0
    assert told[0].whole


@pytest.fixture(scope="module")
def debris():
    """Number 29141 of SGP4's verification file: it decays hours after its epoch."""
    text = (Path(sgp4.__file__).parent / "SGP4-VER.TLE").read_text()
    entries = orbit.scan_satellites(text, checksum="ignore")
    (found,) = [s for s in entries if isinstance(s, orbit.Satellite) and s.norad_id == 29141]
    return found


def test_good_codes_after_a_decay_are_not_believed(debris, sites):
    time_s = np.arange(0.0, 2 * 86400.0, 10.0)
    codes = _codes(debris, debris.epoch, time_s)
    first_s = time_s[np.flatnonzero(codes)[0]]
    assert (codes[time_s > first_s] == 0).any()
    told = []
    windows = orbit.contact_windows(
        [debris], sites, debris.epoch, debris.epoch + 2 * DAY, 5.0, on_failure=told.append
    )
    assert first_s - 10 <= told[0].first_s <= first_s
    assert windows.set_s.max() <= first_s
    assert windows.min_slant_range_km.min() > 50


def test_good_codes_before_an_error_on_the_way_from_the_epoch_are_not_believed(debris, sites):
    start, span_s = debris.epoch - 3 * DAY, 3 * 86400.0
    time_s = np.arange(0.0, span_s, 10.0)
    codes = _codes(debris, start, time_s)
    last_s = time_s[np.flatnonzero(codes)[-1]]
    assert (codes[time_s < last_s] == 0).any()
    told = []
    windows = orbit.contact_windows(
        [debris], sites, start, debris.epoch, 5.0, on_failure=told.append
    )
    assert told[0].first_s == 0.0
    assert last_s <= told[0].last_s <= last_s + 10
    assert windows.rise_s.min() >= last_s
    assert not windows.sgp4_error[~windows.clipped_start].any()
