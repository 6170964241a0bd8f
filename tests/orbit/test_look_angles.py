"""What sites and devices see: look angles, and each device's own AOS, LOS and geometry."""

import re
from dataclasses import replace
from datetime import timedelta
from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import kstest

import orbit
from tests.kit.orbit import contact_geometries
from tests.kit.skies import CIRCLES, DAY, DAY_S, EIGHT_SITES, START, element_file, verified

ZURICH = orbit.Site("Zurich", 47.37, 8.54, 408.0)
DEVICES = orbit.place_devices(ZURICH, 12, 200.0, np.random.default_rng(3))
SYNCHRONOUS, SKY = verified(26900), orbit.Site("under a synchronous orbit", 40.0, 32.0)
HIGH = CIRCLES[6]


def _contacts(satellite, mask_deg=10.0, start=START):
    windows = orbit.contact_windows([satellite], [ZURICH], start, start + DAY, mask_deg, "sgp4")
    assert len(windows) > 1
    return list(zip(windows.rise_s.tolist(), windows.set_s.tolist(), strict=True))


def _elevation_deg(satellite, site, start, time_s):
    seen = orbit.look_angles(satellite, site, start, np.atleast_1d(time_s)).elevation_deg[:, 0]
    return seen if np.ndim(time_s) else float(seen[0])


def _peak(satellite, site, start, rise_s, set_s):
    """Time and elevation of the highest point between two times."""
    found = minimize_scalar(
        lambda time_s: -_elevation_deg(satellite, site, start, time_s),
        bounds=(rise_s, set_s), method="bounded", options={"xatol": 1e-5},
    )  # fmt: skip
    return found.x, -found.fun


def _edges(satellite, device, start, rise_s, set_s, mask_deg, step_s):
    """AOS and LOS around the highest elevation, by scanning exact SGP4 and Brent's method.

    None if the device never sees the satellite.
    """

    def above(time_s):
        return _elevation_deg(satellite, device, start, time_s) - mask_deg

    time_s = np.append(np.arange(rise_s, set_s, step_s), set_s)
    margin = above(time_s)
    if not (margin >= 0).any():
        return None
    top, low = margin.argmax(), np.flatnonzero(margin < 0)
    before, after = low[low < top][-1:], low[low > top][:1]
    aos = [brentq(above, time_s[k], time_s[k + 1], xtol=1e-7) for k in before] or [rise_s]
    los = [brentq(above, time_s[k - 1], time_s[k], xtol=1e-7) for k in after] or [set_s]
    return aos[0], los[0]


def _assert_edges(
    seen, satellite, devices, start, rise_s, set_s, mask_deg, step_s=1.0, near_s=1e-4
):
    """AOS and LOS of every device are where exact SGP4 crosses its mask."""
    for k, device in enumerate(devices):
        mask = mask_deg if device.min_elevation_deg is None else device.min_elevation_deg
        edges = _edges(satellite, device, start, rise_s, set_s, mask, step_s)
        if edges is None:
            assert seen.aos_s[k] == seen.los_s[k]
        else:
            assert (seen.aos_s[k], seen.los_s[k]) == pytest.approx(edges, abs=near_s)


def _assert_seen(seen, satellite, devices, start, times=slice(None)):
    """Every promised figure at the geometry's own times is that of exact SGP4."""
    for k, device in enumerate(devices):
        exact = orbit.look_angles(satellite, device, start, seen.time_s[k, times])
        _assert_near(
            exact, seen.elevation_deg[k, times], seen.azimuth_deg[k, times],
            seen.slant_range_km[k, times], seen.range_rate_km_s[k, times],
        )  # fmt: skip


def _assert_near(exact, elevation_deg, azimuth_deg, slant_range_km, range_rate_km_s):
    shape = exact.elevation_deg.shape
    turn = (azimuth_deg.reshape(shape) - exact.azimuth_deg + 180) % 360 - 180
    across = turn * np.cos(np.radians(exact.elevation_deg))
    assert np.abs(elevation_deg.reshape(shape) - exact.elevation_deg).max() < 1e-6
    assert np.abs(across).max() < 1e-6
    assert np.abs(slant_range_km.reshape(shape) - exact.slant_range_km).max() < 1e-5
    assert np.abs(range_rate_km_s.reshape(shape) - exact.range_rate_km_s).max() < 1e-6


# The geometry of a contact.


def _iss():
    return orbit.read_satellites(element_file("earth2026_stations.tle"))[0]


@pytest.mark.parametrize("satellite", [lambda: CIRCLES[4], lambda: CIRCLES[8], _iss])
def test_every_devices_interval_and_view_are_those_of_brute_force(satellite):
    satellite = satellite()
    for rise_s, set_s in _contacts(satellite):
        seen = orbit.contact_geometry(satellite, DEVICES, START, rise_s, set_s, 10.0, 1.3)
        _assert_edges(seen, satellite, DEVICES, START, rise_s, set_s, 10.0)
        _assert_seen(seen, satellite, DEVICES, START)
        strict = [replace(device, min_elevation_deg=25.0) for device in DEVICES]
        seen = orbit.contact_geometry(satellite, strict, START, rise_s, set_s, 10.0)
        _assert_edges(seen, satellite, strict, START, rise_s, set_s, 10.0)


# Perigees of 135 to 700 km, from the equator's plane to 65 degrees.
@pytest.mark.parametrize("norad_id", [8195, 9880, 11801, 22674, 23177])
def test_eccentric_orbits_near_perigee_are_as_exact_at_low_masks(norad_id):
    satellite = verified(norad_id)
    model, start = satellite.model, satellite.epoch
    perigee_s = (2 * np.pi - model.mo) / (model.no_kozai / 60)
    under = orbit.ground_track(satellite, start, np.array([perigee_s]))
    centre = orbit.Site("below", float(under.latitude_deg[0]), float(under.longitude_deg[0]))
    places = orbit.place_devices(centre, 6, 500.0, np.random.default_rng(1))
    devices = [
        replace(place, min_elevation_deg=mask_deg)
        for place, mask_deg in zip(places, (0.0, 0.5, 3.0, 20.0, 60.0, None), strict=True)
    ]
    span_s = perigee_s - 3000.0, perigee_s + 3000.0
    seen = orbit.contact_geometry(satellite, devices, start, *span_s, 5.0, 1.7)
    assert (seen.los_s > seen.aos_s).sum() >= 3
    _assert_edges(seen, satellite, devices, start, *span_s, 5.0)
    _assert_seen(seen, satellite, devices, start, slice(None, None, 3))


def _turns(step_s):
    """Times and elevations of the synchronous orbit's turning points, and which are lowest."""
    time_s = np.arange(0.0, 3 * DAY_S, step_s)
    elevation_deg = _elevation_deg(SYNCHRONOUS, SKY, SYNCHRONOUS.epoch, time_s)
    slope = np.diff(elevation_deg)
    turns = np.flatnonzero(np.sign(slope[:-1]) != np.sign(slope[1:])) + 1
    return time_s[turns], elevation_deg[turns], slope[turns] > 0


def test_of_several_humps_the_highest_is_taken():
    _, elevation_deg, lowest = _turns(10.0)
    assert lowest.sum() >= 2 and (~lowest).sum() >= 2
    masks_deg = np.linspace(elevation_deg[lowest].min(), elevation_deg[~lowest].max(), 9)[1:-1]
    devices = [replace(SKY, min_elevation_deg=float(mask_deg)) for mask_deg in masks_deg]
    span = SYNCHRONOUS.epoch, 0.0, 3 * DAY_S
    seen = orbit.contact_geometry(SYNCHRONOUS, devices, *span, 5.0, 60.0)
    assert (seen.los_s - seen.aos_s).max() < DAY_S
    inside = np.stack([seen.aos_s > 0, seen.los_s < 3 * DAY_S], axis=1)
    assert inside.any(axis=1).all()
    off_deg = seen.elevation_deg[:, [0, -1]] - masks_deg[:, None]
    assert np.abs(off_deg)[inside].max() < 1e-7
    # The elevation changes by 3e-6 deg/s at most, so a scan every 10 s finds the right hump.
    _assert_edges(seen, SYNCHRONOUS, devices, *span, 5.0, 10.0, 0.05)


@pytest.mark.parametrize("above_deg", [1e-7, 5e-8])
def test_a_dip_between_two_knots_ends_the_interval(above_deg):
    time_s, elevation_deg, lowest = _turns(1.0)
    inner = lowest & (time_s > time_s[~lowest].min()) & (time_s < time_s[~lowest].max())
    dip_s, dip_deg = time_s[inner][0], elevation_deg[inner][0]
    strict = [replace(SKY, min_elevation_deg=float(dip_deg) + above_deg)]
    # The dip is shorter than a knot's step (55 s), so from some starts it lies between two knots.
    for rise_s in np.linspace(0.0, 55.0, 6):
        seen = orbit.contact_geometry(
            SYNCHRONOUS, strict, SYNCHRONOUS.epoch, rise_s, 3 * DAY_S, 5.0, 60.0
        )
        assert min(abs(seen.aos_s[0] - dip_s), abs(seen.los_s[0] - dip_s)) < 55.0


@pytest.mark.parametrize("below_deg", [1e-2, 1e-4, 1e-6])
def test_a_pass_that_hides_between_two_knots_is_seen(below_deg):
    for rise_s, set_s in _contacts(HIGH):
        peak_s, peak_deg = _peak(HIGH, ZURICH, START, rise_s, set_s)
        strict = replace(ZURICH, min_elevation_deg=peak_deg - below_deg)
        seen = orbit.contact_geometry(HIGH, [strict], START, rise_s, set_s, 10.0)
        assert seen.aos_s[0] < peak_s < seen.los_s[0] < seen.aos_s[0] + 30.0
        edges_deg = _elevation_deg(HIGH, ZURICH, START, np.r_[seen.aos_s, seen.los_s])
        np.testing.assert_allclose(edges_deg, strict.min_elevation_deg, atol=2e-7)


def test_a_device_never_in_view_has_its_empty_interval_at_the_exact_top():
    far = orbit.Site("antipode", -47.37, -171.46)
    devices = [*(replace(device, min_elevation_deg=89.99) for device in DEVICES), far]
    rise_s, set_s = _contacts(HIGH)[0]
    seen = orbit.contact_geometry(HIGH, [*devices, ZURICH], START, rise_s, set_s, 10.0)
    assert seen.los_s[-1] - seen.aos_s[-1] == pytest.approx(set_s - rise_s, abs=2e-3)
    for k, device in enumerate(devices):
        _, peak_deg = _peak(HIGH, device, START, rise_s, set_s)
        ends_deg = _elevation_deg(HIGH, device, START, np.array([rise_s, set_s]))
        assert seen.aos_s[k] == seen.los_s[k]
        assert seen.elevation_deg[k].max() == pytest.approx(max(peak_deg, *ends_deg), abs=1e-6)


def test_no_contact_is_too_short_and_no_rounding_moves_its_ends():
    rise_s, set_s = _contacts(HIGH)[1]
    middle_s = (rise_s + set_s) / 2
    for last_s in (np.nextafter(middle_s, set_s), middle_s + 1e-6, middle_s + 0.1):
        seen = orbit.contact_geometry(HIGH, DEVICES, START, middle_s, last_s, 0.0)
        assert (seen.aos_s == middle_s).all() and (seen.los_s == last_s).all()
        _assert_seen(seen, HIGH, DEVICES, START)
    low, later = replace(ZURICH, min_elevation_deg=0.0), START + timedelta(seconds=rise_s)
    ends = np.random.default_rng(8).uniform((0.01, 10), (1, 300), (20000, 2))
    off_s = ends[:, 0] + (ends[:, 1] - ends[:, 0]) - ends[:, 1]
    up, down = ends[off_s > 0][:5], ends[off_s < 0][:5]
    assert len(up) and len(down)
    for first_s, last_s in [*up, *down]:
        seen = orbit.contact_geometry(HIGH, [low], later, first_s, last_s, 10.0)
        assert (seen.aos_s[0], seen.los_s[0]) == (first_s, last_s)


@pytest.mark.parametrize("step_s", [1.0, 8.0, 33.0])
def test_the_grid_runs_from_aos_to_los_with_no_larger_step_than_asked(step_s):
    rise_s, set_s = _contacts(HIGH)[0]
    seen = orbit.contact_geometry(HIGH, DEVICES, START, rise_s, set_s, 10.0, step_s)
    assert seen.time_s.shape == seen.elevation_deg.shape == seen.range_rate_km_s.shape
    np.testing.assert_array_equal(seen.time_s[:, [0, -1]].T, [seen.aos_s, seen.los_s])
    spacing = np.diff(seen.time_s, axis=1)
    assert 0 <= spacing.min() <= spacing.max() <= step_s + 1e-9
    longest = (seen.los_s - seen.aos_s).max()
    assert longest / (seen.time_s.shape[1] - 1) == pytest.approx(spacing.max())
    assert longest / max(1, seen.time_s.shape[1] - 2) > step_s


ANGLES = ("time_s", "elevation_deg", "slant_range_km", "range_rate_km_s", "azimuth_deg")


def test_devices_and_contacts_do_not_depend_on_each_other_however_many_they_are():
    many = orbit.place_devices(SKY, 300, 500.0, np.random.default_rng(6))
    span = SYNCHRONOUS.epoch, 0.0, 3 * DAY_S, 30.0, 3600.0
    seen = orbit.contact_geometry(SYNCHRONOUS, many, *span)
    for k in (0, 149, 299):
        alone = orbit.contact_geometry(SYNCHRONOUS, many[k : k + 1], *span)
        assert (seen.aos_s[k], seen.los_s[k]) == (alone.aos_s[0], alone.los_s[0])
        np.testing.assert_array_equal(seen.azimuth_deg[k], alone.azimuth_deg[0])
    found = [
        (satellite, rise_s, set_s, 1.0 + 0.7 * n)
        for satellite in CIRCLES[3:10]
        for n, (rise_s, set_s) in enumerate(_contacts(satellite)[:3])
    ]
    # One that all of the devices see only a part of, and one that none of them sees.
    satellite, rise_s, set_s, _ = found[0]
    found += [(satellite, rise_s + 60.0, set_s - 60.0, 5.0)]
    found += [(satellite, set_s + 900, set_s + 960, 5)]
    together = contact_geometries(found, DEVICES, START, 10.0)
    assert any((seen.aos_s == seen.los_s).all() for seen in together)
    for seen, (satellite, rise_s, set_s, step_s) in zip(together, found, strict=True):
        alone = orbit.contact_geometry(satellite, DEVICES, START, rise_s, set_s, 10.0, step_s)
        for name in ANGLES:
            np.testing.assert_array_equal(getattr(seen, name), getattr(alone, name))
    dense = orbit.contact_geometry(*found[0][:1], [ZURICH], START, *found[0][1:3], 10.0, 0.005)
    assert dense.time_s.shape[1] > 40_000
    _assert_seen(dense, found[0][0], [ZURICH], START, slice(None, None, 5000))


def test_a_contact_far_from_the_start_is_as_exact():
    days_s = 20 * DAY_S
    rise_s, set_s = _contacts(HIGH, start=START + 20 * DAY)[0]
    near = orbit.contact_geometry(HIGH, DEVICES, START + 20 * DAY, rise_s, set_s, 10.0)
    far = orbit.contact_geometry(HIGH, DEVICES, START, rise_s + days_s, set_s + days_s, 10.0)
    np.testing.assert_allclose(far.aos_s - days_s, near.aos_s, atol=1e-5)
    np.testing.assert_allclose(far.slant_range_km, near.slant_range_km, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"set_s": 0.0}, "does not last"),
        ({"rise_s": nan}, "does not last"),
        ({"step_s": 0.0}, "step_s 0.0 is not a positive"),
        ({"devices": ()}, "no site given"),
        ({"min_elevation_deg": -1.0}, "min_elevation_deg -1.0"),
    ],
)
def test_bad_contacts_are_refused(change, words):
    good = {"satellite": HIGH, "devices": [ZURICH], "start": START, "rise_s": 0.0, "set_s": 60.0}
    with pytest.raises(ValueError, match=words):
        orbit.contact_geometry(**{**good, "min_elevation_deg": 10.0, **change})


# The path that a contact is seen along.


def _assert_track_exact(satellite, start, first_s, last_s, time_s):
    track = orbit.contact_track(satellite, start, first_s, last_s)
    seen = track.look(EIGHT_SITES, time_s)
    _assert_near(orbit.look_angles(satellite, EIGHT_SITES, start, time_s), **vars(seen))


def _times(first_s, last_s, count=3000, seed=0):
    """Times inside, dense at both ends, where a spline is at its worst."""
    near = np.linspace(0.0, 0.01 * (last_s - first_s), count // 10)
    inside = np.random.default_rng(seed).uniform(first_s, last_s, count)
    return np.clip(np.concatenate([first_s + near, inside, last_s - near]), first_s, last_s)


@given(st.integers(0, 11), st.floats(-20, 20), st.floats(-6, 4.1), st.integers(0, 99))
def test_a_track_over_any_span_is_sgp4s(which, day, log_span, seed):
    span_s = day * DAY_S, day * DAY_S + 10**log_span
    _assert_track_exact(CIRCLES[which], START, *span_s, _times(*span_s, 300, seed))


# Eccentric (to 0.97), half a day resonant, synchronous, and low with much drag.
@pytest.mark.parametrize(
    "norad_id", [5, 6251, 8195, 9880, 11801, 22674, 23177, 23333, 24208, 26900, 28057, 28129, 28350]
)
def test_tracks_of_all_kinds_of_orbits_are_sgp4s(norad_id):
    satellite = verified(norad_id)
    period_s = 2 * np.pi / satellite.model.no_kozai * 60
    span_s = 0.0, min(1.1 * period_s, 2 * DAY_S)
    _assert_track_exact(satellite, satellite.epoch, *span_s, _times(*span_s))
    # The elements' mean anomaly says when the satellite is at perigee, where it is fastest.
    perigee_s = -satellite.model.mo / satellite.model.no_kozai * 60 % period_s
    around = perigee_s + np.linspace(-600.0, 600.0, 4001)
    _assert_track_exact(satellite, satellite.epoch, around[0] - 100, around[-1] + 100, around)


class _Counted:
    """An SGP4 model that counts how often, and for how many times, it is called."""

    def __init__(self, model):
        self.model, self.calls, self.times = model, 0, 0

    def __getattr__(self, name):
        return getattr(self.model, name)

    def sgp4_array(self, *arguments):
        self.calls, self.times = self.calls + 1, self.times + len(arguments[0])
        return self.model.sgp4_array(*arguments)


def test_a_track_calls_sgp4_once_for_few_times_and_never_for_looks():
    still = verified(28626)
    counted = replace(still, model=_Counted(still.model))
    track = orbit.contact_track(counted, still.epoch, 0.0, 30 * DAY_S)
    track.look(EIGHT_SITES, np.linspace(0.0, 30 * DAY_S, 50))
    assert counted.model.calls == 1 and counted.model.times < 60_000
    orbit.contact_geometry(counted, EIGHT_SITES, still.epoch, 0.0, 700.0, 10.0)
    assert counted.model.calls == 2


def test_times_may_be_common_to_all_sites_or_each_sites_own():
    track = orbit.contact_track(CIRCLES[2], START, 100.0, 900.0)
    time_s, count = np.linspace(100.0, 900.0, 7)[:, None], len(EIGHT_SITES)
    assert track.look(EIGHT_SITES[0], time_s[:, 0]).elevation_deg.shape == (7, 1)
    assert track.look(EIGHT_SITES, time_s[:, 0]).azimuth_deg.shape == (7, count)
    own_s = time_s - np.linspace(0, 1, count) * (time_s - 100.0)
    seen = track.look(EIGHT_SITES, own_s)
    for k, site in enumerate(EIGHT_SITES):
        alone = track.look(site, own_s[:, k])
        for name in ANGLES[1:]:
            np.testing.assert_array_equal(getattr(seen, name)[:, k], getattr(alone, name)[:, 0])


@pytest.mark.parametrize(
    ("time_s", "words"),
    [
        ([99.999], "time 99.999 s is outside the track; give times from 100.0 s to 900.0 s"),
        ([200.0, 900.001], "time 900.001 s is outside"),
        ([nan], "time nan s is outside"),
        (150.0, "time_s has shape ()"),
        ([[150.0, 160.0]], "time_s has shape (1, 2); give (T,), or (T, 8)"),
    ],
)
def test_times_that_the_track_does_not_have_are_refused(time_s, words):
    track = orbit.contact_track(CIRCLES[2], START, 100.0, 900.0)
    with pytest.raises(ValueError, match=re.escape(words)):
        track.look(EIGHT_SITES, np.array(time_s))


@pytest.mark.parametrize("span_s", [(0.0, 0.0), (5.0, 4.0), (0.0, float("inf")), (nan, 1.0)])
def test_spans_and_starts_that_cannot_be_are_refused(span_s):
    with pytest.raises(ValueError, match="does not last"):
        orbit.contact_track(HIGH, START, *span_s)
    with pytest.raises(ValueError, match="no time zone"):
        orbit.contact_track(HIGH, START.replace(tzinfo=None), 0.0, 60.0)


# Look angles and subsatellite points.


def test_range_rate_is_the_derivative_of_range_but_for_sgp4s_own_velocity():
    # SGP4's velocity leaves out small periodic terms: below 1 m/s for near-circular orbits.
    time_s = np.arange(0.0, 6000.0, 37.0)
    for satellite in CIRCLES:
        early, now, late = (
            orbit.look_angles(satellite, EIGHT_SITES, START, time_s + off) for off in (-0.5, 0, 0.5)
        )
        off_km_s = now.range_rate_km_s - (late.slant_range_km - early.slant_range_km)
        assert np.abs(off_km_s).max() < 1e-3


def test_one_site_may_stand_alone_and_one_turn_of_longitude_is_the_same_place():
    time_s = np.arange(0.0, 6000.0, 60.0)
    west, east = orbit.Site("w", 10.0, -20.0), orbit.Site("e", 10.0, 340.0)
    both = orbit.look_angles(CIRCLES[5], [west, east], START, time_s)
    alone = orbit.look_angles(CIRCLES[5], east, START, time_s)
    for name in ANGLES[1:]:
        np.testing.assert_array_equal(getattr(alone, name)[:, 0], getattr(both, name)[:, 1])
        np.testing.assert_allclose(*getattr(both, name).T, atol=1e-8)


@given(st.floats(7000.0, 42000.0), st.floats(0, 180), st.floats(-1e6, 1e6))
def test_at_its_subsatellite_point_it_stands_in_the_zenith(axis_km, inclination_deg, time_s):
    satellite = orbit.keplerian_satellite(
        "made", START, semi_major_axis_km=axis_km, inclination_deg=inclination_deg
    )
    under = orbit.ground_track(satellite, START, np.array([time_s]))
    site = orbit.Site("under", float(under.latitude_deg[0]), float(under.longitude_deg[0]))
    seen = orbit.look_angles(satellite, site, START, np.array([time_s]))
    assert seen.elevation_deg[0, 0] > 90 - 1e-7
    assert seen.slant_range_km[0, 0] == pytest.approx(under.altitude_km[0], abs=1e-6)


@pytest.mark.parametrize("time_s", [[], [nan], [[1.0, 2.0]]])
def test_times_that_are_no_row_of_seconds_are_refused(time_s):
    for ask in (
        lambda times: orbit.look_angles(HIGH, EIGHT_SITES, START, times),
        lambda times: orbit.ground_track(HIGH, START, times),
    ):
        with pytest.raises(ValueError, match=r"time_s .* must be one row of finite seconds"):
            ask(np.array(time_s))


# Sites and devices.


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("x", 90.1, 0), "site 'x': latitude_deg 90.1 is outside -90 to 90"),
        (("x", 0, 360.0), "site 'x': longitude_deg 360.0 is outside -180 up to but not"),
        (("x", 0, -180.1), "site 'x': longitude_deg -180.1"),
        (("x", 0, 0, 9001.0), "site 'x': altitude_m 9001.0"),
        (("x", 0, 0, nan), "site 'x': altitude_m nan"),
        (("x", 0, 0, 0, 90.0), "site 'x': min_elevation_deg 90.0"),
        (("x", 0, 0, 0, -0.1), "site 'x': min_elevation_deg -0.1"),
        (("x", "48", 0), "site 'x': latitude_deg '48' is not a number; give one from -90 to 90"),
        (("x", np.zeros((2, 1)), 0), "site 'x': latitude_deg array([[0.], [0.]]) is not a number"),
        (("x", 48, None), "site 'x': longitude_deg None is not a number"),
        ((None, 1, 1), "site name None is no name; give text such as"),
        ((" ", 1, 1), "site name ' ' is no name"),
        (("a\u2028", 1, 1), r"site name 'a\u2028' has a line break; write it on one line"),
    ],
)
def test_sites_that_cannot_be_are_refused_in_one_line(given, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        orbit.Site(*given)
    assert "\n" not in str(caught.value)


CENTRES = [
    replace(ZURICH, min_elevation_deg=15.0),
    orbit.Site("null island", 0.0, 0.0),
    orbit.Site("Taveuni", -16.8, 180.0),
    orbit.Site("near the pole", 89.5, -30.0),
    orbit.Site("south pole", -90.0, 0.0),
]


def _geodesics(site, devices):
    """Distances (km) and azimuths (rad) on WGS 84 from a site (Vincenty's inverse, 1975)."""
    latitude, longitude = np.radians([(d.latitude_deg, d.longitude_deg) for d in devices]).T
    a, f = 6378.137, 1 / 298.257223563
    b = a * (1 - f)
    here = np.radians(site.latitude_deg)
    u1 = np.arctan2((1 - f) * np.sin(here), np.cos(here))
    u2 = np.arctan((1 - f) * np.tan(latitude))
    span = lam = (longitude - np.radians(site.longitude_deg) + np.pi) % (2 * np.pi) - np.pi
    for _ in range(30):
        east = np.cos(u2) * np.sin(lam)
        north = np.cos(u1) * np.sin(u2) - np.sin(u1) * np.cos(u2) * np.cos(lam)
        sin_s = np.hypot(east, north)
        cos_s = np.sin(u1) * np.sin(u2) + np.cos(u1) * np.cos(u2) * np.cos(lam)
        sigma = np.arctan2(sin_s, cos_s)
        sin_a = np.cos(u1) * np.cos(u2) * np.sin(lam) / sin_s
        cos2 = 1 - sin_a**2
        mid = np.where(cos2 > 1e-12, cos_s - 2 * np.sin(u1) * np.sin(u2) / cos2, 0.0)
        c = f / 16 * cos2 * (4 + f * (4 - 3 * cos2))
        bend = sigma + c * sin_s * (mid + c * cos_s * (2 * mid**2 - 1))
        lam = span + (1 - c) * f * sin_a * bend
    k = cos2 * (a * a - b * b) / (b * b)
    big_a = 1 + k / 16384 * (4096 + k * (-768 + k * (320 - 175 * k)))
    big_b = k / 1024 * (256 + k * (-128 + k * (74 - 47 * k)))
    inner = cos_s * (2 * mid**2 - 1) - big_b / 6 * mid * (4 * sin_s**2 - 3) * (4 * mid**2 - 3)
    return b * big_a * (sigma - big_b * sin_s * (mid + big_b / 4 * inner)), np.arctan2(east, north)


@pytest.mark.parametrize("centre", CENTRES, ids=lambda site: site.name)
def test_devices_are_uniform_over_the_disc_each_at_the_distance_of_its_draw(centre):
    for radius_km in (1.0, 100.0, 500.0):
        devices = orbit.place_devices(centre, 3000, radius_km, np.random.default_rng(11))
        share, turn = np.random.default_rng(11).random((3000, 2)).T
        distance_km, azimuth = _geodesics(centre, devices)
        np.testing.assert_allclose(distance_km, radius_km * np.sqrt(share), rtol=1e-3, atol=1e-6)
        apart = np.remainder(azimuth - 2 * np.pi * turn + np.pi, 2 * np.pi) - np.pi
        assert np.abs(apart).max() < 1e-3
        assert kstest((distance_km / radius_km) ** 2, "uniform", args=(0, 1.002)).pvalue > 1e-3
        assert kstest((azimuth / (2 * np.pi)) % 1, "uniform").pvalue > 1e-3


def test_devices_are_numbered_and_keep_the_centres_altitude_and_mask():
    few, many = (
        orbit.place_devices(CENTRES[0], n, 50.0, np.random.default_rng(4)) for n in (3, 50)
    )
    assert many[:3] == few and [device.name for device in few] == ["0", "1", "2"]
    assert {(device.altitude_m, device.min_elevation_deg) for device in few} == {(408.0, 15.0)}
    assert orbit.place_devices(CENTRES[0], 0, 50.0, np.random.default_rng(4)) == ()
    for device in orbit.place_devices(CENTRES[2], 4, 0.0, np.random.default_rng(0)):
        assert (device.latitude_deg, device.longitude_deg) == (-16.8, 180.0)
    for count, radius_km in ((-1, 1.0), (3, -1.0), (3, 501.0)):
        with pytest.raises(ValueError, match=r"devices -1|radius_km"):
            orbit.place_devices(CENTRES[0], count, radius_km, np.random.default_rng(0))
