"""Beamwidth and footprint against closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.channel import beamwidth_deg, footprint_km

gains = st.floats(0.0, 70.0)


def test_40_dbi_make_a_beam_of_1_7_degrees_and_a_spot_of_18_km_below_600_km():
    assert beamwidth_deg(40.0) == pytest.approx(1.70, abs=0.01)
    assert footprint_km(beamwidth_deg(40.0), 600e3) == pytest.approx(17.8, abs=0.1)


@given(gain_dbi=gains, wavelength_m=st.floats(0.005, 0.5))
def test_the_beam_is_70_wavelengths_over_the_diameter_of_the_dish(gain_dbi, wavelength_m):
    diameter_m = wavelength_m / np.pi * np.sqrt(10.0 ** (gain_dbi / 10.0) / 0.6)
    assert beamwidth_deg(gain_dbi) == pytest.approx(70.0 * wavelength_m / diameter_m, rel=1e-12)


@given(gain_dbi=st.floats(0.0, 50.0))
def test_20_db_more_gain_make_the_beam_ten_times_narrower(gain_dbi):
    assert beamwidth_deg(gain_dbi) == pytest.approx(10.0 * beamwidth_deg(gain_dbi + 20.0))


@given(width_deg=st.floats(1e-3, 179.0), distance_m=st.floats(1.0, 4e7))
def test_half_of_the_spot_is_seen_under_half_of_the_beam(width_deg, distance_m):
    radius_m = 500.0 * footprint_km(width_deg, distance_m)
    assert 2.0 * np.degrees(np.arctan2(radius_m, distance_m)) == pytest.approx(width_deg)


def test_narrow_beams_light_their_angle_times_the_distance():
    assert footprint_km(np.degrees(1e-3), 600e3) == pytest.approx(0.6, rel=1e-6)


def test_gains_and_ranges_broadcast():
    spots = footprint_km(beamwidth_deg([[20.0], [40.0]]), [6e5, 1e6, 2e6])
    assert spots.shape == (2, 3)
    assert (np.diff(spots, axis=1) > 0.0).all()


@pytest.mark.parametrize("gain_dbi", [-0.6, -30.0, np.nan, np.inf])
def test_gains_without_a_beam_are_refused(gain_dbi):
    with pytest.raises(ValueError, match="gain_dbi is"):
        beamwidth_deg(gain_dbi)


@pytest.mark.parametrize("width_deg", [0.0, 180.0, -1.0, np.nan])
def test_beams_without_a_spot_are_refused(width_deg):
    with pytest.raises(ValueError, match="beamwidth_deg is"):
        footprint_km(width_deg, 600e3)


@pytest.mark.parametrize("distance_m", [0.0, -1.0, np.nan, np.inf])
def test_ranges_that_are_none_are_refused(distance_m):
    with pytest.raises(ValueError, match="slant_range_m is"):
        footprint_km(2.0, distance_m)
