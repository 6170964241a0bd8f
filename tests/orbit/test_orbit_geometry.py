"""The geometry of a contact: each device's own AOS and LOS, and what it sees in between."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy.optimize import brentq

import orbit

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


def _edges(satellite, device, start, rise_s, set_s, mask_deg):
    """AOS and LOS by scanning exact SGP4 every second and Brent's method; None if never in view."""

    def above(time_s):
        return float(_exact(satellite, device, start, time_s).elevation_deg[0, 0]) - mask_deg

    time_s = np.append(np.arange(rise_s, set_s, 1.0), set_s)
    high = _exact(satellite, device, start, time_s).elevation_deg[:, 0] >= mask_deg
    if not high.any():
        return None
    first, last = np.flatnonzero(high)[[0, -1]]
    aos = time_s[0] if first == 0 else brentq(above, time_s[first - 1], time_s[first], xtol=1e-6)
    los = time_s[-1] if last + 1 == len(high) else brentq(above, time_s[last], time_s[last + 1])
    return aos, los


def test_every_devices_interval_is_the_one_found_by_brute_force(satellites, devices, start):
    for satellite in (satellites[4], satellites[8]):
        for rise_s, set_s in _contacts(satellite, start):
            seen = orbit.contact_geometry(satellite, devices, start, rise_s, set_s, 10.0)
            for k, device in enumerate(devices):
                edges = _edges(satellite, device, start, rise_s, set_s, 10.0)
                if edges is None:
                    assert seen.aos_s[k] == seen.los_s[k]
                else:
                    assert abs(seen.aos_s[k] - edges[0]) < 1e-3
                    assert abs(seen.los_s[k] - edges[1]) < 1e-3


def test_what_a_device_sees_is_what_sgp4_says(satellites, devices, start):
    for satellite in satellites[3:10]:
        for rise_s, set_s in list(_contacts(satellite, start))[:2]:
            seen = orbit.contact_geometry(satellite, devices, start, rise_s, set_s, 10.0)
            for k, device in enumerate(devices):
                exact = _exact(satellite, device, start, seen.time_s[k])
                assert np.abs(seen.elevation_deg[k] - exact.elevation_deg[:, 0]).max() < 1e-5
                assert np.abs(seen.slant_range_km[k] - exact.slant_range_km[:, 0]).max() < 1e-3
                rate = np.abs(seen.range_rate_km_s[k] - exact.range_rate_km_s[:, 0])
                assert rate.max() < 1e-3


def test_a_real_draggy_satellite_is_interpolated_to_a_metre(element_files, devices, start):
    iss = orbit.read_satellites(element_files / "earth2026_stations.tle")[0]
    for rise_s, set_s in _contacts(iss, start):
        seen = orbit.contact_geometry(iss, devices, start, rise_s, set_s, 10.0)
        for k, device in enumerate(devices):
            exact = _exact(iss, device, start, seen.time_s[k])
            assert np.abs(seen.slant_range_km[k] - exact.slant_range_km[:, 0]).max() < 1e-3
            assert np.abs(seen.elevation_deg[k] - exact.elevation_deg[:, 0]).max() < 1e-5


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
