"""Each key of ``link:`` under each form is refused by its name, or changes what a run gives."""

from collections.abc import Mapping
from itertools import product

import numpy as np
import pytest

import scenarios
from tests.kit.handmade import download, talk, upload
from tests.kit.inner.sim import budget, make_plan, one_pass
from tests.kit.small import SLOTS

KEYS = {side: scenarios.schema()["$defs"][side.title()]["properties"]
        for side in ("uplink", "downlink")}  # fmt: skip
NUMBERS = {
    "frequency_ghz": 2.5, "bandwidth_mhz": 0.25, "total_bandwidth_mhz": 60.0, "tx_power_dbm": 25.0,
    "tx_gain_dbi": 2.0, "eirp_dbw": 30.0, "rx_gain_dbi": 35.0, "noise_figure_db": 1.5,
    "antenna_temperature_k": 200.0, "g_over_t_db_k": 2.0, "other_losses_db": 0.5,
    "zenith_attenuation_db": 0.2, "exceedance_pct": 5.0, "scintillation_loss_db": 1.0,
    "shadowing_margin_db": 1.0, "path_gain_db": -152.0, "rician_k_db": 3.0,
    "outage_probability": 0.01, "rolloff": 0.35, "fixed_rate_mbps": 0.3, "required_snr_db": -2.0,
    "duty": 0.25,
}  # fmt: skip
FIXED = {"rate": "fixed", "fixed_rate_mbps": 0.2}
GAIN = {"path_gain_db": -158.0}
FORMS = {
    "plain": {},
    "parts": {
        "tx_power_dbm": 24.0, "tx_gain_dbi": 1.0,
        "rx_gain_dbi": 34.0, "noise_figure_db": 2.0, "antenna_temperature_k": 290.0,
    },
    "figures": {"eirp_dbw": 20.0, "g_over_t_db_k": 0.5},
    "rayleigh": {"fading": "rayleigh"}, "no fading": {"fading": "none"},
    "shannon": {"rate": "shannon"}, "outage": {"rate": "outage"}, "modcod": {"rate": "modcod"},
    "fixed": FIXED, "fixed that locks": {**FIXED, "required_snr_db": -5.0},
    "computed air": {"atmosphere": "itu", "exceedance_pct": 1.0}, "path gain": GAIN,
    "equal shares": {"sharing": "equal_share"},
    "unicast": {"delivery": "unicast", "bandwidth_mhz": 0.75, "total_bandwidth_mhz": 0.75},
}  # fmt: skip
SKY = {
    "start": "2026-08-22T00:00:00Z", "stop": {"days": 0.02},
    "orbit": {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8},
    "ground": {"clusters": [{"name": "A", "latitude_deg": 60.0, "longitude_deg": 20.0,
                             "devices": 4, "radius_km": 60.0}]},
}  # fmt: skip
SLOT = {"ground": {"clusters": [{"name": "A", "devices": 4}]}, "stop": {"cycles": 1}}
# The scenario around a link, the link's own keys, and what both directions have anyway.
PLACES = {
    "sky": (SKY, {}, {}),
    "country": (SKY, {"environment": "rural"}, {}),
    "slots": (SLOT, {}, {**FIXED, "fixed_rate_mbps": 9.0}),
}
ACCEPTED = {
    ("sky", "uplink"): 235, ("sky", "downlink"): 200,
    ("country", "uplink"): 188, ("country", "downlink"): 156,
    ("slots", "uplink"): 132, ("slots", "downlink"): 112,
}  # fmt: skip
"""How many keys are accepted under all forms together, by place and direction."""


def given(place, side, keys):
    """What a direction is given in a place: half of the time, and a crowded beam for the uplink."""
    crowded = {"total_bandwidth_mhz": 0.72} if side == "uplink" else {}
    return {"duty": 0.5, **PLACES[place][2], **crowded, **keys}


def scenario_of(place, side, keys):
    """A short scenario with these keys in one direction."""
    around, link, _ = PLACES[place]
    sides = {each: given(place, each, keys if each == side else {}) for each in KEYS}
    return scenarios.from_dict({**SLOTS, **around, "link": {"preset": "physical", **link, **sides}})


def values(side, key):
    """All choices of a key, or the number that stands for it."""
    forms = KEYS[side][key].get("anyOf", ())
    choices = (form.get("enum", [form["const"]] if "const" in form else ()) for form in forms)
    return [word for words in choices for word in words] or [NUMBERS[key]]


def outputs(scenario):
    """The cheapest first."""
    yield from (one.tables for one in budget(scenario))
    plan = make_plan(scenario)
    yield plan.doubts
    if scenario.orbit.source == "circular":
        yield one_pass(scenario, 0).tables
    steps = [*download(3e5), *upload(2e5)]
    said = talk(plan.contacts, [steps], scenario.link.cut_transfers, plan=plan)
    yield said.rows("device", "direction", "start_s", "end_s", "outcome")


def the_same(one, other):
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(the_same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray) and one.dtype.kind == "f":
        return np.array_equal(one, other, equal_nan=True)
    return bool(np.array_equal(np.asarray(one, object), np.asarray(other, object)))


@pytest.mark.slow(reason="plans some hundred links")
@pytest.mark.parametrize(("place", "side"), [*product(PLACES, KEYS)])
def test_each_key_under_each_form_is_refused_by_its_name_or_changes_something(place, side):
    pytest.importorskip("itur")
    accepted = set()
    for form, keys in FORMS.items():
        try:
            scenario = scenario_of(place, side, keys)
        except scenarios.ScenarioError:
            continue
        has = scenarios.resolved_link(scenario)[side]
        plain = list(outputs(scenario))
        for key in KEYS[side]:
            for value in values(side, key):
                if has.get(key) == value:
                    continue
                more = {**keys, key: value}
                try:
                    changed = outputs(scenario_of(place, side, more))
                except scenarios.ScenarioError as error:
                    [line] = str(error).splitlines()
                    named = line.partition(": ")[0].rpartition(".")
                    assert named[0] in ("link", f"link.{side}"), line
                    beside = {*given(place, side, more), "environment"}
                    assert named[2] in beside or "is missing" in line, line
                    continue
                accepted.add((form, key))
                pairs = zip(plain, changed, strict=False)
                assert any(not the_same(*pair) for pair in pairs), (form, key, value)
    assert {key for _, key in accepted} == KEYS[side].keys() or place != "sky"
    assert len(accepted) == ACCEPTED[place, side]
