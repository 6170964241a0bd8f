"""The interpolated path of a contact against exact SGP4 and full Skyfield, without SGP4 calls."""

from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit

DAY_S = 86400.0


@pytest.fixture(scope="module")
def verification():
    """The satellites that SGP4 itself is verified with, by catalogue number."""
    text = (files("sgp4") / "SGP4-VER.TLE").read_text()
    found = orbit.parse_satellites(text, "SGP4-VER.TLE", checksum="ignore")
    return {satellite.norad_id: satellite for satellite in found}


def _times(first_s, last_s, count=3000, seed=0):
    """Times inside, dense at both ends, where a spline is at its worst."""
    rng = np.random.default_rng(seed)
    near = np.linspace(0.0, 0.01 * (last_s - first_s), 300)
    inside = rng.uniform(first_s, last_s, count)
    return np.sort(np.concatenate([first_s + near, inside, last_s - near]))


def _worst(satellite, sites, start, first_s, last_s, time_s=None):
    """Largest errors against exact SGP4: range (km), rate (km/s), elevation, azimuth (deg)."""
    time_s = _times(first_s, last_s) if time_s is None else time_s
    track = orbit.contact_track(satellite, start, first_s, last_s)
    seen, exact = track.look(sites, time_s), orbit.look_angles(satellite, sites, start, time_s)
    turn = (seen.azimuth_deg - exact.azimuth_deg + 180) % 360 - 180
    return (
        np.abs(seen.slant_range_km - exact.slant_range_km).max(),
        np.abs(seen.range_rate_km_s - exact.range_rate_km_s).max(),
        np.abs(seen.elevation_deg - exact.elevation_deg).max(),
        np.abs(turn * np.cos(np.radians(exact.elevation_deg))).max(),
    )


def _assert_promised(worst):
    range_km, rate_km_s, elevation_deg, azimuth_deg = worst
    assert range_km < 1e-5
    assert rate_km_s < 1e-6
    assert elevation_deg < 1e-6
    assert azimuth_deg < 1e-6


@pytest.mark.parametrize("last_s", [40.0, 700.0, 12000.0])
def test_low_orbits_are_as_exact_as_promised(satellites, sites, start, last_s):
    for satellite in satellites[::3]:
        _assert_promised(_worst(satellite, sites, start, 0.0, last_s))


# Eccentric (to 0.97), half a day resonant, synchronous, and low with much drag.
@pytest.mark.parametrize(
    "norad_id", [5, 6251, 8195, 9880, 11801, 22674, 23177, 23333, 24208, 26900, 28057, 28129, 28350]
)
def test_verification_orbits_are_as_exact_as_promised(verification, sites, norad_id):
    satellite = verification[norad_id]
    period_s = 2 * np.pi / satellite.model.no_kozai * 60
    last_s = min(1.1 * period_s, 2 * DAY_S)
    _assert_promised(_worst(satellite, sites, satellite.epoch, 0.0, last_s))
    # The elements' mean anomaly says when the satellite is at perigee, where it is fastest.
    perigee_s = -satellite.model.mo / satellite.model.no_kozai * 60 % period_s
    around = perigee_s + np.linspace(-600.0, 600.0, 4001)
    first_s, last_s = around[0] - 100, around[-1] + 100
    _assert_promised(_worst(satellite, sites, satellite.epoch, first_s, last_s, around))


def test_real_elements_are_as_exact_as_promised(element_files, sites, start):
    for name in ("stations", "starlink", "oneweb", "gps-ops", "iridium-NEXT"):
        found = orbit.read_satellites(element_files / f"earth2026_{name}.tle")
        for satellite in found[:: max(1, len(found) // 3)]:
            _assert_promised(_worst(satellite, sites, start, 0.0, 3000.0))


def test_tracks_agree_with_full_skyfield(satellites, sites, start, skyfield_view):
    time_s = np.linspace(5 * DAY_S, 5 * DAY_S + 900.0, 97)
    for satellite in satellites[1::5]:
        track = orbit.contact_track(satellite, start, time_s[0], time_s[-1])
        for site in sites:
            elevation, _, distance, rate = skyfield_view(satellite, site, start, time_s)
            seen = track.look(site, time_s)
            assert np.abs(seen.elevation_deg[:, 0] - elevation).max() < 1e-6
            assert np.abs(seen.slant_range_km[:, 0] - distance).max() < 5e-5
            assert np.abs(seen.range_rate_km_s[:, 0] - rate).max() < 1e-6


@given(st.integers(0, 11), st.floats(-20, 20), st.floats(-6, 4), st.integers(0, 99))
def test_any_span_is_as_exact_as_promised(satellites, sites, start, which, day, log_span, seed):
    first_s = day * DAY_S
    last_s = first_s + 10**log_span
    time_s = np.clip(_times(first_s, last_s, 30, seed)[::10], first_s, last_s)
    _assert_promised(_worst(satellites[which], sites, start, first_s, last_s, time_s))


def test_a_month_in_synchronous_orbit_needs_few_knots(verification, sites):
    satellite = verification[28626]
    track = orbit.contact_track(satellite, satellite.epoch, 0.0, 30 * DAY_S)
    assert len(track.path.x) < 60_000
    time_s = np.random.default_rng(2).uniform(0, 30 * DAY_S, 2000)
    _assert_promised(_worst(satellite, sites, satellite.epoch, 0.0, 30 * DAY_S, time_s))


class _Counted:
    """An SGP4 model that counts how often it is called."""

    def __init__(self, model):
        self.model, self.calls = model, 0

    def __getattr__(self, name):
        return getattr(self.model, name)

    def sgp4_array(self, *arguments):
        self.calls += 1
        return self.model.sgp4_array(*arguments)


def test_sgp4_is_called_once_and_never_for_looks(satellites, sites, start):
    counted = replace(satellites[4], model=_Counted(satellites[4].model))
    track = orbit.contact_track(counted, start, 0.0, 700.0)
    for _ in range(5):
        track.look(sites, np.linspace(0.0, 700.0, 50))
    assert counted.model.calls == 1
    orbit.contact_geometry(counted, sites, start, 0.0, 700.0, 10.0)
    assert counted.model.calls == 2


def test_times_may_be_common_to_all_sites_or_each_sites_own(satellites, sites, start):
    track = orbit.contact_track(satellites[2], start, 100.0, 900.0)
    time_s = np.linspace(100.0, 900.0, 7)
    assert track.look(sites[0], time_s).elevation_deg.shape == (7, 1)
    assert track.look(sites, time_s).azimuth_deg.shape == (7, len(sites))
    own = time_s[:, None] - np.linspace(0, 1, len(sites)) * (time_s[:, None] - 100.0)
    seen = track.look(sites, own)
    for k, site in enumerate(sites):
        alone = track.look(site, own[:, k])
        for angle in ("elevation_deg", "azimuth_deg", "slant_range_km", "range_rate_km_s"):
            np.testing.assert_array_equal(getattr(seen, angle)[:, k], getattr(alone, angle)[:, 0])


@pytest.mark.parametrize(
    ("time_s", "words"),
    [
        ([99.999], r"time 99.999 s is outside the track; give times from 100.0 s to 900.0 s"),
        ([200.0, 900.001], "time 900.001 s is outside"),
        ([np.nan], "time nan s is outside"),
        (150.0, r"time_s has shape \(\)"),
        ([[150.0, 160.0]], r"time_s has shape \(1, 2\); give \(T,\), or \(T, 8\)"),
        ([[[150.0]]], r"time_s has shape \(1, 1, 1\)"),
    ],
)
def test_times_that_the_track_does_not_have_are_refused(satellites, sites, start, time_s, words):
    track = orbit.contact_track(satellites[2], start, 100.0, 900.0)
    with pytest.raises(ValueError, match=words):
        track.look(sites, np.array(time_s))


@pytest.mark.parametrize("span", [(0.0, 0.0), (5.0, 4.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_spans_that_do_not_last_are_refused(satellites, start, span):
    with pytest.raises(ValueError, match="does not last"):
        orbit.contact_track(satellites[0], start, *span)


def test_no_site_and_a_naive_start_and_a_decayed_satellite_are_refused(satellites, start):
    with pytest.raises(ValueError, match="no site given"):
        orbit.contact_track(satellites[0], start, 0.0, 60.0).look([], np.array([1.0]))
    with pytest.raises(ValueError, match="no time zone"):
        orbit.contact_track(satellites[0], start.replace(tzinfo=None), 0.0, 60.0)
    decaying = orbit.parse_satellites(
        "1 25544U 98067A   26234.50053383  .09133000  00000+0  90000-1 0  9997\n"
        "2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031\n",
        checksum="ignore",
    )[0]
    with pytest.raises(ValueError, match=r"SGP4 fails for '25544' at 2026-0.*decayed"):
        orbit.contact_track(decaying, start, 0.0, 40 * DAY_S)
