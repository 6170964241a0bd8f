"""The budget as a table."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.special import exp1

from channel import (
    Link,
    SlantAttenuation,
    g_over_t_db_k,
    link_budget,
    link_budget_terms,
    propagation_scenario,
    rate_bps,
    slant_range_m,
    snr_db,
)

LOSSES = [
    "free_space_path_loss_db",
    "atmospheric_loss_db",
    "scintillation_loss_db",
    "clutter_loss_db",
    "shadowing_margin_db",
    "other_losses_db",
]
SUMS = [
    "g_over_t_db_k",
    "noise_bandwidth_dbhz",
    "c_over_n0_dbhz",
    "snr_db",
    "required_snr_db",
    "margin_db",
    "spectral_efficiency_bps_hz",
    "rate_mbps",
]
COLUMNS = ["elevation_deg", "slant_range_km", "eirp_dbw", *LOSSES, *SUMS]
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
LOSSY = dataclasses.replace(
    UPLINK, scintillation_loss_db=2.2, clutter_loss_db=1.5, shadowing_margin_db=3.0
)
RAINY = dataclasses.replace(
    LOSSY,
    zenith_attenuation_db=0.0,
    attenuation=SlantAttenuation([5.0, 30.0, 90.0], [2.0, 0.5, 0.2], [30.0, 6.0, 2.0]),
)
URBAN = dataclasses.replace(UPLINK, environment=propagation_scenario("urban", 2e9))


@pytest.mark.parametrize("link", [UPLINK, PAPER, LOSSY, RAINY, URBAN])
def test_the_terms_of_a_row_add_up_to_its_snr(link):
    table = link_budget(link, ELEVATION_DEG, altitude_m=600e3)
    losses_db = table[[name for name in table.columns if name in [*LOSSES, "rain_loss_db"]]]
    density_dbhz = table.eirp_dbw + table.g_over_t_db_k - losses_db.sum(axis=1)
    density_dbhz -= 10 * math.log10(1.380649e-23)
    assert table.c_over_n0_dbhz.to_numpy() == pytest.approx(density_dbhz.to_numpy(), abs=1e-9)
    rest_db = table.snr_db - (table.c_over_n0_dbhz - table.noise_bandwidth_dbhz)
    assert np.abs(rest_db).max() == 0.0
    assert (table.margin_db == table.snr_db - table.required_snr_db).all()


@pytest.mark.parametrize("link", [UPLINK, LOSSY, RAINY, URBAN])
def test_a_row_is_what_the_single_functions_give(link):
    table = link_budget(link, ELEVATION_DEG, altitude_m=600e3)
    range_m = slant_range_m(600e3, ELEVATION_DEG)
    assert (table.elevation_deg == ELEVATION_DEG).all()
    assert (table.slant_range_km == range_m / 1000.0).all()
    assert (table.snr_db == snr_db(link, ELEVATION_DEG, range_m)).all()
    assert table.rate_mbps.to_numpy() * 1e6 == pytest.approx(
        rate_bps(link, ELEVATION_DEG, range_m), rel=1e-14
    )
    assert (table.spectral_efficiency_bps_hz * 0.36).to_numpy() == pytest.approx(
        table.rate_mbps.to_numpy(), rel=1e-14
    )


def test_every_loss_has_its_column_in_the_order_of_the_sum():
    assert list(link_budget_terms(UPLINK, 30.0, altitude_m=600e3)) == COLUMNS
    with_rain = list(link_budget_terms(RAINY, 30.0, altitude_m=600e3))
    assert with_rain == [*COLUMNS[:5], "rain_loss_db", *COLUMNS[5:]]
    row = link_budget(LOSSY, 30.0, altitude_m=600e3).iloc[0]
    assert row[LOSSES[2:]].tolist() == [2.2, 1.5, 3.0, 5.2]
    row = link_budget(RAINY, 30.0, altitude_m=600e3).iloc[0]
    assert (row.atmospheric_loss_db, row.rain_loss_db) == pytest.approx((0.5, 6.0), abs=1e-12)


def test_altitude_and_slant_range_give_the_same_table():
    range_m = slant_range_m(600e3, ELEVATION_DEG)
    by_altitude = link_budget(UPLINK, ELEVATION_DEG, altitude_m=600e3)
    assert by_altitude.equals(link_budget(UPLINK, ELEVATION_DEG, slant_range_m=range_m))


def test_the_plain_terms_are_the_columns_of_the_table():
    terms = link_budget_terms(URBAN, ELEVATION_DEG, altitude_m=600e3)
    table = link_budget(URBAN, ELEVATION_DEG, altitude_m=600e3)
    assert list(terms) == list(table.columns)
    assert all((terms[name] == table[name]).all() for name in terms)


# Rows of TR 38.821, LEO at 600 and 1200 km and 30 degrees (ranges of 1075.088 and 1998.8 km), added
# up by hand: EIRP + G/T + 228.599 - free space - gases, scintillation, shadowing - bandwidth.
DENSE_S, DENSE_KA = 10 * math.log10(30), 10 * math.log10(400)  # MHz of the downlinks
VSAT = float(g_over_t_db_k(39.7, 1.2, 150.0))  # 15.857 dB/K
ROWS = {
    "S up 600": (2e9, 0.36e6, -7.0, 1.1, 0.05, 2.2, 3.0, 600e3, 2.739),
    "S down 600": (2e9, 30e6, 34.0 + DENSE_S, -31.62, 0.05, 2.2, 3.0, 600e3, 6.582),
    "Ka down 600": (20e9, 400e6, 4.0 + DENSE_KA, VSAT, 0.25, 0.3, 0.0, 600e3, 8.559),
    "Ka up 600": (30e9, 400e6, 46.2, 13.0, 0.25, 0.3, 0.0, 600e3, 18.359),
    "S up 1200": (2e9, 0.36e6, -7.0, 1.1, 0.05, 2.2, 3.0, 1200e3, -2.647),
    "Ka down 1200": (20e9, 400e6, 10.0 + DENSE_KA, VSAT, 0.25, 0.3, 0.0, 1200e3, 9.173),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_tr_38_821(name):
    frequency, bandwidth, eirp, figure, zenith, scintillation, shadow, altitude, cnr = ROWS[name]
    link = Link(
        frequency,
        bandwidth,
        eirp,
        figure,
        zenith_attenuation_db=zenith,
        scintillation_loss_db=scintillation,
        shadowing_margin_db=shadow,
    )
    row = link_budget(link, 30.0, altitude_m=altitude).iloc[0]
    assert row.snr_db == pytest.approx(cnr, abs=0.002)


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


# What is required


def required_db(**fields) -> float:
    base = dataclasses.replace(UPLINK, fading=fields.pop("fading", "none"))
    row = link_budget(dataclasses.replace(base, **fields), 30.0, altitude_m=600e3).iloc[0]
    assert row.margin_db == row.snr_db - row.required_snr_db
    return row.required_snr_db


def test_the_papers_rate_leaves_ten_decibels():
    row = link_budget(PAPER, 90.0, altitude_m=600e3).iloc[0]
    # 1 bit/s/Hz is 0 dB.
    assert row.required_snr_db == pytest.approx(0.0, abs=1e-12)
    assert row.margin_db == pytest.approx(9.985, abs=1e-3)


@pytest.mark.parametrize("efficiency", [1e-6, 0.5, 1.0, 4.0, 12.0, 39.0, 45.0, 400.0])
def test_a_fixed_rate_requires_the_snr_that_shannon_asks_for(efficiency):
    found_db = required_db(rate="fixed", fixed_rate_bps=efficiency * 0.36e6)
    expected_db = 10 * (efficiency * math.log10(2) + math.log10(-math.expm1(-efficiency * LN2)))
    assert found_db == pytest.approx(expected_db, abs=1e-9)


LN2 = math.log(2)


@pytest.mark.parametrize("efficiency", [0.5, 1.0, 6.0])
def test_a_fixed_rate_over_fading_requires_its_mean_capacity(efficiency):
    found_db = required_db(rate="fixed", fixed_rate_bps=efficiency * 0.36e6, fading="rayleigh")
    snr = 10 ** (found_db / 10)
    assert math.exp(1 / snr) * exp1(1 / snr) / LN2 == pytest.approx(efficiency, rel=1e-9)


@pytest.mark.parametrize(("k", "snr"), [(0, 0.988), (1, 0.786), (3, 0.475), (10, 0.190)])
def test_published_needs_of_one_bit_per_second_and_hertz(k, snr):
    fading = {"fading": "rician", "rician_k_linear": float(k)}
    assert required_db(rate="fixed", fixed_rate_bps=0.36e6, **fading) == pytest.approx(
        snr, abs=1e-3
    )


def test_a_threshold_of_the_links_own_comes_first():
    assert required_db(required_snr_db=-3.0) == -3.0
    assert required_db(rate="fixed", fixed_rate_bps=1e6, required_snr_db=-3.0) == -3.0


def test_modcods_require_the_lowest_of_their_table():
    need_db = -2.35 - 10 * math.log10(1.35)
    assert required_db(rate="modcod", rolloff=0.35) == pytest.approx(need_db, abs=1e-12)


@pytest.mark.parametrize("rate", ["ergodic", "shannon", "outage"])
def test_a_rate_that_follows_the_snr_is_held_against_the_least_useful_one(rate):
    assert required_db(rate=rate, fading="rician") == -10.0


def test_what_transmits_half_of_the_time_has_half_the_rate():
    half = link_budget(dataclasses.replace(UPLINK, duty=0.5), ELEVATION_DEG, altitude_m=600e3)
    whole = link_budget(UPLINK, ELEVATION_DEG, altitude_m=600e3)
    assert (half.rate_mbps == whole.rate_mbps / 2).all()
    assert (half.spectral_efficiency_bps_hz == whole.spectral_efficiency_bps_hz / 2).all()
    assert (half.snr_db == whole.snr_db).all()


# Surroundings


def test_an_environment_says_what_the_clear_path_leaves_out():
    table = link_budget(URBAN, [10.0, 50.0, 90.0], altitude_m=600e3)
    added = list(table.columns)[len(COLUMNS) :]
    # TR 38.811, urban, S band.
    expected = {
        "line_of_sight_probability": [0.246, 0.726, 0.992],
        "nlos_clutter_loss_db": [34.3, 26.8, 25.5],
        "shadowing_deviation_db": [4.0, 4.0, 4.0],
        "rician_k_db": [31.83, 6.52, 3.68],
    }
    assert list(table.columns)[: len(COLUMNS)] == COLUMNS
    assert added == list(expected)
    for name, values in expected.items():
        assert table[name].tolist() == pytest.approx(values, abs=1e-12)
    assert (table.clutter_loss_db == 0).all()
    assert (table.shadowing_margin_db == 0).all()
    # 6.22 dB / f^1.5 at 2 GHz, within the rounding of 1.1 dB (f/4)^-1.5 / sqrt(2).
    assert table.scintillation_loss_db.to_numpy() == pytest.approx(2.2, abs=5e-3)


def test_a_scintillation_of_ones_own_wins_over_the_table():
    link = dataclasses.replace(URBAN, scintillation_loss_db=0.7)
    assert (link_budget(link, ELEVATION_DEG, altitude_m=600e3).scintillation_loss_db == 0.7).all()


# Bad input


@pytest.mark.parametrize("given", [{}, {"altitude_m": 600e3, "slant_range_m": 1e6}])
def test_exactly_one_of_altitude_and_range_is_needed(given):
    with pytest.raises(ValueError, match="of altitude_m and slant_range_m given; give exactly one"):
        link_budget(UPLINK, 30.0, **given)


@pytest.mark.parametrize("elevation_deg", [0.0, -5.0, 95.0, math.nan, [[30.0]]])
def test_a_row_without_a_place_in_the_sky_is_refused(elevation_deg):
    with pytest.raises(ValueError, match="elevation_deg"):
        link_budget(UPLINK, elevation_deg, slant_range_m=1e6)
