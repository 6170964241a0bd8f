"""The link as a whole: its fields, its gate and its rate."""

import dataclasses
import math

import numpy as np
import pytest

from channel import (
    Link,
    carrier_to_noise_db,
    eirp_dbw,
    ergodic_capacity,
    g_over_t_db_k,
    rate_bps,
    shannon_capacity,
    slant_range_m,
    snr_db,
)

UPLINK = Link(frequency_hz=2e9, bandwidth_hz=0.36e6, eirp_dbw=-7.0, g_over_t_db_k=1.1)
# 23 dBm, 0 + 40 dBi, -160 dB, kTB at 290 K in 5 MHz: the numbers of EMS-FL, section V-A.
PAPER = Link(
    frequency_hz=3.976e9,
    bandwidth_hz=5e6,
    eirp_dbw=float(eirp_dbw(23.0, 0.0)),
    g_over_t_db_k=float(g_over_t_db_k(40.0, 0.0, 290.0)),
    path_gain_db=-160.0,
    rate="shannon",
)


def changed(link: Link, **fields) -> Link:
    return dataclasses.replace(link, **fields)


def test_the_papers_numbers_give_10_db_and_17_3_mbps():
    assert snr_db(PAPER, 90.0, 600e3) == pytest.approx(9.985, abs=5e-4)
    assert rate_bps(PAPER, 90.0, 600e3) == pytest.approx(17.275e6, abs=500.0)


@pytest.mark.parametrize(("k", "mbps"), [(0.0, 14.51), (3.0, 15.86), (10.0, 16.73)])
def test_fading_takes_its_share_of_the_papers_rate(k, mbps):
    faded = changed(PAPER, rate="ergodic", fading="rician", rician_k_linear=k)
    assert rate_bps(faded, 45.0, 848e3) == pytest.approx(mbps * 1e6, abs=5e3)


def test_a_fixed_path_gain_makes_the_range_irrelevant():
    assert np.ptp(rate_bps(PAPER, [10.0, 50.0, 90.0], [1.9e6, 7.5e5, 6e5])) == 0.0


def test_snr_is_the_carrier_to_noise_ratio_with_every_loss():
    link = changed(UPLINK, other_losses_db=5.2, zenith_attenuation_db=0.05)
    expected_db = carrier_to_noise_db(-7.0, 1.1, 0.36e6, 2e9, 1075e3, losses_db=5.2 + 0.1)
    assert snr_db(link, 30.0, 1075e3) == pytest.approx(expected_db, abs=1e-12)


def test_rate_is_the_bandwidth_times_the_capacity_at_the_snr():
    elevation_deg = np.linspace(10.0, 90.0, 30)
    range_m = slant_range_m(600e3, elevation_deg)
    snr = 10.0 ** (snr_db(UPLINK, elevation_deg, range_m) / 10.0)
    rician = changed(UPLINK, fading="rician", rician_k_linear=4.0)
    rayleigh = changed(UPLINK, fading="rayleigh")
    expected = {
        UPLINK: shannon_capacity(snr),
        changed(rician, rate="shannon"): shannon_capacity(snr),
        rician: ergodic_capacity(snr, 4.0),
        rayleigh: ergodic_capacity(snr, 0.0),
        changed(rician, rician_k_linear=math.inf): shannon_capacity(snr),
    }
    for link, efficiency in expected.items():
        rate = rate_bps(link, elevation_deg, range_m)
        assert rate == pytest.approx(0.36e6 * efficiency, rel=1e-12)


def test_below_the_mask_there_is_no_link():
    elevation_deg = np.array([-20.0, 0.0, 9.999, 10.0, 10.001])
    assert (snr_db(UPLINK, elevation_deg, 1.9e6)[:3] == -np.inf).all()
    assert np.isfinite(snr_db(UPLINK, elevation_deg, 1.9e6)[3:]).all()
    assert (rate_bps(UPLINK, elevation_deg, 1.9e6) > 0).tolist() == [False] * 3 + [True] * 2
    fixed = changed(UPLINK, rate="fixed", fixed_rate_bps=5e6)
    assert rate_bps(fixed, elevation_deg, 1.9e6).tolist() == [0.0, 0.0, 0.0, 5e6, 5e6]


def test_the_horizon_itself_is_no_link_even_with_a_mask_of_zero():
    link = changed(UPLINK, min_elevation_deg=0.0, zenith_attenuation_db=0.1)
    assert rate_bps(link, [0.0, 0.1], 2.8e6).tolist()[0] == 0.0
    assert rate_bps(link, [0.0, 0.1], 2.8e6)[1] > 0.0


def test_every_setting_of_the_link_changes_the_rate():
    base = changed(UPLINK, fading="rician", rician_k_linear=3.0)
    other = {
        "frequency_hz": 2.1e9,
        "bandwidth_hz": 0.4e6,
        "eirp_dbw": -6.0,
        "g_over_t_db_k": 2.0,
        "other_losses_db": 1.0,
        "zenith_attenuation_db": 0.1,
        "path_gain_db": -161.0,
        "fading": "rayleigh",
        "rician_k_linear": 4.0,
        "rate": "shannon",
        "min_elevation_deg": 50.0,
    }
    rate = rate_bps(base, 30.0, 1075e3)
    for field, value in other.items():
        assert rate_bps(changed(base, **{field: value}), 30.0, 1075e3) != rate, field
    assert set(other) | {"fixed_rate_bps"} == {field.name for field in dataclasses.fields(Link)}


def test_rate_rises_along_the_climb_of_a_satellite():
    elevation_deg = np.linspace(10.0, 90.0, 81)
    link = changed(UPLINK, zenith_attenuation_db=0.05, fading="rician")
    assert (np.diff(rate_bps(link, elevation_deg, slant_range_m(600e3, elevation_deg))) > 0).all()


def test_shapes_broadcast_and_scalars_stay_scalars():
    assert rate_bps(UPLINK, np.full((5, 1), 30.0), np.full(7, 1e6)).shape == (5, 7)
    assert np.shape(rate_bps(UPLINK, 30.0, 1e6)) == () == np.shape(snr_db(UPLINK, 5.0, 1e6))


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("frequency_hz", 0.0),
        ("bandwidth_hz", -1.0),
        ("bandwidth_hz", math.inf),
        ("eirp_dbw", math.nan),
        ("g_over_t_db_k", math.inf),
        ("other_losses_db", -0.1),
        ("zenith_attenuation_db", math.nan),
        ("path_gain_db", 160.0),
        ("path_gain_db", -math.inf),
        ("fading", "lognormal"),
        ("rician_k_linear", -3.0),
        ("rician_k_linear", math.nan),
        ("rate", "modcod"),
        ("min_elevation_deg", -1.0),
        ("min_elevation_deg", 91.0),
        ("fixed_rate_bps", 5e6),
        ("frequency_hz", "2 GHz"),
    ],
)
def test_a_wrong_field_is_named_in_one_line(field, bad):
    with pytest.raises(ValueError, match=f"^{field} is ") as caught:
        changed(UPLINK, **{field: bad})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rate", [None, 0.0, -5e6, math.nan])
def test_a_fixed_rate_needs_its_number(rate):
    with pytest.raises(ValueError, match="fixed_rate_bps is"):
        changed(UPLINK, rate="fixed", fixed_rate_bps=rate)


@pytest.mark.parametrize(
    ("elevation_deg", "range_m"), [(91, 1e6), (math.nan, 1e6), (30, 0), (5, -1)]
)
def test_a_place_that_is_none_is_refused(elevation_deg, range_m):
    with pytest.raises(ValueError, match="allowed is"):
        rate_bps(UPLINK, elevation_deg, range_m)
