"""What sites and devices see: look angles, and each device's own AOS, LOS and geometry."""

from dataclasses import replace
from datetime import timedelta
from math import ceil, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from skyfield.api import wgs84

import orbit
from orbit.contact_views import contact_views
from orbit.look_angles import looks_from
from orbit.sites import site_frames
from orbit.tracks import contact_tracks
from tests.kit.skies import CIRCLES, DAY, DAY_S, EIGHT_SITES, START, refused, verified

ZURICH = orbit.Site("Zurich", 47.37, 8.54, 408.0)
DEVICES = orbit.place_devices(ZURICH, 12, 200.0, np.random.default_rng(3))
HIGH = CIRCLES[6]
# What is promised against exact SGP4.
NEAR = {"elevation_deg": 1e-6, "azimuth_deg": 1e-6, "slant_range_km": 1e-5, "range_rate_km_s": 1e-6}
LOOKS = ("elevation_deg", "slant_range_km", "range_rate_km_s")


def _contacts(satellite):
    windows = orbit.contact_windows([satellite], [ZURICH], START, START + DAY, 10.0, "sgp4")
    assert len(windows) > 1
    return list(zip(windows.rise_s.tolist(), windows.set_s.tolist(), strict=True))


def _elevation_deg(satellite, site, time_s):
    seen = orbit.look_angles(satellite, site, START, np.atleast_1d(time_s)).elevation_deg[:, 0]
    return seen if np.ndim(time_s) else float(seen[0])


def _assert_near(seen, exact):
    for name in NEAR:
        off = getattr(seen, name) - getattr(exact, name)
        if name == "azimuth_deg":
            off = ((off + 180) % 360 - 180) * np.cos(np.radians(exact.elevation_deg))
        assert np.abs(off).max() < NEAR[name], name


def _edges(satellite, device, rise_s, set_s, mask_deg, scan_s):
    """AOS and LOS around the highest elevation, by scanning exact SGP4 and Brent's method."""

    def above(time_s):
        return _elevation_deg(satellite, device, time_s) - mask_deg

    time_s = np.append(np.arange(rise_s, set_s, scan_s), set_s)
    margin = above(time_s)
    top = margin.argmax()
    low = np.flatnonzero(margin < 0)
    if margin[top] < 0:
        return None
    before = low[low < top][-1:]
    after = low[low > top][:1]
    aos = [brentq(above, time_s[k], time_s[k + 1], xtol=1e-7) for k in before] or [rise_s]
    los = [brentq(above, time_s[k - 1], time_s[k], xtol=1e-7) for k in after] or [set_s]
    return aos[0], los[0]


def _views(satellite, devices, start, rise_s, set_s, step_s=8.0):
    """The devices in one contact above 10 degrees."""
    frames = [site_frames(devices, 10.0)]
    points = np.array([max(41, ceil((set_s - rise_s) / step_s) + 1)])
    span_s = np.array([rise_s]), np.array([set_s])
    return contact_views([satellite], start, *span_s, frames, np.zeros(1, np.int64), points)


def _checked(satellite, devices, rise_s, set_s, step_s, scan_s=1.0):
    """The views of a contact: AOS, LOS and all that is seen as exact SGP4 says."""
    views = _views(satellite, devices, START, rise_s, set_s, step_s)
    for k, device in enumerate(devices):
        mask_deg = 10.0 if device.min_elevation_deg is None else device.min_elevation_deg
        edges = _edges(satellite, device, rise_s, set_s, mask_deg, scan_s)
        mine = views.aos_s[k], views.los_s[k]
        assert mine == pytest.approx(edges, abs=1e-4) if edges else mine[0] == mine[1]
        time_s = np.linspace(*mine, 40)
        exact = orbit.look_angles(satellite, device, START, time_s)
        seen = views.look(np.full(len(time_s), k), time_s)
        for name, values in zip(LOOKS, seen, strict=True):
            assert np.abs(values - getattr(exact, name)[:, 0]).max() < NEAR[name], name


@pytest.mark.parametrize("satellite", [CIRCLES[4], CIRCLES[8]])
def test_every_devices_interval_and_view_are_those_of_brute_force(satellite):
    strict = [replace(device, min_elevation_deg=25.0) for device in DEVICES]
    for contact in _contacts(satellite):
        _checked(satellite, DEVICES, *contact, 1.3)
        _checked(satellite, strict, *contact, 8.0)
    # Of several passes in one contact it is that of the highest elevation.
    _checked(satellite, DEVICES[:2], 0.0, 0.6 * DAY_S, 60.0)


def test_a_pass_between_two_knots_is_seen_and_one_never_seen_has_its_exact_top():
    for n, (rise_s, set_s) in enumerate(_contacts(HIGH)):
        peak = minimize_scalar(
            lambda time_s: -_elevation_deg(HIGH, ZURICH, time_s),
            bounds=(rise_s, set_s), method="bounded", options={"xatol": 1e-5},
        )  # fmt: skip
        below_deg = (1e-2, 1e-4, 1e-6)[n % 3]
        strict = replace(ZURICH, min_elevation_deg=-peak.fun - below_deg)
        never = replace(ZURICH, min_elevation_deg=-peak.fun + below_deg)
        seen = _views(HIGH, [strict, never], START, rise_s, set_s)
        assert seen.aos_s[0] < peak.x < seen.los_s[0] < seen.aos_s[0] + 30.0
        edges_deg = _elevation_deg(HIGH, ZURICH, np.r_[seen.aos_s[0], seen.los_s[0]])
        np.testing.assert_allclose(edges_deg, strict.min_elevation_deg, atol=2e-7)
        assert seen.aos_s[1] == seen.los_s[1]
        top_deg = _elevation_deg(HIGH, ZURICH, seen.aos_s[1])
        assert top_deg == pytest.approx(-peak.fun, abs=1e-7)


def test_no_rounding_moves_the_ends_of_a_contact():
    rise_s, _ = _contacts(HIGH)[1]
    low = replace(ZURICH, min_elevation_deg=0.0)
    later = START + timedelta(seconds=rise_s)
    ends = np.random.default_rng(8).uniform((0.01, 10), (1, 300), (20000, 2))
    off_s = ends[:, 0] + (ends[:, 1] - ends[:, 0]) - ends[:, 1]
    for first_s, last_s in [*ends[off_s > 0][:5], *ends[off_s < 0][:5], (5, np.nextafter(5, 6))]:
        seen = _views(HIGH, [low], later, first_s, last_s)
        assert (seen.aos_s[0], seen.los_s[0]) == (first_s, last_s)


# Eccentric (to 0.97), half a day resonant, synchronous, and low with much drag.
@pytest.mark.parametrize(
    "norad_id", [5, 6251, 8195, 9880, 11801, 22674, 23177, 23333, 24208, 26900, 28057, 28129, 28350]
)
def test_the_track_of_a_contact_is_sgp4s_on_all_kinds_of_orbits(norad_id):
    satellite = verified(norad_id)
    motion_rad_s = satellite.model.no_kozai / 60
    period_s = 2 * np.pi / motion_rad_s
    # The elements' mean anomaly says when the satellite is at perigee, where it is fastest.
    perigee_s = -satellite.model.mo / motion_rad_s % period_s
    for first_s, lasts_s in ((0.0, min(1.1 * period_s, 2 * DAY_S)), (perigee_s - 700.0, 1400.0)):
        # Dense at both ends, where differences are one-sided.
        near_s = np.linspace(0.0, 0.01 * lasts_s, 300)
        last_s = first_s + lasts_s
        inside_s = np.random.default_rng(0).uniform(first_s, last_s, 3000)
        time_s = np.concatenate([first_s + near_s, inside_s, last_s - near_s])
        span_s = np.array([first_s]), np.array([last_s])
        track = contact_tracks([satellite], satellite.epoch, *span_s)
        states = track.state(np.zeros(len(time_s), np.int64), time_s).T[:, None]
        frames = site_frames(EIGHT_SITES, 0.0)
        exact = orbit.look_angles(satellite, EIGHT_SITES, satellite.epoch, time_s)
        _assert_near(looks_from(states, frames, np.arange(len(EIGHT_SITES))), exact)


def test_times_that_are_no_row_are_refused():
    words = "time_s .* must be one row of finite seconds"
    time_s = np.array([nan])
    refused(words, orbit.look_angles, HIGH, ZURICH, START, time_s)
    refused(words, orbit.ground_track, HIGH, START, time_s)


KINDS = st.sampled_from(["sgp4", "secular_j2"])


@given(st.floats(7000.0, 42000.0), st.floats(0, 180), st.floats(-1e6, 1e6), KINDS)
def test_at_its_subsatellite_point_it_stands_in_the_zenith(axis_km, inclination_deg, time_s, kind):
    how = {"inclination_deg": inclination_deg, "propagation": kind}
    satellite = orbit.keplerian_satellite("made", START, semi_major_axis_km=axis_km, **how)
    under = orbit.ground_track(satellite, START, np.array([time_s]))
    site = orbit.Site("under", float(under.latitude_deg[0]), float(under.longitude_deg[0]))
    seen = orbit.look_angles(satellite, site, START, np.array([time_s]))
    assert seen.elevation_deg[0, 0] > 90 - 1e-7
    assert seen.slant_range_km[0, 0] == pytest.approx(under.altitude_km[0], abs=1e-6)
    for place in (site, ZURICH):
        exact_km = orbit.look_angles(satellite, place, START, np.array([time_s])).slant_range_km
        alone_km = orbit.RangeFrom(place, START).km(satellite, time_s)
        assert alone_km == pytest.approx(exact_km[0, 0], rel=1e-11)


def _around(site, devices):
    """Distances (km) along the ground and azimuths (rad) from a site, by Skyfield's positions.

    The arc over a chord of up to 500 km is right to 1e-5 with any radius of the Earth.
    """
    *there, here = (
        wgs84.latlon(d.latitude_deg, d.longitude_deg).itrs_xyz.km for d in (*devices, site)
    )
    line, (lat, lon) = np.array(there) - here, np.radians([site.latitude_deg, site.longitude_deg])
    east = [-np.sin(lon), np.cos(lon), 0.0]
    up = [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
    arc_km = 12742 * np.arcsin(np.linalg.norm(line, axis=1) / 12742)
    return arc_km, np.arctan2(line @ east, line @ np.cross(up, east))


CENTRES = [replace(ZURICH, min_elevation_deg=15.0), EIGHT_SITES[2], orbit.Site("pole", -90.0, 0.0)]


@pytest.mark.parametrize("centre", CENTRES, ids=lambda site: site.name)
def test_each_device_is_at_the_distance_and_azimuth_of_its_draw(centre):
    """An area's share is the square of the radius's: they are uniform over the disc."""
    for radius_km in (1.0, 100.0, 500.0):
        devices = orbit.place_devices(centre, 500, radius_km, np.random.default_rng(11))
        share, turn = np.random.default_rng(11).random((500, 2)).T
        distance_km, azimuth = _around(centre, devices)
        np.testing.assert_allclose(distance_km, radius_km * np.sqrt(share), rtol=1e-3, atol=1e-6)
        apart = np.remainder(azimuth - 2 * np.pi * turn + np.pi, 2 * np.pi) - np.pi
        assert np.abs(apart).max() < 1e-3
    first = orbit.place_devices(centre, 3, 500.0, np.random.default_rng(11))
    assert devices[:3] == first and [device.name for device in first] == ["0", "1", "2"]
    kept = centre.altitude_m, centre.min_elevation_deg
    assert {(device.altitude_m, device.min_elevation_deg) for device in devices} == {kept}
    for words, *asked in (("devices -1", -1, 1.0), ("radius_km -1", 3, -1.0)):
        refused(words, orbit.place_devices, centre, *asked, np.random.default_rng(0))
