"""The geometry of a contact: each device's own AOS and LOS, and what it sees in between."""

from dataclasses import replace
from datetime import timedelta
from importlib.resources import files

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

import orbit
from tests.kit.orbit import contact_geometries

CENTRE = orbit.Site("Zurich", 47.37, 8.54, 408.0)


@pytest.fixture(scope="module")
def devices():
    return orbit.place_devices(CENTRE, 12, 200.0, np.random.default_rng(3))


def _contacts(satellite, start, mask_deg=10.0):
    windows = orbit.contact_windows(
        [satellite], [CENTRE], start, start + timedelta(days=1), mask_deg, "sgp4"
    )
    assert len(windows) > 0
    return zip(windows.rise_s, windows.set_s, strict=True)


def _exact(satellite, device, start, time_s):
    return orbit.look_angles(satellite, device, start, np.atleast_1d(time_s))


def _edges(satellite, device, start, rise_s, set_s, mask_deg, step_s=1.0):
    """AOS and LOS around the highest elevation, by scanning exact SGP4 and Brent's method.

    None if the device never sees the satellite.
    """

    def above(time_s):
        return float(_exact(satellite, device, start, time_s).elevation_deg[0, 0]) - mask_deg

    time_s = np.append(np.arange(rise_s, set_s, step_s), set_s)
    margin = _exact(satellite, device, start, time_s).elevation_deg[:, 0] - mask_deg
    if not (margin >= 0).any():
        return None
    top, low = margin.argmax(), np.flatnonzero(margin < 0)
    before, after = low[low < top][-1:], low[low > top][:1]
    aos = [brentq(above, time_s[k], time_s[k + 1], xtol=1e-7) for k in before] or [rise_s]
    los = [brentq(above, time_s[k - 1], time_s[k], xtol=1e-7) for k in after] or [set_s]
    return aos[0], los[0]


def _assert_seen_as_sgp4_says(seen, satellite, devices, start, times=slice(None)):
    """Every promised figure at the geometry's own times."""
    for k, device in enumerate(devices):
        exact = _exact(satellite, device, start, seen.time_s[k, times])
        turn = (seen.azimuth_deg[k, times] - exact.azimuth_deg[:, 0] + 180) % 360 - 180
        across = turn * np.cos(np.radians(exact.elevation_deg[:, 0]))
        rate_km_s = seen.range_rate_km_s[k, times] - exact.range_rate_km_s[:, 0]
        assert np.abs(seen.elevation_deg[k, times] - exact.elevation_deg[:, 0]).max() < 1e-6
        assert np.abs(across).max() < 1e-6
        assert np.abs(seen.slant_range_km[k, times] - exact.slant_range_km[:, 0]).max() < 1e-5
        assert np.abs(rate_km_s).max() < 1e-6


def _assert_edges(seen, satellite, devices, start, rise_s, set_s, mask_deg, step_s=1.0):
    """AOS and LOS of every device are where exact SGP4 crosses its mask."""
    for k, device in enumerate(devices):
        mask = mask_deg if device.min_elevation_deg is None else device.min_elevation_deg
        edges = _edges(satellite, device, start, rise_s, set_s, mask, step_s)
        if edges is None:
            assert seen.aos_s[k] == seen.los_s[k]
        else:
            assert abs(seen.aos_s[k] - edges[0]) < 1e-4
            assert abs(seen.los_s[k] - edges[1]) < 1e-4


def test_every_devices_interval_is_the_one_found_by_brute_force(satellites, devices, start):
    for satellite in (satellites[4], satellites[8]):
        for rise_s, set_s in _contacts(satellite, start):
            seen = orbit.contact_geometry(satellite, devices, start, rise_s, set_s, 10.0)
            _assert_edges(seen, satellite, devices, start, rise_s, set_s, 10.0)


def test_what_a_device_sees_is_what_sgp4_says(satellites, devices, start):
    for satellite in satellites[3:10]:
        for rise_s, set_s in list(_contacts(satellite, start))[:2]:
            seen = orbit.contact_geometry(satellite, devices, start, rise_s, set_s, 10.0, 1.3)
            _assert_seen_as_sgp4_says(seen, satellite, devices, start)


def test_what_a_device_sees_is_what_skyfield_says(satellites, devices, start, skyfield_view):
    for satellite in (satellites[5], satellites[9]):
        rise_s, set_s = list(_contacts(satellite, start))[-1]
        seen = orbit.contact_geometry(satellite, devices, start, rise_s, set_s, 10.0, 1.3)
        for k in (0, 5, 11):
            elevation, _, distance, rate = skyfield_view(
                satellite, devices[k], start, seen.time_s[k]
            )
            assert np.abs(seen.elevation_deg[k] - elevation).max() < 1e-6
            assert np.abs(seen.slant_range_km[k] - distance).max() < 5e-5
            assert np.abs(seen.range_rate_km_s[k] - rate).max() < 1e-6


def test_a_real_draggy_satellite_is_as_exact(element_files, devices, start):
    iss = orbit.read_satellites(element_files / "earth2026_stations.tle")[0]
    for rise_s, set_s in _contacts(iss, start):
        seen = orbit.contact_geometry(iss, devices, start, rise_s, set_s, 10.0)
        _assert_seen_as_sgp4_says(seen, iss, devices, start)
        _assert_edges(seen, iss, devices, start, rise_s, set_s, 10.0)


@pytest.fixture(scope="module")
def verification():
    """Eccentric and synchronous orbits of SGP4's own verification set, by catalogue number."""
    text = (files("sgp4") / "SGP4-VER.TLE").read_text()
    found = orbit.parse_satellites(text, "SGP4-VER.TLE", checksum="ignore")
    return {satellite.norad_id: satellite for satellite in found}


# Perigees of 135 to 700 km, from the equator's plane to 65 degrees.
@pytest.mark.parametrize("norad_id", [8195, 9880, 11801, 22674, 23177])
def test_eccentric_orbits_near_perigee_are_as_exact_at_low_masks(verification, norad_id):
    satellite = verification[norad_id]
    motion_rad_s = satellite.model.no_kozai / 60
    perigee_s = (2 * np.pi - satellite.model.mo) / motion_rad_s
    at_perigee = np.array([perigee_s])
    # The point below the perigee: where the satellite is in the zenith of the equator's sites ...
    ring = [orbit.Site(f"{k}", 0.0, float(k)) for k in range(-180, 180)]
    above = orbit.look_angles(satellite, ring, satellite.epoch, at_perigee).elevation_deg[0]
    longitude_deg = float(above.argmax() - 180)
    # ... and of the meridian's.
    ring = [orbit.Site(f"{k}", float(k), longitude_deg) for k in range(-90, 91)]
    above = orbit.look_angles(satellite, ring, satellite.epoch, at_perigee).elevation_deg[0]
    centre = orbit.Site("below", float(above.argmax() - 90), longitude_deg, 0.0)
    places = orbit.place_devices(centre, 6, 500.0, np.random.default_rng(1))
    masks_deg = (0.0, 0.5, 3.0, 20.0, 60.0, None)
    devices = [
        replace(place, min_elevation_deg=mask)
        for place, mask in zip(places, masks_deg, strict=True)
    ]
    rise_s, set_s = perigee_s - 3000.0, perigee_s + 3000.0
    seen = orbit.contact_geometry(satellite, devices, satellite.epoch, rise_s, set_s, 5.0, 1.7)
    assert (seen.los_s > seen.aos_s).sum() >= 3
    _assert_edges(seen, satellite, devices, satellite.epoch, rise_s, set_s, 5.0)
    _assert_seen_as_sgp4_says(seen, satellite, devices, satellite.epoch, slice(None, None, 3))


def _turns(satellite, device, start, rise_s, set_s, step_s):
    """Times and elevations of the lowest and highest points inside, by exact SGP4."""
    time_s = np.arange(rise_s, set_s, step_s)
    elevation = _exact(satellite, device, start, time_s).elevation_deg[:, 0]
    slope = np.diff(elevation)
    turns = np.flatnonzero(np.sign(slope[:-1]) != np.sign(slope[1:])) + 1
    return time_s[turns], elevation[turns], slope[turns] > 0


SKY = orbit.Site("under a synchronous orbit", 40.0, 32.0)


def test_of_several_humps_the_highest_is_taken(verification):
    satellite, day_s = verification[26900], 86400.0
    _, elevation, lowest = _turns(satellite, SKY, satellite.epoch, 0.0, 3 * day_s, 10.0)
    assert lowest.sum() >= 2 and (~lowest).sum() >= 2
    masks_deg = np.linspace(elevation[lowest].min(), elevation[~lowest].max(), 9)[1:-1]
    devices = [replace(SKY, min_elevation_deg=float(mask)) for mask in masks_deg]
    seen = orbit.contact_geometry(satellite, devices, satellite.epoch, 0.0, 3 * day_s, 5.0, 60.0)
    assert (seen.los_s - seen.aos_s).max() < day_s
    edges_deg = seen.elevation_deg[:, [0, -1]]
    inside = np.stack([seen.aos_s > 0, seen.los_s < 3 * day_s], axis=1)
    assert inside.any(axis=1).all()
    assert np.abs(edges_deg - masks_deg[:, None])[inside].max() < 1e-7
    # The elevation changes by 3e-6 deg/s at most, so a scan every 10 s finds the right hump.
    for k, device in enumerate(devices):
        aos, los = _edges(
            satellite, device, satellite.epoch, 0.0, 3 * day_s, float(masks_deg[k]), 10.0
        )
        assert abs(seen.aos_s[k] - aos) < 0.05
        assert abs(seen.los_s[k] - los) < 0.05


@pytest.mark.parametrize("below_deg", [1e-7, 5e-8])
def test_a_dip_between_two_knots_ends_the_interval(verification, below_deg):
    satellite, day_s = verification[26900], 86400.0
    time_s, elevation, lowest = _turns(satellite, SKY, satellite.epoch, 0.0, 3 * day_s, 1.0)
    inner = lowest & (time_s > time_s[~lowest].min()) & (time_s < time_s[~lowest].max())
    dip_s, dip_deg = time_s[inner][0], elevation[inner][0]
    strict = replace(SKY, min_elevation_deg=float(dip_deg) + below_deg)
    knots_s = orbit.contact_track(satellite, satellite.epoch, 0.0, 3 * day_s).path.x
    # The dip is shorter than a knot's step, so from some starts it lies between two knots.
    for rise_s in np.linspace(0.0, knots_s[1], 6):
        seen = orbit.contact_geometry(
            satellite, [strict], satellite.epoch, rise_s, 3 * day_s, 5.0, 60.0
        )
        assert min(abs(seen.aos_s[0] - dip_s), abs(seen.los_s[0] - dip_s)) < knots_s[1]


@pytest.mark.parametrize("below_deg", [1e-2, 1e-4, 1e-6])
def test_a_pass_that_hides_between_two_knots_is_seen(satellites, start, below_deg):
    satellite = satellites[6]
    for rise_s, set_s in _contacts(satellite, start):
        peak_s = minimize_scalar(
            lambda t: -float(_exact(satellite, CENTRE, start, t).elevation_deg[0, 0]),
            bounds=(rise_s, set_s), method="bounded", options={"xatol": 1e-5},
        )  # fmt: skip
        strict = replace(CENTRE, min_elevation_deg=-peak_s.fun - below_deg)
        seen = orbit.contact_geometry(satellite, [strict], start, rise_s, set_s, 10.0)
        assert seen.aos_s[0] < peak_s.x < seen.los_s[0]
        assert seen.los_s[0] - seen.aos_s[0] < 30.0
        np.testing.assert_allclose(
            _exact(satellite, CENTRE, start, np.array([seen.aos_s[0], seen.los_s[0]]))
            .elevation_deg[:, 0],
            strict.min_elevation_deg, atol=2e-7,
        )  # fmt: skip


def test_a_device_never_in_view_has_its_empty_interval_at_the_exact_top(satellites, devices, start):
    rise_s, set_s = next(iter(_contacts(satellites[6], start)))
    strict = [replace(device, min_elevation_deg=89.99) for device in devices]
    seen = orbit.contact_geometry(satellites[6], strict, start, rise_s, set_s, 10.0)
    for k, device in enumerate(devices):
        peak = minimize_scalar(
            lambda t, device=device: -float(
                _exact(satellites[6], device, start, t).elevation_deg[0, 0]
            ),
            bounds=(rise_s, set_s), method="bounded", options={"xatol": 1e-5},
        )  # fmt: skip
        assert seen.aos_s[k] == seen.los_s[k]
        assert seen.elevation_deg[k].max() == pytest.approx(-peak.fun, abs=1e-6)


def test_a_contact_as_short_as_a_clock_can_tell_has_geometry(satellites, devices, start):
    rise_s, set_s = list(_contacts(satellites[6], start))[1]
    middle_s = (rise_s + set_s) / 2
    for last_s in (np.nextafter(middle_s, set_s), middle_s + 1e-6, middle_s + 0.1):
        seen = orbit.contact_geometry(satellites[6], devices, start, middle_s, last_s, 0.0)
        assert (seen.aos_s == middle_s).all()
        assert (seen.los_s == last_s).all()
        _assert_seen_as_sgp4_says(seen, satellites[6], devices, start)


def test_no_rounding_moves_a_device_off_its_contacts_ends(satellites, start):
    low = replace(CENTRE, min_elevation_deg=0.0)
    rise_s, _ = list(_contacts(satellites[6], start))[1]
    later = start + timedelta(seconds=rise_s)
    rng = np.random.default_rng(8)
    ends = np.stack([rng.uniform(0.01, 1, 20000), rng.uniform(10, 300, 20000)], axis=1)
    off_s = ends[:, 0] + (ends[:, 1] - ends[:, 0]) - ends[:, 1]
    up, down = ends[off_s > 0][:5], ends[off_s < 0][:5]
    assert len(up) and len(down)
    for first_s, last_s in [*up, *down]:
        seen = orbit.contact_geometry(satellites[6], [low], later, first_s, last_s, 10.0)
        assert (seen.aos_s[0], seen.los_s[0]) == (first_s, last_s)


def test_devices_do_not_depend_on_each_other_however_many_they_are(verification):
    satellite, span_s = verification[26900], 3 * 86400.0
    many = orbit.place_devices(SKY, 300, 500.0, np.random.default_rng(6))
    seen = orbit.contact_geometry(satellite, many, satellite.epoch, 0.0, span_s, 30.0, 3600.0)
    for k in (0, 149, 299):
        alone = orbit.contact_geometry(
            satellite, many[k : k + 1], satellite.epoch, 0.0, span_s, 30.0, 3600.0
        )
        assert (seen.aos_s[k], seen.los_s[k]) == (alone.aos_s[0], alone.los_s[0])
        np.testing.assert_array_equal(seen.azimuth_deg[k], alone.azimuth_deg[0])


@pytest.mark.parametrize("step_s", [1.0, 8.0, 33.0])
def test_the_grid_runs_from_aos_to_los_with_no_larger_step_than_asked(
    satellites, devices, start, step_s
):
    rise_s, set_s = next(iter(_contacts(satellites[6], start)))
    seen = orbit.contact_geometry(satellites[6], devices, start, rise_s, set_s, 10.0, step_s)
    assert seen.time_s.shape == seen.elevation_deg.shape == seen.range_rate_km_s.shape
    np.testing.assert_array_equal(seen.time_s[:, 0], seen.aos_s)
    np.testing.assert_array_equal(seen.time_s[:, -1], seen.los_s)
    spacing = np.diff(seen.time_s, axis=1)
    assert 0 <= spacing.min() <= spacing.max() <= step_s + 1e-9
    longest = (seen.los_s - seen.aos_s).max()
    assert longest / (seen.time_s.shape[1] - 1) == pytest.approx(spacing.max())
    assert longest / max(1, seen.time_s.shape[1] - 2) > step_s


def test_a_device_that_never_sees_it_has_an_empty_interval_at_its_highest(satellites, start):
    far = orbit.Site("antipode", -47.37, -171.46)
    rise_s, set_s = next(iter(_contacts(satellites[6], start)))
    seen = orbit.contact_geometry(satellites[6], [CENTRE, far], start, rise_s, set_s, 10.0)
    assert seen.los_s[0] - seen.aos_s[0] == pytest.approx(set_s - rise_s, abs=2e-3)
    assert seen.aos_s[1] == seen.los_s[1]
    exact = _exact(satellites[6], far, start, np.linspace(rise_s, set_s, 500)).elevation_deg
    assert seen.elevation_deg[1].max() == pytest.approx(exact.max(), abs=1e-2)
    assert seen.elevation_deg[1].max() < 10.0


def test_a_devices_own_mask_wins_and_its_edges_are_on_it(satellites, devices, start):
    for rise_s, set_s in _contacts(satellites[6], start, 20.0):
        strict = [replace(device, min_elevation_deg=25.0) for device in devices]
        seen = orbit.contact_geometry(satellites[6], strict, start, rise_s, set_s, 20.0)
        inside = seen.los_s > seen.aos_s
        rising, setting = seen.aos_s > rise_s, seen.los_s < set_s
        assert np.abs(seen.elevation_deg[inside & rising, 0] - 25.0).max(initial=0) < 1e-5
        assert np.abs(seen.elevation_deg[inside & setting, -1] - 25.0).max(initial=0) < 1e-5
        assert seen.elevation_deg[inside].min(initial=90.0) > 25.0 - 1e-5


def test_a_device_in_view_throughout_is_cut_at_the_contacts_ends(satellites, start):
    low = replace(CENTRE, min_elevation_deg=0.0)
    rise_s, set_s = next(iter(_contacts(satellites[6], start)))
    seen = orbit.contact_geometry(satellites[6], [low], start, rise_s, set_s, 10.0)
    assert (seen.aos_s[0], seen.los_s[0]) == (rise_s, set_s)


def test_a_contact_far_from_the_start_is_as_exact(satellites, devices, start):
    day_s = 86400.0
    later = start + timedelta(days=20)
    rise_s, set_s = next(iter(_contacts(satellites[6], later)))
    near = orbit.contact_geometry(satellites[6], devices, later, rise_s, set_s, 10.0)
    far = orbit.contact_geometry(
        satellites[6], devices, start, rise_s + 20 * day_s, set_s + 20 * day_s, 10.0
    )
    np.testing.assert_allclose(far.aos_s - 20 * day_s, near.aos_s, atol=1e-5)
    np.testing.assert_allclose(far.slant_range_km, near.slant_range_km, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"set_s": 0.0}, "does not last"),
        ({"rise_s": float("nan")}, "does not last"),
        ({"step_s": 0.0}, "step_s 0.0 is not a positive"),
        ({"devices": ()}, "no site given"),
        ({"min_elevation_deg": -1.0}, "min_elevation_deg -1.0"),
    ],
)
def test_bad_contacts_are_refused(satellites, start, change, words):
    good = {
        "satellite": satellites[0], "devices": [CENTRE], "start": start, "rise_s": 0.0,
        "set_s": 60.0, "min_elevation_deg": 10.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=words):
        orbit.contact_geometry(**{**good, **change})


def test_a_device_may_have_more_points_than_fit_into_one_go(satellites, start):
    rise_s, set_s = next(_contacts(satellites[6], start))
    seen = orbit.contact_geometry(satellites[6], [CENTRE], start, rise_s, set_s, 10.0, 0.005)
    assert seen.time_s.shape[1] > (set_s - rise_s) / 0.005
    _assert_seen_as_sgp4_says(seen, satellites[6], [CENTRE], start, slice(None, None, 5000))


def test_contacts_together_are_seen_as_each_alone_to_the_last_bit(satellites, devices, start):
    found = [
        (satellite, rise_s, set_s, 1.0 + 0.7 * n)
        for satellite in satellites[3:10]
        for n, (rise_s, set_s) in enumerate(list(_contacts(satellite, start))[:3])
    ]
    # One that all of the devices see only a part of, and one that none of them sees.
    satellite, rise_s, set_s, _ = found[0]
    found += [
        (satellite, rise_s + 60.0, set_s - 60.0, 5.0),
        (satellite, set_s + 900, set_s + 960, 5),
    ]
    together = contact_geometries(found, devices, start, 10.0)
    assert any((seen.aos_s == seen.los_s).all() for seen in together)
    for seen, (satellite, rise_s, set_s, step_s) in zip(together, found, strict=True):
        alone = orbit.contact_geometry(satellite, devices, start, rise_s, set_s, 10.0, step_s)
        for name in ("time_s", "elevation_deg", "slant_range_km", "range_rate_km_s", "azimuth_deg"):
            np.testing.assert_array_equal(getattr(seen, name), getattr(alone, name))
