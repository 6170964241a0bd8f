"""The link as a whole: its fields, its gate and its rate."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel import (
    Link,
    SlantAttenuation,
    carrier_to_noise_db,
    eirp_dbw,
    ergodic_capacity,
    g_over_t_db_k,
    link_budget_terms,
    propagation_scenario,
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


# Another value for every field. A form of link either refuses it or shows it in its budget.
OTHER = {
    "frequency_hz": 2.1e9,
    "bandwidth_hz": 0.4e6,
    "eirp_dbw": -6.0,
    "g_over_t_db_k": 2.0,
    "other_losses_db": 1.5,
    "zenith_attenuation_db": 0.15,
    "path_gain_db": -161.0,
    "fading": "rayleigh",
    "rician_k_linear": 4.0,
    "rate": "modcod",
    "fixed_rate_bps": 0.7e6,
    "min_elevation_deg": 50.0,
    "atmosphere": "inverse_elevation",
    "attenuation": SlantAttenuation([5.0, 90.0], [2.0, 0.2], [5.0, 0.5]),
    "scintillation_loss_db": 2.0,
    "clutter_loss_db": 3.0,
    "shadowing_margin_db": 4.0,
    "environment": propagation_scenario("rural", 2e9),
    "outage_probability": 0.3,
    "rolloff": 0.35,
    "required_snr_db": 2.0,
    "duty": 0.5,
}
RICIAN = changed(UPLINK, fading="rician", rician_k_linear=3.0, zenith_attenuation_db=0.05)
FORMS = {
    "ergodic": RICIAN,
    "shannon": changed(RICIAN, rate="shannon"),
    "outage": changed(RICIAN, rate="outage"),
    "modcod": changed(RICIAN, rate="modcod"),
    "fixed": changed(RICIAN, rate="fixed", fixed_rate_bps=0.5e6),
    "table": changed(
        RICIAN, zenith_attenuation_db=0.0, attenuation=SlantAttenuation([90.0], [0.1], [1.0])
    ),
    "urban": changed(RICIAN, rician_k_linear=10.0, environment=propagation_scenario("urban", 2e9)),
    "path gain": changed(RICIAN, path_gain_db=-160.0),
}
# What a link keeps for its other rates: how the channel fades where the rate does not ask, and the
# carrier of a path whose loss is given. They are the scenario's to refuse.
SILENT = {
    ("shannon", "fading"),
    ("shannon", "rician_k_linear"),
    ("modcod", "fading"),
    ("modcod", "rician_k_linear"),
    ("path gain", "frequency_hz"),
}


@pytest.mark.parametrize("field", OTHER)
@pytest.mark.parametrize("form", FORMS)
def test_a_field_changes_the_budget_or_is_refused(form, field):
    base, value = FORMS[form], OTHER[field]
    value = "shannon" if getattr(base, field) == value == "modcod" else value
    before = link_budget_terms(base, [20.0, 70.0], altitude_m=600e3)
    try:
        after = link_budget_terms(changed(base, **{field: value}), [20.0, 70.0], altitude_m=600e3)
    except ValueError as error:
        assert "\n" not in str(error)
        assert (form, field) not in SILENT
        return
    same = set(before) == set(after) and all((before[k] == after[k]).all() for k in before)
    assert same == ((form, field) in SILENT)


def test_every_field_is_tried():
    assert set(OTHER) == {field.name for field in dataclasses.fields(Link)}


def test_every_loss_lowers_the_signal_by_its_decibels():
    before_db = snr_db(RICIAN, 30.0, 1075e3)
    for field in (
        "other_losses_db",
        "scintillation_loss_db",
        "clutter_loss_db",
        "shadowing_margin_db",
    ):
        after_db = snr_db(changed(RICIAN, **{field: 1.25}), 30.0, 1075e3)
        assert after_db == pytest.approx(before_db - 1.25, abs=1e-12), field
    zenith_db = snr_db(changed(RICIAN, zenith_attenuation_db=0.15), 30.0, 1075e3)
    assert zenith_db == pytest.approx(before_db - 0.2, abs=1e-12)  # 0.1 dB over sin(30 degrees)
    inverse_db = snr_db(changed(RICIAN, atmosphere="inverse_elevation"), 30.0, 1075e3)
    assert inverse_db == pytest.approx(before_db + 0.1 - 0.15, abs=1e-12)


def test_a_table_of_attenuation_stands_for_the_gases():
    table = SlantAttenuation([10.0, 30.0, 90.0], [0.9, 0.3, 0.1], [4.0, 2.0, 1.0])
    link = changed(UPLINK, attenuation=table)
    for elevation_deg, loss_db in [(10.0, 4.9), (30.0, 2.3), (90.0, 1.1)]:
        bare_db = snr_db(UPLINK, elevation_deg, 1e6)
        assert snr_db(link, elevation_deg, 1e6) == pytest.approx(bare_db - loss_db, abs=1e-12)
    assert snr_db(link, [-5.0, 9.0], 1e6).tolist() == [-math.inf, -math.inf]


# Two forms of one quantity


@given(
    power_dbm=st.floats(-30.0, 60.0),
    tx_gain_dbi=st.floats(-10.0, 60.0),
    rx_gain_dbi=st.floats(-10.0, 60.0),
    noise_figure_db=st.floats(0.0, 20.0),
    antenna_k=st.floats(1.0, 1000.0),
)
def test_power_and_gain_are_the_link_of_their_watts(
    power_dbm, tx_gain_dbi, rx_gain_dbi, noise_figure_db, antenna_k
):
    radiated_w = 10 ** (power_dbm / 10) / 1000 * 10 ** (tx_gain_dbi / 10)
    system_k = antenna_k + 290 * (10 ** (noise_figure_db / 10) - 1)
    parts = Link(
        2e9,
        1e6,
        tx_power_dbm=power_dbm,
        tx_gain_dbi=tx_gain_dbi,
        rx_gain_dbi=rx_gain_dbi,
        noise_figure_db=noise_figure_db,
        antenna_temperature_k=antenna_k,
    )
    whole = Link(
        2e9,
        1e6,
        eirp_dbw=10 * math.log10(radiated_w),
        g_over_t_db_k=rx_gain_dbi - 10 * math.log10(system_k),
    )
    assert parts.eirp_dbw == pytest.approx(whole.eirp_dbw, abs=1e-9)
    assert parts.g_over_t_db_k == pytest.approx(whole.g_over_t_db_k, abs=1e-9)
    assert snr_db(parts, 30.0, 1e6) == pytest.approx(snr_db(whole, 30.0, 1e6), abs=1e-9)


SENT = {"tx_power_dbm": 23.0, "tx_gain_dbi": 0.0}
RECEIVED = {"rx_gain_dbi": 0.0, "noise_figure_db": 7.0, "antenna_temperature_k": 290.0}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "eirp_dbw is None; allowed is a number: add eirp_dbw, or tx_power_dbm and tx_gain"),
        (SENT, "g_over_t_db_k is None; .* or rx_gain_dbi, noise_figure_db and antenna_temp"),
        ({"eirp_dbw": 3.0, "g_over_t_db_k": 0.0, **SENT}, r"eirp_dbw is 3\.0 beside tx_power_dbm"),
        (
            {"eirp_dbw": 3.0, "g_over_t_db_k": 0.0, "tx_gain_dbi": 0.0},
            "leave out eirp_dbw or tx_ga",
        ),
        ({**SENT, "g_over_t_db_k": 0.0, **RECEIVED}, r"g_over_t_db_k is 0\.0 beside rx_gain_dbi"),
        ({"tx_gain_dbi": 0.0, **RECEIVED}, "tx_power_dbm is None beside tx_gain_dbi; .* add tx_po"),
        ({**SENT, "noise_figure_db": 7.0}, "add rx_gain_dbi and antenna_temperature_k, or give g_"),
        ({**SENT, **RECEIVED, "tx_power_dbm": math.nan}, "tx_power_dbm is nan"),
        ({**SENT, **RECEIVED, "noise_figure_db": -1.0}, r"noise_figure_db is -1\.0"),
        ({**SENT, **RECEIVED, "antenna_temperature_k": math.inf}, "antenna_temperature_k is inf"),
    ],
)
def test_a_quantity_is_given_once_and_whole(given, text):
    with pytest.raises(ValueError, match=text) as caught:
        Link(2e9, 1e6, **given)
    assert "\n" not in str(caught.value)


def test_a_link_made_of_parts_can_be_changed():
    link = Link(2e9, 1e6, **SENT, **RECEIVED)
    assert changed(link, bandwidth_hz=2e6).eirp_dbw == link.eirp_dbw == -7.0
    assert changed(link, g_over_t_db_k=1.1).g_over_t_db_k == 1.1
    stronger = changed(link, eirp_dbw=None, tx_power_dbm=33.0, tx_gain_dbi=2.0)
    assert stronger.eirp_dbw == 5.0
    with pytest.raises(ValueError, match=r"eirp_dbw is -7\.0 beside tx_power_dbm"):
        changed(link, tx_power_dbm=33.0)
    assert changed(link, eirp_dbw=-7.0) == link
    assert len({link, changed(link), stronger}) == 2


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
        ("rate", "fastest"),
        ("atmosphere", "thin"),
        ("attenuation", 3.0),
        ("environment", "urban"),
        ("environment", propagation_scenario("urban", 20e9)),
        ("scintillation_loss_db", -1.0),
        ("clutter_loss_db", math.nan),
        ("shadowing_margin_db", math.inf),
        ("outage_probability", 1.0),
        ("outage_probability", 0.2),
        ("rolloff", -0.1),
        ("rolloff", 0.35),
        ("rolloff", math.nan),
        ("required_snr_db", math.nan),
        ("required_snr_db", math.inf),
        ("duty", 0.0),
        ("duty", 1.1),
        ("duty", math.nan),
        ("min_elevation_deg", -1.0),
        ("min_elevation_deg", 91.0),
        ("fixed_rate_bps", 5e6),
        ("frequency_hz", "2 GHz"),
    ],
)
def test_a_wrong_field_is_named_in_one_line(field, bad):
    name = "frequency_hz" if getattr(bad, "band", "S") == "Ka" else field
    with pytest.raises(ValueError, match=f"^{name} is ") as caught:
        changed(UPLINK, **{field: bad})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"environment": OTHER["environment"], "shadowing_margin_db": 3.0},
            r"shadowing_margin_db is 3\.0; allowed is 0\.0 as the tables of environment",
        ),
        ({"environment": OTHER["environment"], "clutter_loss_db": 3.0}, "clutter_loss_db is 3"),
        ({"environment": OTHER["environment"], "rician_k_linear": 3.0}, "rician_k_linear is 3"),
        ({"environment": OTHER["environment"], "path_gain_db": -160.0}, "environment is Env"),
        ({"attenuation": OTHER["attenuation"], "path_gain_db": -160.0}, "attenuation is Slant"),
        ({"attenuation": OTHER["attenuation"], "zenith_attenuation_db": 0.1}, "zenith_attenuation"),
        (
            {"attenuation": OTHER["attenuation"], "atmosphere": "inverse_elevation"},
            "atmosphere is 'inverse_elevation'; allowed is cosecant as attenuation is given",
        ),
        ({"rate": "modcod", "required_snr_db": 3.0}, "required_snr_db is 3"),
        ({"rate": "outage"}, 'rate is "outage" while fading is "none"'),
    ],
)
def test_two_forms_of_one_thing_are_refused(fields, text):
    with pytest.raises(ValueError, match=text) as caught:
        changed(UPLINK, **fields)
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
