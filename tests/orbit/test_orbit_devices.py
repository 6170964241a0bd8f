"""Devices are spread evenly over a disc that is measured along the ellipsoid."""

import numpy as np
import pytest
from scipy.stats import kstest

import orbit

CENTRES = [
    orbit.Site("Zurich", 47.37, 8.54, 408.0, 15.0),
    orbit.Site("null island", 0.0, 0.0),
    orbit.Site("Taveuni", -16.8, 180.0),
    orbit.Site("near the pole", 89.5, -30.0),
    orbit.Site("south pole", -90.0, 0.0),
]


def _geodesic(site, latitude_deg, longitude_deg):
    """Distance (km) and azimuth (rad) on WGS 84 from a site (Vincenty's inverse, 1975)."""
    a, f = 6378.137, 1 / 298.257223563
    b = a * (1 - f)
    u1 = np.arctan2((1 - f) * np.sin(np.radians(site.latitude_deg)),
                    np.cos(np.radians(site.latitude_deg)))  # fmt: skip
    u2 = np.arctan((1 - f) * np.tan(np.radians(latitude_deg)))
    span = np.radians((longitude_deg - site.longitude_deg + 180) % 360 - 180)
    lam = span
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
        lam = span + (1 - c) * f * sin_a * (
            sigma + c * sin_s * (mid + c * cos_s * (2 * mid**2 - 1))
        )
    k = cos2 * (a * a - b * b) / (b * b)
    big_a = 1 + k / 16384 * (4096 + k * (-768 + k * (320 - 175 * k)))
    big_b = k / 1024 * (256 + k * (-128 + k * (74 - 47 * k)))
    inner = cos_s * (2 * mid**2 - 1) - big_b / 6 * mid * (4 * sin_s**2 - 3) * (4 * mid**2 - 3)
    return b * big_a * (sigma - big_b * sin_s * (mid + big_b / 4 * inner)), np.arctan2(east, north)


@pytest.mark.parametrize("centre", CENTRES, ids=lambda site: site.name)
@pytest.mark.parametrize("radius_km", [1.0, 100.0, 500.0])
def test_devices_are_uniform_over_the_disc(centre, radius_km):
    devices = orbit.place_devices(centre, 6000, radius_km, np.random.default_rng(11))
    latitude = np.array([device.latitude_deg for device in devices])
    longitude = np.array([device.longitude_deg for device in devices])
    distance, azimuth = _geodesic(centre, latitude, longitude)
    assert 0.999 * radius_km < distance.max() < 1.001 * radius_km
    assert kstest((distance / radius_km) ** 2, "uniform", args=(0, 1.002)).pvalue > 1e-3
    assert kstest((azimuth / (2 * np.pi)) % 1, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("centre", CENTRES, ids=lambda site: site.name)
def test_each_distance_is_that_of_its_draw(centre):
    devices = orbit.place_devices(centre, 500, 500.0, np.random.default_rng(2))
    share, turn = np.random.default_rng(2).random((500, 2)).T
    distance, azimuth = _geodesic(
        centre,
        np.array([device.latitude_deg for device in devices]),
        np.array([device.longitude_deg for device in devices]),
    )
    np.testing.assert_allclose(distance, 500 * np.sqrt(share), rtol=1e-3)
    apart = np.remainder(azimuth - 2 * np.pi * turn + np.pi, 2 * np.pi) - np.pi
    assert np.abs(apart).max() < 1e-3


def test_devices_keep_the_centres_altitude_and_mask_and_are_numbered():
    devices = orbit.place_devices(CENTRES[0], 3, 10.0, np.random.default_rng(0))
    assert [device.name for device in devices] == ["0", "1", "2"]
    assert {(device.altitude_m, device.min_elevation_deg) for device in devices} == {(408.0, 15.0)}


def test_a_radius_of_zero_puts_all_at_the_centre():
    devices = orbit.place_devices(CENTRES[2], 4, 0.0, np.random.default_rng(0))
    places = {(device.latitude_deg, device.longitude_deg) for device in devices}
    assert places == {(-16.8, 180.0)}


def test_more_devices_move_no_earlier_one():
    few = orbit.place_devices(CENTRES[0], 5, 50.0, np.random.default_rng(4))
    many = orbit.place_devices(CENTRES[0], 50, 50.0, np.random.default_rng(4))
    assert many[:5] == few
    assert orbit.place_devices(CENTRES[0], 0, 50.0, np.random.default_rng(4)) == ()


@pytest.mark.parametrize(("devices", "radius_km"), [(-1, 1.0), (3, -1.0), (3, 501.0)])
def test_impossible_discs_are_refused(devices, radius_km):
    with pytest.raises(ValueError, match=r"devices -1|radius_km"):
        orbit.place_devices(CENTRES[0], devices, radius_km, np.random.default_rng(0))
