"""Ranges, antennas and budgets in decibels, against triangles and arithmetic in watts."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import exp1

import channel
from channel import Link, SlantAttenuation, propagation_scenario, slant_range_m

EARTH_M, LIGHT_M_S, BOLTZMANN_J_K = 6_371_000.0, 299_792_458.0, 1.380649e-23


def ratio(db):
    return 10.0 ** (db / 10.0)


# Geometry


def seen_from_the_ground(central_angle_rad, altitude_m, earth_m):
    """Range and elevation of a satellite in a plane through the centre, the site at (0, R)."""
    east_m = (earth_m + altitude_m) * math.sin(central_angle_rad)
    up_m = (earth_m + altitude_m) * math.cos(central_angle_rad) - earth_m
    return math.hypot(east_m, up_m), math.degrees(math.atan2(up_m, east_m))


@given(
    st.floats(1e3, 4e7),
    st.one_of(st.sampled_from([0.0, 90.0]), st.floats(0.0, 90.0)),
    st.sampled_from([None, 6.357e6, 6.378e6]),
)
def test_slant_range_is_that_of_the_triangle_through_the_earths_centre(
    altitude_m, elevation_deg, radius_m
):
    earth_m = EARTH_M if radius_m is None else radius_m

    def too_high(angle_rad):
        return seen_from_the_ground(angle_rad, altitude_m, earth_m)[1] - elevation_deg

    horizon_rad = math.acos(earth_m / (earth_m + altitude_m))
    central_rad = brentq(too_high, -1e-3, horizon_rad + 1e-3, xtol=1e-15)
    expected_m, _ = seen_from_the_ground(central_rad, altitude_m, earth_m)
    # The reference is good to the angle's rounding times the lever of the Earth's radius.
    found_m = slant_range_m(altitude_m, elevation_deg, radius_m)
    assert found_m == pytest.approx(expected_m, rel=1e-9, abs=1e-6)
    assert slant_range_m(altitude_m, 90.0) == pytest.approx(altitude_m, rel=1e-14)


# Antennas


@given(st.floats(0.0, 35.0), st.floats(0.005, 0.5), st.floats(1.0, 4e7))
def test_a_beam_is_70_wavelengths_over_the_dish_and_half_of_it_sees_half_of_the_spot(
    gain_dbi, wavelength_m, distance_m
):
    diameter_m = wavelength_m / np.pi * np.sqrt(ratio(gain_dbi) / 0.6)
    assert channel.aperture_gain_dbi(diameter_m, LIGHT_M_S / wavelength_m) == pytest.approx(
        gain_dbi, abs=1e-9
    )
    width_deg = channel.beamwidth_deg(gain_dbi)
    assert width_deg == pytest.approx(70.0 * wavelength_m / diameter_m, rel=1e-12)
    radius_m = 500.0 * channel.footprint_km(width_deg, distance_m)
    assert 2.0 * np.degrees(np.arctan2(radius_m, distance_m)) == pytest.approx(width_deg)


# The sum

POWERS = (-30.0, 60.0), (-10.0, 60.0), (-10.0, 60.0), (0.0, 20.0), (1.0, 1000.0)
PLACES = (1e3, 1e10), (1e8, 1e11), (1e5, 1e8), (0.0, 50.0)


@given(*(st.tuples(*(st.floats(*ends) for ends in part)) for part in (POWERS, PLACES)))
def test_decibels_agree_with_the_ratio_of_powers_in_watts(powers, place):
    power_dbm, tx_gain_dbi, rx_gain_dbi, noise_figure_db, antenna_k = powers
    bandwidth_hz, frequency_hz, distance_m, losses_db = place
    sent_w = ratio(power_dbm) * 1e-3 * ratio(tx_gain_dbi)
    # The share of a sphere that an isotropic antenna of lambda^2 / 4 pi catches.
    caught = (LIGHT_M_S / frequency_hz) ** 2 / (4 * math.pi) / (4 * math.pi * distance_m**2)
    system_k = antenna_k + 290.0 * (ratio(noise_figure_db) - 1.0)
    noise_w = BOLTZMANN_J_K * system_k * bandwidth_hz
    received_w = sent_w * caught / ratio(losses_db) * ratio(rx_gain_dbi)
    expected_db = 10 * math.log10(received_w / noise_w)
    sent = {"tx_power_dbm": power_dbm, "tx_gain_dbi": tx_gain_dbi}
    received = {"rx_gain_dbi": rx_gain_dbi, "noise_figure_db": noise_figure_db}
    received["antenna_temperature_k"] = antenna_k
    ends = channel.eirp_dbw(**sent), channel.g_over_t_db_k(**received)
    assert channel.carrier_to_noise_db(*ends, *place) == pytest.approx(expected_db, abs=1e-9)
    loss_db = channel.free_space_path_loss_db(distance_m, frequency_hz)
    assert loss_db == pytest.approx(-10 * math.log10(caught), abs=1e-9)
    link = Link(frequency_hz, bandwidth_hz, *ends, other_losses_db=losses_db)
    assert channel.snr_db(link, 30.0, distance_m) == pytest.approx(expected_db, abs=1e-9)


# Along the ground


@given(st.floats(0.01, 1e6), st.floats(0.1, 1000.0), st.floats(1.0, 6.0))
def test_along_the_ground_power_falls_by_two_laws(distance_m, reference_m, exponent):
    """By d^-2 up to the reference distance and by d^-n behind it."""
    near_m = min(distance_m, reference_m)
    gain = (LIGHT_M_S / 2.4e9 / (4 * math.pi * near_m)) ** 2
    gain *= (near_m / distance_m) ** exponent if distance_m > reference_m else 1.0
    loss_db = channel.log_distance_path_loss_db(distance_m, 2.4e9, exponent, reference_m)
    assert loss_db == pytest.approx(-10 * math.log10(gain), rel=1e-12, abs=1e-9)


def test_the_rate_of_a_sidelink_is_shannons_in_thermal_noise():
    sidelink = channel.Sidelink(915e6, 2e6, 20.0, 3.0, 1.0, 7.0, 2.0)
    for distance_m in (0.5, 1.0, 100.0, 1e3, 4e3, 1e5):
        gain = (LIGHT_M_S / 915e6 / (4 * math.pi * min(distance_m, 1.0))) ** 2
        received_w = 0.1 * gain / max(distance_m, 1.0) ** 3 / ratio(2.0)
        snr = received_w / (BOLTZMANN_J_K * 290.0 * 2e6 * ratio(7.0))
        expected = 2e6 * math.log1p(snr) / math.log(2)
        assert sidelink.rate_bps(distance_m) == pytest.approx(expected, rel=1e-9)
    plain = channel.Sidelink(915e6, 2e6, 20.0, 3.0)
    assert plain == replace(plain, reference_distance_m=1, noise_figure_db=0, other_losses_db=0)


# The table of a link

LOSSES = [
    *("free_space_path_loss_db", "atmospheric_loss_db", "scintillation_loss_db"),
    *("shadowing_margin_db", "other_losses_db"),
]
ELEVATION_DEG = np.arange(5.0, 91.0, 5.0)
UPLINK = Link(2e9, 0.36e6, -7.0, 1.1, 5.2, 0.035, fading="rician")
PAPER = Link(3.976e9, 5e6, -7.0, 15.376, path_gain_db=-160.0, rate="fixed", fixed_rate_bps=5e6)
LOSSES_DB = {"scintillation_loss_db": 2.2, "shadowing_margin_db": 3.0}
LOSSY = replace(UPLINK, duty=0.5, **LOSSES_DB)
AIR = SlantAttenuation([5.0, 30.0, 90.0], [2.0, 0.5, 0.2], [30.0, 6.0, 2.0])
RAINY = replace(LOSSY, zenith_attenuation_db=0.0, attenuation=AIR)
URBAN = replace(UPLINK, environment=propagation_scenario("urban", 2e9))
# TR 38.811, urban, S band, at 10, 50 and 90 degrees.
AROUND = {
    "line_of_sight_probability": [0.246, 0.726, 0.992],
    "nlos_clutter_loss_db": [34.3, 26.8, 25.5],
    "shadowing_deviation_db": [4.0, 4.0, 4.0],
    "rician_k_db": [31.83, 6.52, 3.68],
}


def test_the_mean_rate_of_a_city_is_that_of_devices_in_sight_and_out_of_sight():
    """Else a city, which needs no margin for shadowing, looks better than the open country."""
    table = channel.link_budget(URBAN, [10.0, 30.0, 70.0], altitude_m=600e3)
    devices = channel.Path((np.arange(20_000)[:, None] + 0.5) / 20_000, 0.0, 0.0)
    range_m = slant_range_m(600e3, table.elevation_deg)
    rate_bps = channel.rate_bps(URBAN, table.elevation_deg, range_m, devices)
    mean = rate_bps.mean(axis=0) / 1e6
    assert table.mean_rate_mbps.to_numpy() == pytest.approx(mean, rel=1e-3)
    hidden = rate_bps.min(axis=0) / 1e6
    assert table.nlos_rate_mbps.to_numpy() == pytest.approx(hidden, rel=1e-12)
    margin = replace(UPLINK, shadowing_margin_db=3.0)
    country = channel.link_budget(margin, 10.0, altitude_m=600e3).rate_mbps[0]
    assert table.mean_rate_mbps[0] < country < table.rate_mbps[0]


@pytest.mark.parametrize("link", [UPLINK, PAPER, LOSSY, RAINY, URBAN])
def test_a_row_is_the_sum_of_its_terms_and_what_the_single_functions_give(link):
    table = channel.link_budget(link, ELEVATION_DEG, altitude_m=600e3)
    rain = ["rain_loss_db"] if link is RAINY else []
    terms = channel.link_budget_terms(link, ELEVATION_DEG, altitude_m=600e3)
    assert list(terms) == list(table.columns)
    assert all((terms[name] == table[name]).all() for name in terms)
    range_m = slant_range_m(600e3, ELEVATION_DEG)
    assert table.equals(channel.link_budget(link, ELEVATION_DEG, slant_range_m=range_m))
    density_dbhz = table.eirp_dbw + table.g_over_t_db_k - table[[*LOSSES, *rain]].sum(axis=1)
    density_dbhz -= 10 * math.log10(BOLTZMANN_J_K)
    assert table.c_over_n0_dbhz.to_numpy() == pytest.approx(density_dbhz.to_numpy(), abs=1e-9)
    assert (table.snr_db == table.c_over_n0_dbhz - table.noise_bandwidth_dbhz).all()
    assert (table.margin_db == table.snr_db - table.required_snr_db).all()
    # Below the mask, at 5 degrees, the sum stands and the rate is 0.
    assert np.isfinite(table.snr_db).all()
    assert (table.snr_db == channel.snr_db(link, ELEVATION_DEG, range_m))[1:].all()
    rate_bps = channel.rate_bps(link, ELEVATION_DEG, range_m)
    assert table.rate_mbps.to_numpy() * 1e6 == pytest.approx(rate_bps, rel=1e-14)
    assert (rate_bps > 0).tolist() == [False] + [True] * 17


def row_of(link, elevation_deg=30.0):
    return channel.link_budget(link, elevation_deg, altitude_m=600e3).iloc[0]


def test_every_loss_stands_in_its_own_column():
    assert row_of(LOSSY)[LOSSES[2:]].tolist() == [2.2, 3.0, 5.2]
    assert row_of(LOSSY).atmospheric_loss_db == pytest.approx(0.07, abs=1e-12)
    rainy = row_of(RAINY)
    assert (rainy.atmospheric_loss_db, rainy.rain_loss_db) == pytest.approx((0.5, 6.0), abs=1e-12)
    # 1 bit/s/Hz needs 0 dB.
    assert row_of(PAPER, 90.0).required_snr_db == pytest.approx(0.0, abs=1e-12)
    urban = channel.link_budget(URBAN, [10.0, 50.0, 90.0], altitude_m=600e3)
    for name, values in AROUND.items():
        assert urban[name].tolist() == pytest.approx(values, abs=1e-12)
    with pytest.raises(ValueError, match="of altitude_m and slant_range_m given; give exactly"):
        channel.link_budget(UPLINK, 30.0)


def required_db(**fields):
    return row_of(replace(UPLINK, **{"fading": "none", **fields})).required_snr_db


@pytest.mark.parametrize("efficiency", [1e-6, 0.5, 1.0, 4.0, 12.0, 39.0, 45.0, 400.0])
def test_a_fixed_rate_requires_the_snr_that_carries_it(efficiency):
    fixed = {"rate": "fixed", "fixed_rate_bps": efficiency * 0.36e6}
    rest = math.log10(-math.expm1(-efficiency * math.log(2)))
    expected_db = 10 * (efficiency * math.log10(2) + rest)
    assert required_db(**fixed) == pytest.approx(expected_db, abs=1e-9)
    if 0.1 < efficiency < 10:  # over fading the mean capacity, the exponential integral
        snr = ratio(required_db(**fixed, fading="rayleigh"))
        mean = math.exp(1 / snr) * exp1(1 / snr) / math.log(2)
        assert mean == pytest.approx(efficiency, rel=1e-9)


@pytest.mark.parametrize(
    ("needs_db", "fields"),
    [
        (-3.0, {"required_snr_db": -3.0}),
        (-3.0, {"required_snr_db": -3.0, "rate": "fixed", "fixed_rate_bps": 1e6}),
        (-2.35 - 10 * math.log10(1.35), {"rate": "modcod", "rolloff": 0.35}),
        *((-10.0, {"rate": x, "fading": "rician"}) for x in ("ergodic", "shannon", "outage")),
    ],
)
def test_what_is_required_is_the_links_own_or_that_of_its_rate(needs_db, fields):
    assert required_db(**fields) == pytest.approx(needs_db, abs=1e-12)
