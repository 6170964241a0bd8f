"""Satellites that SGP4 refuses: told of once, cut there, and without harm to the others."""

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import sgp4
from sgp4.api import WGS72, Satrec
from skyfield.api import EarthSatellite, wgs84

import orbit
from tests.kit.orbit import Start, failures, good_stretch

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


def _verification(number):
    """A satellite of SGP4's verification file."""
    text = (Path(sgp4.__file__).parent / "SGP4-VER.TLE").read_text()
    entries = orbit.scan_satellites(text, checksum="ignore")
    return next(s for s in entries if isinstance(s, orbit.Satellite) and s.norad_id == number)


@pytest.fixture(scope="module")
def debris():
    """It decays hours after its epoch."""
    return _verification(29141)


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


@pytest.mark.parametrize("number", [11801, 21897, 6251, 88888, 33333])
def test_decades_from_the_epoch_cost_neither_memory_nor_minutes(number, sites):
    old, start, told = _verification(number), datetime(2026, 3, 1, tzinfo=UTC), []
    tracemalloc.start()
    windows = orbit.contact_windows([old], sites, start, start + DAY, 5.0, on_failure=told.append)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [failure.whole for failure in told] == [True]
    assert len(windows) == 0
    assert peak_bytes < 200e6


class _Counting:
    """An SGP4 model that counts the times it is asked for."""

    def __init__(self, model):
        self.model, self.samples = model, 0
        self.a, self.ecco = model.a, model.ecco

    def sgp4_array(self, day, fraction):
        self.samples += len(day)
        return self.model.sgp4_array(day, fraction)


@pytest.mark.parametrize("number", [11801, 21897, 6251, 22674, 88888, 20413])
def test_decades_are_sampled_some_ten_thousand_times_at_most(number):
    old, start = _verification(number), Start.of(datetime(2026, 3, 1, tzinfo=UTC))
    counting = _Counting(old.model)
    assert good_stretch(replace(old, model=counting), start, 86400.0, 5.0) is None
    assert counting.samples < 70_000


def test_good_codes_through_a_span_beyond_a_failure_are_not_believed(debris, sites):
    # Now and then for more than an hour SGP4 says nothing of the decay five days before.
    time_s, told = np.arange(4 * 86400.0, 6 * 86400.0, 10.0), []
    bad_s = time_s[_codes(debris, debris.epoch, time_s) != 0]
    widest = np.argmax(np.diff(bad_s))
    start = debris.epoch + timedelta(seconds=bad_s[widest] + 1600)
    end = debris.epoch + timedelta(seconds=bad_s[widest + 1] - 1600)
    assert end - start > timedelta(minutes=20)
    windows = orbit.contact_windows([debris], sites, start, end, 5.0, on_failure=told.append)
    assert (len(windows), told[0].whole) == (0, True)
    assert "its position leaves its orbit" in str(told[0])


def _with(satellite, **elements):
    """The satellite with other elements, as SGP4's own initialiser takes them."""
    names = ("bstar", "ecco", "argpo", "inclo", "mo", "no_kozai", "nodeo")
    old, model = satellite.model, Satrec()
    values = [elements.get(name, getattr(old, name)) for name in names]
    days = old.jdsatepoch - 2433281.5 + old.jdsatepochF
    model.sgp4init(WGS72, "i", 5, days, values[0], 0.0, 0.0, *values[1:])
    return replace(satellite, model=model)


@pytest.mark.parametrize("months", [2, 9, 60])
def test_a_failure_far_from_the_epoch_is_found_to_a_millisecond(satellites, months):
    slow = _with(satellites[0], bstar=0.0014 / months)
    days = np.arange(0.0, 100.0 * months, 0.05)
    fails_s = 86400 * days[np.flatnonzero(_codes(slow, slow.epoch, 86400 * days))[0]]
    assert fails_s > 25 * 86400
    start, told = slow.epoch + timedelta(seconds=fails_s) - 2 * DAY, []
    orbit.contact_windows(
        [slow], [orbit.Site("any", 0.0, 0.0)], start, start + 4 * DAY, 5.0, on_failure=told.append
    )
    (failure,) = told
    assert not failure.whole
    around = _codes(slow, start, failure.first_s + np.array([-0.002, 0.002]))
    assert (around[0] == 0) & (around[1] != 0)
    assert not _codes(slow, start, np.arange(0.0, failure.first_s, 10.0)).any()


@pytest.mark.parametrize("samples", [1, 2, 7, 1000])
def test_how_many_samples_are_looked_at_together_changes_no_failure(
    debris, sites, samples, monkeypatch
):
    def told(start):
        found = []
        orbit.contact_windows([debris], sites, start, start + DAY, 5.0, on_failure=found.append)
        return found

    starts = [debris.epoch + timedelta(hours=hours) for hours in (-30, -12, 0, 26)]
    whole = [told(start) for start in starts]
    monkeypatch.setattr(failures, "_PIECE", samples)
    assert [told(start) for start in starts] == whole
    assert sum(map(len, whole)) >= 3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["bstar", "mo", "ecco", "inclo", "no_kozai"])
def test_elements_that_give_no_finite_position_are_a_failure(
    satellites, sites, start, timescale, name, value
):
    broken, told = _with(satellites[3], **{name: value}), []
    theirs = EarthSatellite.from_satrec(broken.model, timescale)
    for given in (broken, theirs):
        windows = orbit.contact_windows(
            [given, satellites[4]], sites, start, start + DAY, 5.0, on_failure=told.append
        )
        assert set(windows.satellite) == {1}
        assert told[-1].whole
        assert told[-1].reason
    with pytest.raises(ValueError, match="SGP4 fails") as caught:
        orbit.look_angles(broken, sites, start, np.array([0.0]))
    assert "\n" not in str(caught.value)


def test_a_position_that_is_not_finite_has_a_reason(satellites, sites, start):
    broken = _with(satellites[3], bstar=float("nan"))
    with pytest.raises(orbit.ElementError, match="its elements give no finite position"):
        orbit.contact_windows([broken], sites, start, start + DAY, 5.0)
    with pytest.raises(ValueError, match="its elements give no finite position"):
        orbit.look_angles(broken, sites, start, np.array([0.0]))


def _below(satellite, start, time_s, timescale):
    """Sites under a satellite at times."""
    seconds = (start - start.replace(hour=0, minute=0, second=0)).total_seconds() + time_s
    times = timescale.utc(start.year, start.month, start.day, 0, 0, seconds)
    under = wgs84.subpoint_of(EarthSatellite.from_satrec(satellite.model, timescale).at(times))
    angles = zip(under.latitude.degrees, under.longitude.degrees, strict=True)
    return [orbit.Site("below", latitude, longitude, -500.0) for latitude, longitude in angles]


def _seen_off(windows, satellite, sites, start, name):
    """How far the slant range of an instant is from SGP4's, km."""
    exact_km = [
        orbit.look_angles(satellite, sites[k], start, time_s).slant_range_km[0, 0]
        for k, time_s in zip(windows.site, getattr(windows, f"{name}_s")[:, None], strict=True)
    ]
    return np.abs(getattr(windows, f"{name}_slant_range_km") - exact_km)


def _failing_span(decaying, debris, before):
    """A satellite and the start of a day, which SGP4 fails in at the beginning or at the end."""
    if before:
        return debris, debris.epoch.replace(microsecond=0) - DAY + timedelta(minutes=10)
    return decaying, decaying.epoch.replace(microsecond=0) + 3.5 * DAY


@pytest.mark.parametrize("before", [True, False])
def test_next_to_a_failure_ranges_are_sgp4s(decaying, debris, timescale, before):
    satellite, start = _failing_span(decaying, debris, before)
    told, anywhere = [], [orbit.Site("anywhere", 0.0, 0.0)]
    orbit.contact_windows([satellite], anywhere, start, start + DAY, 5.0, on_failure=told.append)
    (failure,) = told
    edge_s = failure.last_s if before else failure.first_s
    away_s = np.concatenate([np.geomspace(2e-3, 4.0, 20), np.arange(5.0, 1500.0, 25.0)])
    times_s = edge_s + (1 if before else -1) * away_s
    sites = _below(satellite, start, times_s, timescale)
    windows = orbit.contact_windows(
        [satellite], sites, start, start + DAY, 5.0, on_failure=told.append
    )
    near = windows.where(np.abs(windows.culminate_s - edge_s) < 1500.0)
    assert len(near) > 50
    for name in ("rise", "culminate", "set"):
        assert _seen_off(near, satellite, sites, start, name).max() < 1e-3
    cut = near.clipped_start if before else near.clipped_end
    assert cut.sum() > 5
    np.testing.assert_array_equal(near.sgp4_error, cut)
    last = windows.where(windows.clipped_end if before else windows.clipped_start)
    assert not last.sgp4_error.any()


@pytest.mark.parametrize("refine", ["hermite", "sgp4", "skyfield"])
def test_positions_far_outside_the_orbit_are_no_positions(refine):
    """SGP4 sends 33333 to 59 million km within a minute before it owns up to an error."""
    text = (Path(sgp4.__file__).parent / "SGP4-VER.TLE").read_text()
    everything = orbit.parse_satellites(text, checksum="ignore")
    [wild] = [satellite for satellite in everything if satellite.norad_id == 33333]
    site, told = orbit.Site("here", 48.1, 11.6), []
    for minutes in (20, 21, 300):
        end = wild.epoch + timedelta(minutes=minutes)
        windows = orbit.contact_windows([wild], [site], wild.epoch, end, 10.0, refine, told.append)
        assert windows.rise_s.tolist() == [0.0]
        looks = orbit.look_angles(wild, site, wild.epoch, windows.set_s)
        assert looks.elevation_deg[0, 0] == pytest.approx(10.0, abs=2e-4)
    assert ["its position leaves its orbit" in str(failure) for failure in told] == [True, True]


def test_a_satellite_that_fails_on_both_sides_of_its_epoch_says_when_it_works():
    text = (Path(sgp4.__file__).parent / "SGP4-VER.TLE").read_text()
    [one] = [s for s in orbit.parse_satellites(text, checksum="ignore") if s.norad_id == 22312]
    site, told = orbit.Site("here", 48.1, 11.6), []
    span = one.epoch - 3 * DAY, one.epoch + 3 * DAY
    windows = orbit.contact_windows([one], [site], *span, 5.0, on_failure=told.append)
    assert len(windows) > 5
    assert "; it works from 2006-04-0" in str(told[0])
    assert windows.set_s.max() < 6 * 86400.0
