"""The link as a whole: its fields, its forms and its gate."""

from dataclasses import fields, replace
from typing import get_args

import numpy as np
import pytest

import channel
from channel import Link, SlantAttenuation, link_budget_terms
from channel.settings import RATES, Rate

UPLINK = Link(frequency_hz=2e9, bandwidth_hz=0.36e6, eirp_dbw=-7.0, g_over_t_db_k=1.1)
RICIAN = replace(UPLINK, fading="rician", rician_k_linear=3.0, zenith_attenuation_db=0.05)


# Another value for every field. A form of link either refuses it or shows it in its budget.
OTHER = {
    "frequency_hz": 2.1e9, "bandwidth_hz": 0.4e6, "eirp_dbw": -6.0, "g_over_t_db_k": 2.0,
    "other_losses_db": 1.5, "zenith_attenuation_db": 0.15, "path_gain_db": -161.0,
    "fading": "rayleigh", "rician_k_linear": 4.0, "rate": "modcod", "fixed_rate_bps": 0.7e6,
    "min_elevation_deg": 50.0, "atmosphere": "inverse_elevation", "scintillation_loss_db": 2.0,
    "attenuation": SlantAttenuation([5.0, 90.0], [2.0, 0.2], [5.0, 0.5]),
    "shadowing_margin_db": 4.0, "environment": channel.propagation_scenario("rural", 2e9),
    "outage_probability": 0.3, "rolloff": 0.35, "required_snr_db": 2.0, "duty": 0.5,
    "modcods": "dvb-s2x", "system_temperature_k": 150.0,
}  # fmt: skip
AIR = SlantAttenuation([90.0], [0.1], [1.0])
URBAN = channel.propagation_scenario("urban", 2e9)
FORMS = {
    "ergodic": RICIAN,
    "shannon": replace(RICIAN, rate="shannon"),
    "outage": replace(RICIAN, rate="outage"),
    "modcod": replace(RICIAN, rate="modcod"),
    "fixed": replace(RICIAN, rate="fixed", fixed_rate_bps=0.5e6),
    "table": replace(RICIAN, zenith_attenuation_db=0.0, attenuation=AIR),
    "urban": replace(RICIAN, rician_k_linear=10.0, environment=URBAN),
    "path gain": replace(RICIAN, path_gain_db=-160.0),
}
# What a link keeps for its other rates: how the channel fades where the rate does not ask, and the
# carrier of a path whose loss is given. They are the scenario's to refuse.
SILENT = {
    *((rate, field) for rate in ("shannon", "modcod") for field in ("fading", "rician_k_linear")),
    ("path gain", "frequency_hz"),
}


def test_what_a_rate_is_said_to_do_is_what_it_does():
    """Of each rate: does it grow without an end, have levels of its own, look at fading?"""
    assert set(RATES) == set(get_args(Rate))
    without = set(RATES) - set(FORMS)
    assert not without, f"FORMS: add a link of these rates, each under its name: {without}"
    elevation_deg, range_m = np.linspace(10, 90, 801), np.linspace(2e6, 6e5, 801)
    for rate, law in RATES.items():
        link = FORMS[rate]

        def bps(eirp_dbw, link=link, **changes):
            changed = replace(link, eirp_dbw=eirp_dbw, **changes)
            return channel.rate_bps(changed, 90.0, slant_range_m=600e3)

        assert (bps(80.0) > 1.05 * bps(70.0)) == law.follows_shannon
        states = channel.rate_state(replace(link, eirp_dbw=-15.0), elevation_deg, range_m)
        assert (len(np.unique(states)) > 2) == law.has_levels
        assert (bps(0.0) != bps(0.0, rician_k_linear=30.0)) == law.fades


@pytest.mark.parametrize("field", [field.name for field in fields(Link)])
def test_a_field_changes_the_budget_or_is_refused(field):
    assert field in OTHER, f"OTHER: add {field} with a value that no link in FORMS has"
    for form, base in FORMS.items():
        value = OTHER[field]
        value = "shannon" if getattr(base, field) == value == "modcod" else value
        before = link_budget_terms(base, [20.0, 70.0], altitude_m=600e3)
        try:
            link = replace(base, **{field: value})
        except ValueError as error:
            assert "\n" not in str(error) and (form, field) not in SILENT
            continue
        after = link_budget_terms(link, [20.0, 70.0], altitude_m=600e3)
        same = set(before) == set(after) and all((before[k] == after[k]).all() for k in before)
        assert same == ((form, field) in SILENT), form
