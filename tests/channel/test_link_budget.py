"""The budget as a table."""

import math

import numpy as np
import pytest

from channel import Link, link_budget, link_budget_terms, rate_bps, slant_range_m, snr_db

COLUMNS = [
    "elevation_deg",
    "slant_range_km",
    "eirp_dbw",
    "free_space_path_loss_db",
    "atmospheric_loss_db",
    "other_losses_db",
    "g_over_t_db_k",
    "noise_bandwidth_dbhz",
    "c_over_n0_dbhz",
    "snr_db",
    "spectral_efficiency_bps_hz",
    "rate_mbps",
]
ELEVATION_DEG = np.arange(10.0, 91.0, 5.0)
UPLINK = Link(
    frequency_hz=2e9,
    bandwidth_hz=0.36e6,
    eirp_dbw=-7.0,
    g_over_t_db_k=1.1,
    other_losses_db=5.2,
    zenith_attenuation_db=0.035,
    fading="rician",
)
PAPER = Link(3.976e9, 5e6, -7.0, 15.376, path_gain_db=-160.0, rate="fixed", fixed_rate_bps=5e6)


@pytest.mark.parametrize("link", [UPLINK, PAPER], ids=["free space", "fixed gain"])
def test_the_terms_of_a_row_add_up_to_its_snr(link):
    table = link_budget(link, ELEVATION_DEG, altitude_m=600e3)
    losses_db = table.free_space_path_loss_db + table.atmospheric_loss_db + table.other_losses_db
    density_dbhz = table.eirp_dbw + table.g_over_t_db_k - losses_db
    density_dbhz -= 10 * math.log10(1.380649e-23)
    assert table.c_over_n0_dbhz.to_numpy() == pytest.approx(density_dbhz.to_numpy(), abs=1e-9)
    rest_db = table.snr_db - (table.c_over_n0_dbhz - table.noise_bandwidth_dbhz)
    assert np.abs(rest_db).max() == 0.0


def test_a_row_is_what_the_single_functions_give():
    table = link_budget(UPLINK, ELEVATION_DEG, altitude_m=600e3)
    range_m = slant_range_m(600e3, ELEVATION_DEG)
    assert list(table.columns) == COLUMNS
    assert (table.elevation_deg == ELEVATION_DEG).all()
    assert (table.slant_range_km == range_m / 1000.0).all()
    assert (table.snr_db == snr_db(UPLINK, ELEVATION_DEG, range_m)).all()
    assert table.rate_mbps.to_numpy() * 1e6 == pytest.approx(
        rate_bps(UPLINK, ELEVATION_DEG, range_m), rel=1e-14
    )
    assert (table.spectral_efficiency_bps_hz * 0.36).to_numpy() == pytest.approx(
        table.rate_mbps.to_numpy(), rel=1e-14
    )


def test_altitude_and_slant_range_give_the_same_table():
    range_m = slant_range_m(600e3, ELEVATION_DEG)
    by_altitude = link_budget(UPLINK, ELEVATION_DEG, altitude_m=600e3)
    assert by_altitude.equals(link_budget(UPLINK, ELEVATION_DEG, slant_range_m=range_m))


def test_the_plain_terms_are_the_columns_of_the_table():
    terms = link_budget_terms(UPLINK, ELEVATION_DEG, altitude_m=600e3)
    table = link_budget(UPLINK, ELEVATION_DEG, altitude_m=600e3)
    assert list(terms) == list(table.columns)
    assert all((terms[name] == table[name]).all() for name in terms)


def test_the_handheld_uplink_row_at_30_degrees():
    row = link_budget(UPLINK, 30.0, altitude_m=600e3).iloc[0]
    # d = 1075.088 km; -7 + 1.1 + 228.599 - 159.097 - 5.2 - 0.07 - 55.563 = 2.769 dB.
    assert row.slant_range_km == pytest.approx(1075.088, abs=0.001)
    assert row.free_space_path_loss_db == pytest.approx(159.097, abs=0.001)
    assert row.atmospheric_loss_db == pytest.approx(0.07, abs=1e-9)
    assert row.snr_db == pytest.approx(2.769, abs=0.001)


def test_below_the_mask_the_sum_stands_and_the_rate_is_zero():
    table = link_budget(UPLINK, [5.0, 10.0], altitude_m=600e3)
    assert np.isfinite(table.snr_db).all()
    assert table.rate_mbps[0] == 0.0 == table.spectral_efficiency_bps_hz[0]
    assert table.rate_mbps[1] > 0.0


def test_a_fixed_rate_and_a_fixed_gain_stand_in_their_columns():
    table = link_budget(PAPER, ELEVATION_DEG, altitude_m=600e3)
    assert (table.free_space_path_loss_db == 160.0).all()
    assert (table.rate_mbps == 5.0).all()
    assert (table.spectral_efficiency_bps_hz == 1.0).all()
    assert table.snr_db.to_numpy() == pytest.approx(9.985, abs=1e-3)


@pytest.mark.parametrize("given", [{}, {"altitude_m": 600e3, "slant_range_m": 1e6}])
def test_exactly_one_of_altitude_and_range_is_needed(given):
    with pytest.raises(ValueError, match="of altitude_m and slant_range_m given; give exactly one"):
        link_budget(UPLINK, 30.0, **given)


@pytest.mark.parametrize("elevation_deg", [0.0, -5.0, 95.0, math.nan, [[30.0]]])
def test_a_row_without_a_place_in_the_sky_is_refused(elevation_deg):
    with pytest.raises(ValueError, match="elevation_deg"):
        link_budget(UPLINK, elevation_deg, slant_range_m=1e6)
