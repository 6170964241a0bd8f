"""The link: each key under each form is resolved or refused; presets; directions; sidelinks."""

import math
import re

import pytest

import scenarios
from tests.kit.link_cells import FORMS, KEYS, PLACES, cells, held, idle, refusals, scenario_of

OTHERWISE = "cannot be combined|is missing|is not a known key|must be (one of|at most)"


def check(place, side, keys, expected):
    """Taken as it was said, or refused by an expected key and what is in its way."""
    try:
        scenario = scenario_of(place, side, keys)
    except scenarios.ScenarioError as error:
        [line] = str(error).splitlines()
        key, _, text = line.partition(": ")
        section, _, name = key.rpartition(".")
        assert name in expected, line
        assert section == ("link" if name == "environment" else f"link.{side}"), line
        has = held(place, side, keys)
        beside = re.findall(r"(rate|fading|atmosphere|delivery|environment|source) '(\w+)'", text)
        beside += re.findall(r"(path_gain_db) (-\d+)", text)
        assert beside or re.search(OTHERWISE, text), line
        assert all(str(has[key]).startswith(value) for key, value in beside), line
    else:
        assert not expected, (place, side, keys)
        resolved = scenarios.resolved_link(scenario)
        assert keys.items() <= resolved[side].items()
        assert {f"link.{side}.{key}" for key in keys} <= set(resolved["overridden"])
        # Of the preset nothing is left that changes nothing, but every radio has a band.
        left = idle(place, side, keys) - {"frequency_ghz", "total_bandwidth_mhz"}
        assert not left & resolved[side].keys()


@pytest.mark.parametrize("side", KEYS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.quick(1)
def test_each_key_under_each_form_is_used_or_refused(place, side):
    """Those that are used change something: tests/sim/links/test_link_matrix.py."""
    for form, keys in FORMS.items():
        check(place, side, keys, refusals(place, side, keys))
        for key, value, expected in cells(place, side, form):
            check(place, side, {**keys, key: value}, expected)


# -- presets, and what is left of them beside the user's keys


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
