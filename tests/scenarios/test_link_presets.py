"""The presets of the link, against the figures of the paper and of the 3GPP."""

import math

import pytest

import scenarios


def link_of(name="quickstart", **link):
    return scenarios.resolved_link(scenarios.load(name, {f"link.{k}": v for k, v in link.items()}))


def noise_k(noise_figure_db, antenna_k):
    return antenna_k + 290 * (10 ** (noise_figure_db / 10) - 1)


def test_the_presets_hold_the_ten_decibels_of_the_paper_and_the_figures_of_the_3gpp():
    """TR 38.821, section 6.1; G/T by 7 dB at 290 K; scintillation: TR 38.811, section 6.6.6."""
    up = link_of("paper-slots")["uplink"]
    gains = ("tx_power_dbm", "tx_gain_dbi", "rx_gain_dbi", "path_gain_db")
    system_k = noise_k(up["noise_figure_db"], up["antenna_temperature_k"])
    noise_dbm = 10 * math.log10(1.380649e-23 * system_k * up["bandwidth_mhz"] * 1e9)
    assert sum(up[key] for key in gains) - noise_dbm == pytest.approx(9.985, abs=1e-3)
    assert (up["rate"], up["fixed_rate_mbps"]) == ("fixed", 5)
    link = link_of()
    up = link["uplink"]
    down = link["downlink"]
    assert down["eirp_dbw"] == pytest.approx(48.77, abs=5e-3)
    assert down["g_over_t_db_k"] == pytest.approx(-10 * math.log10(noise_k(7, 290)), abs=0.05)
    ionosphere_db = 1.1 * (up["frequency_ghz"] / 4) ** -1.5 / math.sqrt(2)
    assert up["scintillation_loss_db"] == pytest.approx(ionosphere_db, abs=0.05)
