"""Presets hold the published figures, and overrides replace what they should."""

import math
from typing import Any

import pytest

import scenarios

BOLTZMANN_J_K = 1.380649e-23


def link_of(name: str = "quickstart", **overrides: Any) -> Any:
    keys = {key.replace("__", "."): value for key, value in overrides.items()}
    return scenarios.resolved_link(scenarios.load(name, keys))


def test_the_paper_preset_gives_the_papers_ten_decibels() -> None:
    up = link_of("paper-slots")["uplink"]
    received_dbw = (
        up["tx_power_dbm"] - 30 + up["tx_gain_dbi"] + up["rx_gain_dbi"] + up["path_gain_db"]
    )
    factor = 10 ** (up["noise_figure_db"] / 10)
    system_k = up["antenna_temperature_k"] + 290 * (factor - 1)
    noise_dbw = 10 * math.log10(BOLTZMANN_J_K * system_k * up["bandwidth_mhz"] * 1e6)
    assert received_dbw - noise_dbw == pytest.approx(9.985, abs=1e-3)
    assert (up["rate"], up["fixed_rate_mbps"]) == ("fixed", 5)


def test_the_paper_preset_serves_a_thousand_devices_and_neglects_the_downlink() -> None:
    link = link_of("paper-slots")
    assert link["uplink"]["total_bandwidth_mhz"] / link["uplink"]["bandwidth_mhz"] == 1000
    assert link["downlink"] == "neglected"
    assert link["overridden"] == []


def test_the_papers_carrier_has_its_path_gain_over_600_km_of_free_space() -> None:
    up = link_of("paper-slots")["uplink"]
    wavelength_m = 299_792_458 / (up["frequency_ghz"] * 1e9)
    free_space_db = 20 * math.log10(4 * math.pi * 600e3 / wavelength_m)
    assert free_space_db == pytest.approx(-up["path_gain_db"], abs=1e-2)


def test_the_physical_preset_holds_the_figures_of_tr_38_821() -> None:
    link = link_of()
    up, down = link["uplink"], link["downlink"]
    assert (up["frequency_ghz"], up["bandwidth_mhz"], up["g_over_t_db_k"]) == (2.0, 0.36, 1.1)
    assert (up["tx_power_dbm"], up["tx_gain_dbi"]) == (23.0, 0.0)
    for side in (up, down):
        assert (side["shadowing_margin_db"], side["scintillation_loss_db"]) == (3.0, 2.2)
        assert (side["other_losses_db"], side["clutter_loss_db"]) == (0.0, 0.0)
        assert (side["atmosphere"], side["zenith_attenuation_db"]) == ("cosecant", 0.035)
        assert ("required_snr_db" in side, side["duty"]) == (False, 1.0)
    assert down["eirp_dbw"] == pytest.approx(48.77, abs=5e-3)
    assert (up["rate"], up["fading"], up["rician_k_db"]) == ("ergodic", "rician", 10.0)


def test_the_handhelds_g_over_t_is_that_of_its_noise_figure() -> None:
    noise_figure_db, antenna_k = 7.0, 290.0
    system_k = antenna_k + 290 * (10 ** (noise_figure_db / 10) - 1)
    assert link_of()["downlink"]["g_over_t_db_k"] == pytest.approx(
        -10 * math.log10(system_k), abs=0.05
    )


def test_one_form_of_a_budget_replaces_the_presets_other_form() -> None:
    up = link_of(link__uplink__eirp_dbw=3)["uplink"]
    assert up["eirp_dbw"] == 3
    assert "tx_power_dbm" not in up and "tx_gain_dbi" not in up
    given = {"rx_gain_dbi": 30, "noise_figure_db": 2, "antenna_temperature_k": 150}
    up = link_of(link__uplink=given)["uplink"]
    assert "g_over_t_db_k" not in up
    assert {key: up[key] for key in given} == given
    down = link_of(link__downlink={"tx_power_dbm": 50, "tx_gain_dbi": 30})["downlink"]
    assert "eirp_dbw" not in down


def test_a_part_of_the_form_that_the_preset_uses_replaces_just_that_part() -> None:
    up = link_of(link__uplink__tx_power_dbm=30)["uplink"]
    assert (up["tx_power_dbm"], up["tx_gain_dbi"], up["g_over_t_db_k"]) == (30.0, 0.0, 1.1)


def test_the_scintillation_margin_is_the_ionospheres_at_2_ghz() -> None:
    """TR 38.811, section 6.6.6: 1.1 dB (f / 4 GHz)^-1.5 / sqrt(2)."""
    up = link_of()["uplink"]
    ionosphere_db = 1.1 * (up["frequency_ghz"] / 4) ** -1.5 / math.sqrt(2)
    assert up["scintillation_loss_db"] == pytest.approx(ionosphere_db, abs=0.05)


def test_what_is_shared_and_how_is_said() -> None:
    link = link_of()
    assert link["uplink"]["sharing"] == "fixed_subchannel"
    assert link["downlink"]["delivery"] == "broadcast"
    assert "delivery" not in link["uplink"] and "sharing" not in link["downlink"]
    assert link_of(link__downlink__delivery="unicast")["downlink"]["sharing"] == "fixed_subchannel"


def test_what_both_directions_have_in_common_is_said() -> None:
    link = link_of()
    assert (link["environment"], link["beamwidth_deg"]) == (None, 4.4127)
    assert link["cut_transfers"] == "resume"
    link = link_of(link__environment="urban", link__beamwidth_deg=4, link__cut_transfers="drop")
    assert (link["environment"], link["beamwidth_deg"]) == ("urban", 4)
    assert link["cut_transfers"] == "drop"
    assert link["overridden"] == ["link.environment", "link.beamwidth_deg", "link.cut_transfers"]


def test_values_that_no_longer_apply_are_left_out() -> None:
    up = link_of("paper-slots", link__uplink__rate="shannon")["uplink"]
    assert not up.keys() & {"fixed_rate_mbps", "fading", "rician_k_db", "required_snr_db"}
    assert "rician_k_db" not in link_of(link__uplink__fading="rayleigh")["uplink"]
    assert "path_gain_db" not in link_of()["uplink"]


def test_the_presets_threshold_is_not_that_of_a_rate_with_its_own() -> None:
    fixed = {"rate": "fixed", "fixed_rate_mbps": 1}
    assert "required_snr_db" not in link_of(link__uplink=fixed)["uplink"]
    assert link_of(link__uplink={**fixed, "required_snr_db": -2})["uplink"]["required_snr_db"] == -2
    assert "required_snr_db" not in link_of(link__uplink__rate="modcod")["uplink"]


def test_a_rate_has_the_figures_that_it_needs() -> None:
    outage = link_of(link__uplink__rate="outage")["uplink"]
    assert (outage["outage_probability"], outage["fading"]) == (0.1, "rician")
    assert link_of(link__uplink__rate="modcod")["uplink"]["rolloff"] == 0.2


def test_the_tables_of_an_environment_stand_in_the_place_of_the_presets_figures() -> None:
    tabled = {"shadowing_margin_db", "scintillation_loss_db", "clutter_loss_db", "rician_k_db"}
    link = link_of(link__environment="rural")
    for side in ("uplink", "downlink"):
        assert tabled <= link_of()[side].keys()
        assert not tabled & link[side].keys()
        assert link[side]["fading"] == "rician"


def test_a_scintillation_loss_that_is_given_wins_over_the_table() -> None:
    link = link_of(link__environment="rural", link__uplink__scintillation_loss_db=1)
    assert link["uplink"]["scintillation_loss_db"] == 1
    assert "scintillation_loss_db" not in link["downlink"]


def test_computed_air_stands_in_the_place_of_the_presets() -> None:
    up = link_of(link__uplink={"atmosphere": "itu", "exceedance_pct": 1})["uplink"]
    assert (up["atmosphere"], up["exceedance_pct"]) == ("itu", 1)
    assert "zenith_attenuation_db" not in up


def test_a_broadcast_has_a_band_of_its_own() -> None:
    down = link_of(link__downlink__bandwidth_mhz=40)["downlink"]
    assert (down["bandwidth_mhz"], down["total_bandwidth_mhz"]) == (40, 40)


def test_overridden_keys_are_named_as_on_the_command_line() -> None:
    link = link_of(link__uplink__tx_power_dbm=23, link__downlink={"fading": "rayleigh"})
    assert link["overridden"] == ["link.uplink.tx_power_dbm", "link.downlink.fading"]
    assert link_of(link__downlink="neglected")["overridden"] == ["link.downlink"]


def test_a_downlink_asked_for_beside_the_paper_starts_from_the_physical_one() -> None:
    down = link_of("paper-slots", link__downlink={"rate": "fixed", "fixed_rate_mbps": 20})[
        "downlink"
    ]
    physical = link_of()["downlink"]
    # A fixed rate needs no threshold, and slots have no elevation.
    without = {"required_snr_db", "atmosphere"}
    kept = {key: value for key, value in physical.items() if key not in without}
    assert down == kept | {"rate": "fixed", "fixed_rate_mbps": 20.0}


def test_resolving_does_not_change_the_presets() -> None:
    before = link_of()
    link_of(link__uplink__eirp_dbw=3)["uplink"]["eirp_dbw"] = 99
    assert link_of() == before
