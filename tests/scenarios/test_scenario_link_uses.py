"""Every key of a direction, under every form: it is used and resolved, or refused by name."""

from typing import Any

import pytest

import scenarios
from tests.kit.every_source import ORBITS, SEEN, mapping_with
from tests.kit.scenarios import Downlink, Uplink

SIDES = {"uplink": Uplink, "downlink": Downlink}
POWER = {"tx_power_dbm": 30, "tx_gain_dbi": 3}
RECEIVER = {"rx_gain_dbi": 30, "noise_figure_db": 3, "antenna_temperature_k": 150}
SAMPLES: dict[str, Any] = {
    **dict.fromkeys(POWER, POWER),
    **dict.fromkeys(RECEIVER, RECEIVER),
    "eirp_dbw": 5,
    "g_over_t_db_k": 2,
    "frequency_ghz": 3,
    "bandwidth_mhz": 0.3,
    "total_bandwidth_mhz": 50,
    "other_losses_db": 1,
    "atmosphere": "cosecant",
    "zenith_attenuation_db": 1,
    "exceedance_pct": 1,
    "scintillation_loss_db": 1,
    "clutter_loss_db": 1,
    "shadowing_margin_db": 1,
    "path_gain_db": -150,
    "fading": "rician",
    "rician_k_db": 3,
    "rate": "ergodic",
    "outage_probability": 0.2,
    "rolloff": 0.35,
    "fixed_rate_mbps": 2,
    "required_snr_db": -3,
    "duty": 1,
    "delivery": "broadcast",
    "sharing": "rounds",
}
FIXED = {"rate": "fixed", "fixed_rate_mbps": 5}
ITU = {"atmosphere": "itu", "exceedance_pct": 1}
GAIN = {"path_gain_db": -160}
OTHER_RATES = "fixed_rate_mbps outage_probability rolloff"

# What the direction is given, and the keys that then change nothing.
FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "as it is": ({}, f"{OTHER_RATES} exceedance_pct"),
    "ergodic": ({"rate": "ergodic"}, f"{OTHER_RATES} exceedance_pct"),
    "rayleigh": ({"fading": "rayleigh"}, f"{OTHER_RATES} exceedance_pct rician_k_db"),
    "unfaded": ({"fading": "none"}, f"{OTHER_RATES} exceedance_pct rician_k_db"),
    "shannon": ({"rate": "shannon"}, f"{OTHER_RATES} exceedance_pct fading rician_k_db"),
    "outage": ({"rate": "outage"}, "fixed_rate_mbps rolloff exceedance_pct"),
    "modcod": (
        {"rate": "modcod"},
        "fixed_rate_mbps outage_probability exceedance_pct fading rician_k_db required_snr_db",
    ),
    "fixed": (FIXED, "outage_probability rolloff exceedance_pct"),
    "fixed above a threshold": (
        {**FIXED, "required_snr_db": 0},
        "outage_probability rolloff exceedance_pct fading rician_k_db",
    ),
    "fixed in fading": (
        {**FIXED, "fading": "rayleigh"},
        "outage_probability rolloff exceedance_pct rician_k_db required_snr_db",
    ),
    "inverse elevation": (
        {"atmosphere": "inverse_elevation"},
        f"{OTHER_RATES} exceedance_pct path_gain_db",
    ),
    "computed air": (ITU, f"{OTHER_RATES} zenith_attenuation_db path_gain_db"),
    "path gain": (GAIN, f"{OTHER_RATES} exceedance_pct atmosphere zenith_attenuation_db"),
    "shannon over a path gain": (
        {**GAIN, "rate": "shannon"},
        f"{OTHER_RATES} exceedance_pct atmosphere zenith_attenuation_db fading rician_k_db",
    ),
}
NO_ELEVATION = "atmosphere exceedance_pct"
BARE_FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "fixed": (FIXED, f"{NO_ELEVATION} outage_probability rolloff required_snr_db"),
    "path gain": (GAIN, f"{NO_ELEVATION} {OTHER_RATES} zenith_attenuation_db frequency_ghz"),
    "shannon over a path gain": (
        {**GAIN, "rate": "shannon"},
        f"{NO_ELEVATION} {OTHER_RATES} zenith_attenuation_db frequency_ghz fading rician_k_db",
    ),
    "fixed over a path gain": (
        {**GAIN, **FIXED},
        f"{NO_ELEVATION} outage_probability rolloff zenith_attenuation_db frequency_ghz",
    ),
}
OF_THE_TABLES = "shadowing_margin_db clutter_loss_db rician_k_db path_gain_db"


def scenario_of(source: str, link: dict[str, Any]) -> scenarios.Scenario:
    return scenarios.from_dict({**mapping_with(ORBITS[source]), "link": link})


def link_with(side: str, keys: dict[str, Any], preset: str = "physical") -> dict[str, Any]:
    """A direction with these keys, beside another one that is plain and works everywhere."""
    other = {"uplink": FIXED} if side == "downlink" else {"downlink": "neglected"}
    return {"preset": preset, **other, side: keys}


def check(source: str, side: str, link: dict[str, Any], key: str, refused: set[str]) -> None:
    before = scenarios.resolved_link(scenario_of(source, link))[side]
    sample = SAMPLES[key]
    if isinstance(sample, str) and key in before:
        sample = before[key]  # to say what holds already is allowed
    given = sample if isinstance(sample, dict) else {key: sample}
    changed = {**link, side: {**given, **link[side]}}
    if key in refused:
        with pytest.raises(scenarios.ScenarioError) as caught:
            scenario_of(source, changed)
        assert key in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
    else:
        after = scenarios.resolved_link(scenario_of(source, changed))
        assert after[side][key] == changed[side][key]
        assert f"link.{side}.{key}" in after["overridden"]


def test_every_key_has_a_sample() -> None:
    assert {key for model in SIDES.values() for key in model.model_fields} == SAMPLES.keys()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("form", FORMS)
def test_each_key_under_a_form(form: str, side: str) -> None:
    keys, unused = FORMS[form]
    broadcast = {"sharing", "total_bandwidth_mhz"} if side == "downlink" else set()
    for key in SIDES[side].model_fields:
        check("circular", side, link_with(side, keys), key, {*unused.split(), *broadcast})


@pytest.mark.parametrize("form", FORMS)
def test_each_key_of_a_downlink_to_single_devices(form: str) -> None:
    keys, unused = FORMS[form]
    link = link_with("downlink", {**keys, "delivery": "unicast"})
    for key in Downlink.model_fields:
        check("circular", "downlink", link, key, set(unused.split()))


# A fixed rate without a threshold has no use for an environment: see test_scenario_link_rules.py.
BARE_OR_STIFF = ("path gain", "shannon over a path gain", "fixed", "fixed in fading")
IN_PLACES = [form for form in FORMS if form not in BARE_OR_STIFF]


@pytest.mark.parametrize("environment", ["dense_urban", "urban", "suburban", "rural"])
@pytest.mark.parametrize("form", IN_PLACES)
def test_each_key_in_an_environment(form: str, environment: str) -> None:
    keys, unused = FORMS[form]
    link = {"environment": environment, **link_with("uplink", keys)}
    for key in Uplink.model_fields:
        check("circular", "uplink", link, key, {*unused.split(), *OF_THE_TABLES.split()})


@pytest.mark.parametrize("source", ["slots", "contacts"])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("form", BARE_FORMS)
def test_each_key_without_geometry(form: str, side: str, source: str) -> None:
    keys, unused = BARE_FORMS[form]
    broadcast = {"sharing", "total_bandwidth_mhz"} if side == "downlink" else set()
    for key in SIDES[side].model_fields:
        check(source, side, link_with(side, keys), key, {*unused.split(), *broadcast})


OF_THE_PAPER = f"{NO_ELEVATION} zenith_attenuation_db outage_probability rolloff"


@pytest.mark.parametrize("source", ORBITS)
def test_each_key_beside_the_paper(source: str) -> None:
    unused = OF_THE_PAPER if source in SEEN else f"{OF_THE_PAPER} frequency_ghz"
    for key in Uplink.model_fields:
        check(source, "uplink", {"preset": "paper", "uplink": {}}, key, set(unused.split()))


@pytest.mark.parametrize("source", ORBITS)
@pytest.mark.parametrize(
    ("key", "value"), [("environment", "urban"), ("beamwidth_deg", 3.5), ("cut_transfers", "drop")]
)
def test_a_key_of_both_directions_with_every_source(source: str, key: str, value: Any) -> None:
    bare = source not in SEEN
    rate = {"uplink": FIXED, "downlink": "neglected"} if bare else {}
    link = {"preset": "physical", **rate, key: value}
    if bare and key != "cut_transfers":
        with pytest.raises(scenarios.ScenarioError) as caught:
            scenario_of(source, link)
        line = f"link.{key}: is not used by source {source!r}, which has no geometry; leave it out"
        assert str(caught.value) == line
    else:
        resolved = scenarios.resolved_link(scenario_of(source, link))
        assert resolved[key] == value
        assert f"link.{key}" in resolved["overridden"]
