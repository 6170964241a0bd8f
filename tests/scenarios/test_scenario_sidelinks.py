"""The keys of sidelinks and relays: their defaults, their forms, and what does not fit together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import scenarios
from tests.kit.every_source import ORBITS, SEEN, mapping_with

PAGE = Path(__file__).parents[2] / "docs" / "scenarios.md"


def of(
    link: dict[str, Any], source: str = "circular", cluster: dict[str, Any] | None = None
) -> scenarios.Scenario:
    mapping = mapping_with(ORBITS[source], cluster)
    mapping["link"] |= link
    return scenarios.from_dict(mapping)


def refused(*given: Any, **more: Any) -> str:
    with pytest.raises(scenarios.ScenarioError) as error:
        of(*given, **more)
    return str(error.value)


@pytest.mark.parametrize("source", ORBITS)
def test_devices_do_not_talk_to_each_other_unless_it_is_said(source: str) -> None:
    scenario = of({}, source)
    assert (scenario.link.sidelink, scenario.link.relay) == (None, "none")
    assert scenarios.resolved_sidelink(scenario) is None


def test_the_defaults_are_a_radio_below_one_gigahertz() -> None:
    assert scenarios.resolved_sidelink(of({"sidelink": {}})) == {
        "frequency_ghz": 0.915,
        "bandwidth_mhz": 2.0,
        "tx_power_dbm": 20.0,
        "path_loss_exponent": 3.0,
        "reference_distance_m": 1.0,
        "noise_figure_db": 7.0,
        "other_losses_db": 0.0,
    }


def test_the_page_has_every_key_with_its_default() -> None:
    text = PAGE.read_text(encoding="utf-8").split("| key of `link.sidelink`")[1].split("\n\n")[0]
    page: dict[str, str] = {}
    for line in text.splitlines()[2:]:
        keys, _, values = [cell.strip() for cell in line.strip("|").split("|")]
        page |= zip(re.findall(r"`(\w+)`", keys), values.split(", "), strict=True)
    assert page.keys() == scenarios.schema()["$defs"]["Sidelink"]["properties"].keys()
    defaults = scenarios.resolved_sidelink(of({"sidelink": {}}))
    assert defaults is not None
    assert {key: float(page[key]) for key in defaults} == defaults


def test_keys_that_are_given_stand_in_the_place_of_the_defaults() -> None:
    values = scenarios.resolved_sidelink(of({"sidelink": {"bandwidth_mhz": 20, "range_km": 2}}))
    assert values is not None
    assert (values["bandwidth_mhz"], values["range_km"], values["frequency_ghz"]) == (20, 2, 0.915)
    fixed = scenarios.resolved_sidelink(of({"sidelink": {"rate_mbps": 6}}))
    assert fixed == {"rate_mbps": 6.0, "tx_power_dbm": 20.0}


@pytest.mark.parametrize("relay", ["none", "contact", "store"])
@pytest.mark.parametrize("source", ORBITS)
def test_every_source_can_relay_and_have_sidelinks(relay: str, source: str) -> None:
    link = {"relay": relay, "sidelink": {"distance_km": 0.2}}
    scenario = of(link, source, {"devices": 4})
    assert scenarios.from_dict(scenario.model_dump(mode="json")) == scenario


@pytest.mark.parametrize(
    "key",
    [
        *("frequency_ghz", "bandwidth_mhz", "path_loss_exponent", "reference_distance_m"),
        *("noise_figure_db", "other_losses_db"),
    ],
)
def test_a_fixed_rate_has_no_budget(key: str) -> None:
    line = f"link.sidelink.{key}: is not used with rate_mbps 6; leave one of the two out"
    assert refused({"sidelink": {"rate_mbps": 6, key: 2}}) == line


@pytest.mark.parametrize("source", ["slots", "contacts"])
def test_without_places_a_distance_is_needed_and_a_range_is_not(source: str) -> None:
    assert refused({"sidelink": {"rate_mbps": 1}}, source) == (
        f"link.sidelink.distance_km: is missing; source '{source}' has no places to take distances "
        "from, so give it, in km, like 0.2"
    )
    assert refused({"sidelink": {"distance_km": 1, "range_km": 2}}, source) == (
        f"link.sidelink.range_km: is not used by source '{source}', which has no geometry; leave "
        "it out"
    )


@pytest.mark.parametrize("source", SEEN)
def test_devices_in_one_place_have_no_distance(source: str) -> None:
    several = {"devices": 3}
    assert refused({"sidelink": {}}, source, several) == (
        "link.sidelink.distance_km: is missing; the devices of cluster 'A' are all in one place; "
        "give it, or that cluster's radius_km or places"
    )
    for link, cluster in (
        ({"rate_mbps": 1}, several),
        ({"distance_km": 0.1}, several),
        ({}, {**several, "radius_km": 2}),
        ({}, {"devices": 1}),
        ({}, {"places": [{"latitude_deg": 48, "longitude_deg": 11}] * 2}),
    ):
        assert of({"sidelink": link}, source, cluster).link.sidelink is not None


def test_a_distance_lies_within_the_range() -> None:
    assert refused({"sidelink": {"distance_km": 3, "range_km": 2}}) == (
        "link.sidelink.distance_km: got 3; beyond range_km 2 nobody has a sidelink; lower it, or "
        "raise range_km"
    )
    assert of({"sidelink": {"distance_km": 2, "range_km": 2}}).link.sidelink is not None


@pytest.mark.parametrize(
    ("key", "wrong", "line"),
    [
        ("rate_mbps", 0, "must be > 0 and <= 1e+06"),
        ("frequency_ghz", -1, "must be > 0 and <= 1000"),
        ("bandwidth_mhz", 0, "must be > 0 and <= 1e+06"),
        ("tx_power_dbm", 301, "must be >= -300 and <= 300"),
        ("path_loss_exponent", 0.5, "must be >= 1 and <= 10"),
        ("reference_distance_m", 0, "must be > 0 and <= 100000"),
        ("noise_figure_db", -1, "must be >= 0 and <= 300"),
        ("other_losses_db", 301, "must be >= 0 and <= 300"),
        ("range_km", 0, "must be > 0 and <= 1000"),
        ("distance_km", -2, "must be > 0 and <= 1000"),
    ],
)
def test_a_value_out_of_range(key: str, wrong: float, line: str) -> None:
    found = refused({"sidelink": {key: wrong}})
    assert found.startswith(f"link.sidelink.{key}: got {wrong}; {line} (")


@pytest.mark.parametrize(
    ("link", "line"),
    [
        ({"sidelink": 5}, "link.sidelink: got 5; must be a mapping of keys"),
        ({"sidelink": {"rate_mbit": 5}}, "did you mean 'rate_mbps'?"),
        ({"relay": "stored"}, "must be one of 'none', 'contact', 'store'"),
        ({"relay": None}, "must be one of 'none', 'contact', 'store'"),
    ],
)
def test_what_is_no_key_or_no_choice(link: dict[str, Any], line: str) -> None:
    assert line in refused(link)
