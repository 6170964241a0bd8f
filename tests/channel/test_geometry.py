"""Slant range and Doppler against geometry worked out in another way."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from channel import doppler_hz, slant_range_m

EARTH_M = 6_371_000.0
GRAVITATION_M3_S2 = 3.986004418e14


def seen_from_the_ground(central_angle_rad: float, altitude_m: float) -> tuple[float, float]:
    """Range and elevation of a satellite in a plane through the centre, the site at (0, R)."""
    east_m = (EARTH_M + altitude_m) * math.sin(central_angle_rad)
    up_m = (EARTH_M + altitude_m) * math.cos(central_angle_rad) - EARTH_M
    return math.hypot(east_m, up_m), math.degrees(math.atan2(up_m, east_m))


@given(st.floats(1e3, 4e7), st.floats(0.0, 90.0))
def test_slant_range_is_that_of_the_triangle_through_the_earths_centre(altitude_m, elevation_deg):
    horizon_rad = math.acos(EARTH_M / (EARTH_M + altitude_m))
    central_rad = brentq(
        lambda angle: seen_from_the_ground(angle, altitude_m)[1] - elevation_deg,
        -1e-3,
        horizon_rad + 1e-3,
        xtol=1e-15,
    )
    expected_m, _ = seen_from_the_ground(central_rad, altitude_m)
    # The reference is good to the angle's rounding times the lever of the Earth's radius.
    assert slant_range_m(altitude_m, elevation_deg) == pytest.approx(expected_m, rel=1e-9, abs=1e-6)


def test_slant_range_at_the_zenith_is_the_altitude_and_at_the_horizon_the_tangent():
    altitude_m = np.array([1.0, 600e3, 35_786e3])
    tangent_m = np.sqrt((EARTH_M + altitude_m) ** 2 - EARTH_M**2)
    assert slant_range_m(altitude_m, 90.0) == pytest.approx(altitude_m, rel=1e-14)
    assert slant_range_m(altitude_m, 0.0) == pytest.approx(tangent_m, rel=1e-9)


def test_slant_range_broadcasts_and_falls_with_elevation():
    altitude_m = np.array([[500e3], [600e3], [1200e3]])
    distance_m = slant_range_m(altitude_m, np.linspace(0.0, 90.0, 50))
    assert distance_m.shape == (3, 50)
    assert (np.diff(distance_m, axis=1) < 0).all()
    assert (np.diff(distance_m, axis=0) > 0).all()


@pytest.mark.parametrize("altitude_m", [0.0, -1.0, math.nan, math.inf])
def test_slant_range_needs_a_finite_height_above_the_ground(altitude_m):
    with pytest.raises(ValueError, match=r"^altitude_m is .*; allowed is"):
        slant_range_m(altitude_m, 30.0)


@pytest.mark.parametrize("elevation_deg", [-0.1, 90.1, math.nan])
def test_slant_range_needs_an_elevation_in_the_sky(elevation_deg):
    with pytest.raises(ValueError, match=r"^elevation_deg is .*; allowed is a number from 0 to 90"):
        slant_range_m(600e3, [45.0, elevation_deg])


def test_doppler_of_an_overhead_pass_at_ten_degrees_and_2_ghz_is_45_khz():
    altitude_m = 600e3
    rate_rad_s = math.sqrt(GRAVITATION_M3_S2 / (EARTH_M + altitude_m) ** 3)
    angle_rad = brentq(lambda x: seen_from_the_ground(x, altitude_m)[1] - 10.0, 0.0, 0.5)
    step_s = 0.01
    sooner_m, _ = seen_from_the_ground(angle_rad + rate_rad_s * step_s, altitude_m)
    later_m, _ = seen_from_the_ground(angle_rad - rate_rad_s * step_s, altitude_m)
    range_rate_km_s = (later_m - sooner_m) / (2 * step_s) / 1000.0
    closing_m_s = rate_rad_s * EARTH_M * math.cos(math.radians(10.0))
    assert range_rate_km_s * -1000.0 == pytest.approx(closing_m_s, rel=1e-6)
    assert doppler_hz(range_rate_km_s, 2e9) == pytest.approx(45.4e3, abs=50.0)


def test_doppler_is_positive_while_the_satellite_approaches():
    shift_hz = doppler_hz([-5.0, 0.0, 5.0], 2e9)
    assert shift_hz[0] == pytest.approx(5000.0 / 0.149896229, rel=1e-12)
    assert shift_hz[1] == 0.0
    assert shift_hz[2] == -shift_hz[0]


@pytest.mark.parametrize(("rate_km_s", "frequency_hz"), [(math.nan, 2e9), (1.0, 0.0), (1.0, -2e9)])
def test_doppler_refuses_what_is_not_a_speed_or_a_frequency(rate_km_s, frequency_hz):
    with pytest.raises(ValueError, match="allowed is a finite number"):
        doppler_hz(rate_km_s, frequency_hz)
