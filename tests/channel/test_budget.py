"""The budget in decibels against arithmetic in watts and against worked rows."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel import (
    atmospheric_attenuation_db,
    carrier_to_noise_db,
    eirp_dbw,
    free_space_path_loss_db,
    g_over_t_db_k,
    slant_range_m,
)

LIGHT_M_S = 299_792_458.0
BOLTZMANN_J_K = 1.380649e-23
HANDHELD_G_OVER_T_DB_K = -31.62  # 0 dBi, 7 dB noise figure, 290 K (TR 38.821, table 6.1.1.1-3)


def test_a_loss_of_160_db_at_600_km_belongs_to_3_976_ghz():
    assert free_space_path_loss_db(600e3, 3.976e9) == pytest.approx(160.0, abs=1e-3)
    assert free_space_path_loss_db(600e3, 2e9) == pytest.approx(154.03, abs=0.005)
    assert free_space_path_loss_db(600e3, 30e9) == pytest.approx(177.55, abs=0.005)


@given(st.floats(1.0, 1e9), st.floats(1e6, 1e12))
def test_free_space_loss_is_the_power_over_a_sphere_seen_by_an_isotropic_antenna(distance, hertz):
    aperture_m2 = (LIGHT_M_S / hertz) ** 2 / (4 * math.pi)
    received_share = aperture_m2 / (4 * math.pi * distance**2)
    loss_db = free_space_path_loss_db(distance, hertz)
    assert loss_db == pytest.approx(-10 * math.log10(received_share), abs=1e-9)


def test_handheld_and_vsat_receivers_have_the_figures_of_merit_of_tr_38_821():
    assert g_over_t_db_k(0.0, 7.0, 290.0) == pytest.approx(HANDHELD_G_OVER_T_DB_K, abs=0.005)
    assert g_over_t_db_k(39.7, 1.2, 150.0) == pytest.approx(15.857, abs=0.0005)


def test_handheld_radiates_minus_7_dbw():
    assert eirp_dbw(23.0, 0.0) == -7.0


def test_s_band_handheld_rows_for_leo_600_at_30_degrees():
    # Uplink: -7 + 1.1 + 228.599 - 159.097 - (0.1 + 3.0 + 2.2) - 55.563 = 2.739 dB (0.36 MHz).
    distance_m = slant_range_m(600e3, 30.0)
    uplink_db = carrier_to_noise_db(-7.0, 1.1, 0.36e6, 2e9, distance_m, losses_db=5.3)
    assert uplink_db == pytest.approx(2.739, abs=0.001)
    # Downlink: 34 dBW/MHz over 30 MHz = 48.771; 48.771 - 31.62 + 228.599 - 159.097 - 5.3 - 74.771.
    downlink_db = carrier_to_noise_db(
        34.0 + 10 * math.log10(30), HANDHELD_G_OVER_T_DB_K, 30e6, 2e9, distance_m, losses_db=5.3
    )
    assert downlink_db == pytest.approx(6.582, abs=0.001)


@given(
    power_dbm=st.floats(-30.0, 60.0),
    tx_gain_dbi=st.floats(-10.0, 60.0),
    rx_gain_dbi=st.floats(-10.0, 60.0),
    noise_figure_db=st.floats(0.0, 20.0),
    antenna_k=st.floats(1.0, 1000.0),
    bandwidth_hz=st.floats(1e3, 1e10),
    frequency_hz=st.floats(1e8, 1e11),
    distance_m=st.floats(1e5, 1e8),
    losses_db=st.floats(0.0, 50.0),
)
def test_decibels_agree_with_the_ratio_of_powers_in_watts(
    power_dbm,
    tx_gain_dbi,
    rx_gain_dbi,
    noise_figure_db,
    antenna_k,
    bandwidth_hz,
    frequency_hz,
    distance_m,
    losses_db,
):
    def ratio(db: float) -> float:
        return 10.0 ** (db / 10.0)

    sent_w = ratio(power_dbm) * 1e-3 * ratio(tx_gain_dbi)
    path = (LIGHT_M_S / (4 * math.pi * distance_m * frequency_hz)) ** 2 / ratio(losses_db)
    system_k = antenna_k + 290.0 * (ratio(noise_figure_db) - 1.0)
    noise_w = BOLTZMANN_J_K * system_k * bandwidth_hz
    expected_db = 10 * math.log10(sent_w * path * ratio(rx_gain_dbi) / noise_w)
    cnr_db = carrier_to_noise_db(
        eirp_dbw(power_dbm, tx_gain_dbi),
        g_over_t_db_k(rx_gain_dbi, noise_figure_db, antenna_k),
        bandwidth_hz,
        frequency_hz,
        distance_m,
        losses_db,
    )
    assert cnr_db == pytest.approx(expected_db, abs=1e-9)


def test_carrier_to_noise_broadcasts_over_its_arguments():
    cnr_db = carrier_to_noise_db(-7.0, 1.1, [[1e6], [2e6]], 2e9, [600e3, 1200e3, 2400e3])
    assert cnr_db.shape == (2, 3)
    assert np.diff(cnr_db, axis=1) == pytest.approx(-20 * math.log10(2), abs=1e-12)
    assert np.diff(cnr_db, axis=0) == pytest.approx(-10 * math.log10(2), abs=1e-12)


@pytest.mark.parametrize(
    ("position", "name", "bad"),
    [
        (0, "eirp_dbw", math.nan),
        (1, "g_over_t_db_k", math.inf),
        (2, "bandwidth_hz", 0.0),
        (3, "frequency_hz", -2e9),
        (4, "distance_m", 0.0),
        (5, "losses_db", math.nan),
        (2, "bandwidth_hz", "wide"),
    ],
)
def test_a_wrong_number_is_named_in_one_line(position, name, bad):
    arguments = [-7.0, 1.1, 1e6, 2e9, 600e3, 0.0]
    arguments[position] = bad
    with pytest.raises(ValueError, match=f"^{name} is .*; allowed is ") as caught:
        carrier_to_noise_db(*arguments)
    assert "\n" not in str(caught.value)


def test_a_receiver_without_any_noise_is_refused():
    with pytest.raises(ValueError, match="system temperature"):
        g_over_t_db_k(0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="noise_figure_db is -1"):
        g_over_t_db_k(0.0, -1.0, 290.0)


def test_gases_attenuate_by_the_cosecant_of_the_elevation():
    elevation_deg = np.array([90.0, 30.0, 10.0, 5.0])
    loss_db = atmospheric_attenuation_db(0.25, elevation_deg)
    assert loss_db == pytest.approx([0.25, 0.5, 0.25 * 5.758770483, 0.25 * 11.47371325], rel=1e-9)


def test_gases_attenuate_no_more_below_five_degrees_than_at_five():
    at_five_db = atmospheric_attenuation_db(0.25, 5.0)
    assert (atmospheric_attenuation_db(0.25, [4.9, 1.0, 1e-6]) == at_five_db).all()
    assert atmospheric_attenuation_db(0.25, 5.1) < at_five_db


@pytest.mark.parametrize("elevation_deg", [0.0, -1.0, -90.0, 91.0, math.nan])
def test_below_the_horizon_is_an_error_and_not_a_link_without_loss(elevation_deg):
    with pytest.raises(ValueError, match="elevation_deg is"):
        atmospheric_attenuation_db(0.25, [10.0, elevation_deg])


def test_an_atmosphere_that_amplifies_is_refused():
    with pytest.raises(ValueError, match=r"zenith_attenuation_db is -0\.1"):
        atmospheric_attenuation_db(-0.1, 45.0)
