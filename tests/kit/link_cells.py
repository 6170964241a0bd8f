"""Keys of a direction of the link under every form that the direction may have.

A cell is a place, a direction, a form and one more key. ``refusals`` is the truth that both levels
are held against: a cell without any is accepted, and its key changes what a run gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import scenarios
from tests.kit import small

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
UNICAST = {"delivery": "unicast", "bandwidth_mhz": 0.75, "total_bandwidth_mhz": 0.75}
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "parts": {
        "tx_power_dbm": 24.0, "tx_gain_dbi": 1.0,
        "rx_gain_dbi": 34.0, "noise_figure_db": 2.0, "antenna_temperature_k": 290.0,
    },
    "figures": {"eirp_dbw": 20.0, "g_over_t_db_k": 0.5},
    "rayleigh": {"fading": "rayleigh"}, "no fading": {"fading": "none"},
    "no lock": {"required_snr_db": -300.0},
    "shannon": {"rate": "shannon"}, "outage": {"rate": "outage"}, "modcod": {"rate": "modcod"},
    "outage rayleigh": {"rate": "outage", "fading": "rayleigh"}, "fixed": FIXED,
    "fixed that locks": {**FIXED, "required_snr_db": -5.0},
    "fixed in fading": {**FIXED, "fading": "rayleigh"},
    "air of the paper": {"atmosphere": "inverse_elevation"},
    "computed air": {"atmosphere": "itu", "exceedance_pct": 1.0},
    "path gain": GAIN, "shannon over a path gain": {**GAIN, "rate": "shannon"},
    "equal shares": {"sharing": "equal_share"},
    "unicast": UNICAST,
}  # fmt: skip

WINDOWS = """\
satellite,site,rise_utc,set_utc
s1,A,2026-08-22T00:01:00Z,2026-08-22T00:09:00Z
s1,A,2026-08-22T01:30:00Z,2026-08-22T01:39:00Z
"""
_SKY = {
    "start": "2026-08-22T00:00:00Z", "stop": {"days": 0.02},
    "orbit": {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8},
    "ground": {"clusters": [{"name": "A", "latitude_deg": 60.0, "longitude_deg": 20.0,
                             "devices": 4, "radius_km": 60.0}]},
}  # fmt: skip
_BARE = {"ground": {"clusters": [{"name": "A", "devices": 4}]}, "stop": {"cycles": 1}}
_WINDOWS = {**_BARE, "stop": {}, "orbit": {"source": "contacts", "windows": WINDOWS}}
# The scenario around a link, the link's own keys, and what both directions have anyway.
PLACES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "sky": (_SKY, {"preset": "physical"}, {}),
    "country": (_SKY, {"preset": "physical", "environment": "rural"}, {}),
    "slots": (_BARE, {"preset": "physical"}, {**FIXED, "fixed_rate_mbps": 9.0}),
    "windows": (_WINDOWS, {"preset": "physical"}, {"path_gain_db": -150.0}),
    "slots of the paper": (_BARE, {"preset": "paper"}, {}),
}
FEWER = {
    "country": ("plain", "parts", "outage", "modcod", "fixed that locks", "unicast"),
    "slots": ("plain", "parts", "fixed in fading", "equal shares", "unicast"),
    "windows": ("plain", "fixed", "no lock"),
    "slots of the paper": ("plain", "figures", "shannon", "outage", "modcod", "unicast"),
}
"""Forms that are run beside those in the sky; the scenario refuses or accepts in all of them."""

# Keys that are refused, by what a direction has: they would change nothing, or contradict it.
IDLE = {
    "rate ergodic": "fixed_rate_mbps outage_probability rolloff modcods",
    "rate shannon": "fixed_rate_mbps outage_probability rolloff modcods fading rician_k_db",
    "rate outage": "fixed_rate_mbps rolloff modcods",
    "rate modcod": "fixed_rate_mbps outage_probability required_snr_db fading rician_k_db",
    "rate fixed": "outage_probability rolloff modcods",
    "a fixed rate that locks": "fading rician_k_db", "an outage rate, no fading": "fading",
    "fading none": "rician_k_db", "fading rayleigh": "rician_k_db",
    "atmosphere cosecant": "exceedance_pct", "atmosphere inverse_elevation": "exceedance_pct",
    "atmosphere itu": "zenith_attenuation_db",
    "path gain": "atmosphere zenith_attenuation_db exceedance_pct",
    "country": "shadowing_margin_db rician_k_db",
    "no elevation": "atmosphere exceedance_pct", "path gain, no elevation": "frequency_ghz",
    "no path gain, no elevation": "required_snr_db",
    "delivery broadcast": "sharing total_bandwidth_mhz",
    "a channel wider than the beam": "bandwidth_mhz",
}  # fmt: skip
NEEDED = (("fixed", "fixed_rate_mbps"), ("itu", "exceedance_pct"))
BUDGETS = (
    ("eirp_dbw", {"tx_power_dbm", "tx_gain_dbi"}),
    ("g_over_t_db_k", {"rx_gain_dbi", "noise_figure_db", "antenna_temperature_k"}),
)
_COMMON = {"fading": "rician", "atmosphere": "cosecant"}
_PHYSICAL = {**_COMMON, "rate": "ergodic", "bandwidth_mhz": 30.0, "total_bandwidth_mhz": 30.0,
             "delivery": "broadcast", "eirp_dbw": 48.8, "g_over_t_db_k": -31.6}  # fmt: skip
_PRESETS: dict[tuple[str, str], dict[str, Any]] = {
    ("physical", "downlink"): _PHYSICAL,
    ("paper", "downlink"): _PHYSICAL,
    ("physical", "uplink"): {**_COMMON, "rate": "ergodic", "bandwidth_mhz": 0.36,
                             "tx_power_dbm": 23.0, "tx_gain_dbi": 0.0, "g_over_t_db_k": 1.1},
    ("paper", "uplink"): {**_COMMON, **FIXED, "path_gain_db": -160.0, "bandwidth_mhz": 5.0,
                          **dict.fromkeys(BUDGETS[0][1] | BUDGETS[1][1], 0.0)},
}  # fmt: skip


def given(place: str, side: str, more: dict[str, Any]) -> dict[str, Any]:
    """What a direction is given in a place: half of the time, and in the uplink a crowded beam."""
    preset = PLACES[place][1]["preset"]
    base: dict[str, Any] = {"duty": 0.5, **PLACES[place][2]}
    if side == "uplink":
        base["total_bandwidth_mhz"] = 10.0 if preset == "paper" else 0.72
    elif preset == "paper":
        base["path_gain_db"] = -150.0
    return {**base, **more}


def scenario_of(place: str, side: str, more: dict[str, Any]) -> scenarios.Scenario:
    """A short scenario with these keys in one direction."""
    around, link, _ = PLACES[place]
    sides = {s: given(place, s, more if s == side else {}) for s in KEYS}
    return scenarios.from_dict({**small.SLOTS, **around, "link": {**link, **sides}})


def held(place: str, side: str, more: dict[str, Any]) -> dict[str, Any]:
    """What a direction is given and what it has beside that, in so far as rules ask for it."""
    around, link, _ = PLACES[place]
    orbit = {"source": around.get("orbit", small.SLOTS["orbit"])["source"]}
    return {**_PRESETS[link["preset"], side], **link, **orbit, **given(place, side, more)}


def idle(place: str, side: str, more: dict[str, Any]) -> set[str]:
    """Keys that are refused beside what the direction has, and that it does not have either."""
    has = held(place, side, more)
    gain = "path_gain_db" in has
    bare = place not in ("sky", "country")
    rate = has["rate"]
    narrow = has["bandwidth_mhz"] > has["total_bandwidth_mhz"]
    holds = {
        "a fixed rate that locks": rate == "fixed" and "required_snr_db" in has,
        "an outage rate, no fading": (rate, has["fading"]) == ("outage", "none"),
        "path gain": gain,
        "country": place == "country",
        "no elevation": bare,
        "path gain, no elevation": bare and gain,
        "no path gain, no elevation": bare and not gain,
        "a channel wider than the beam": narrow and has.get("delivery") != "broadcast",
    }
    facts = {f"{key} {has.get(key)}" for key in ("rate", "fading", "atmosphere", "delivery")}
    facts |= {fact for fact, is_so in holds.items() if is_so}
    said = given(place, side, more).keys()
    replaced = {whole for whole, parts in BUDGETS if said & parts}
    replaced |= {part for whole, parts in BUDGETS for part in parts if whole in said}
    return replaced | {key for fact in facts for key in IDLE.get(fact, "").split()}


def refusals(place: str, side: str, more: dict[str, Any]) -> set[str]:
    """Keys of which a refusal names one; none for a direction that is accepted."""
    said = given(place, side, more)
    has = held(place, side, more)
    unknown = {k for k in said if k not in KEYS[side] or said[k] not in values(side, k, said)}
    found = {"environment"} if "path_gain_db" in has and place == "country" else set()
    halved = [(whole, parts) for whole, parts in BUDGETS if said.keys() & parts]
    twice = {whole for whole, _ in halved if whole in said}
    if unknown or twice:
        return unknown or found | twice
    found |= {part for _, parts in halved for part in parts} - has.keys()
    found |= {key for fact, key in NEEDED if fact in has.values()} - has.keys()
    no_snr = place in ("slots", "windows") and not ("path_gain_db" in has or has["rate"] == "fixed")
    return found | idle(place, side, more) & said.keys() | ({"rate"} if no_snr else set())


def values(side: str, key: str, said: dict[str, Any] = NUMBERS) -> list[Any]:
    """All choices of a key, or the number that is said of it."""
    forms = KEYS[side][key].get("anyOf", ())
    choices = (form.get("enum", [form["const"]] if "const" in form else ()) for form in forms)
    return [word for words in choices for word in words] or [said[key]]


def cells(place: str, side: str, form: str) -> Iterator[tuple[str, Any, set[str]]]:
    """One more key of the schema, each of its values, and which key a refusal names."""
    for key in KEYS[side]:
        for value in values(side, key):
            yield key, value, refusals(place, side, {**FORMS[form], key: value})
