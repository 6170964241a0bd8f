"""A link that cannot be meant gets one line: the key, the value, and how to mend it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
from tests.kit.every_source import ORBITS, mapping_with

Refusal = Callable[..., str]


def of(link: dict[str, Any], source: str = "circular") -> scenarios.Scenario:
    return scenarios.from_dict({**mapping_with(ORBITS[source]), "link": link})


def refused(link: dict[str, Any], source: str = "circular") -> str:
    with pytest.raises(scenarios.ScenarioError) as caught:
        of(link, source)
    return str(caught.value)


@pytest.mark.parametrize(
    ("uplink", "line"),
    [
        (
            {"rolloff": 0.25},
            "rolloff: is not used with rate 'ergodic'; set rate: modcod",
        ),
        (
            {"outage_probability": 0.01},
            "outage_probability: is not used with rate 'ergodic'; set rate: outage",
        ),
        (
            {"rate": "shannon", "fading": "none"},
            "fading: is not used with rate 'shannon'; leave it out, or set rate: ergodic or outage",
        ),
        (
            {"rate": "modcod", "rician_k_db": 3},
            "rician_k_db: is not used with rate 'modcod'; leave it out, or set rate: ergodic or "
            "outage",
        ),
        (
            {"rate": "fixed", "fixed_rate_mbps": 1, "required_snr_db": 3, "fading": "none"},
            "fading: is not used with rate 'fixed' beside required_snr_db; leave one of the two "
            "out",
        ),
        (
            {"rate": "modcod", "required_snr_db": 3},
            "required_snr_db: is not used with rate 'modcod', whose table says what it requires; "
            "leave it out",
        ),
        (
            {"rate": "outage", "fading": "none"},
            "fading: got 'none', with which nothing fails; rate 'outage' needs rayleigh or rician",
        ),
        (
            {"atmosphere": "itu"},
            "exceedance_pct: is missing; atmosphere 'itu' needs it, in percent of the year, like 1",
        ),
        (
            {"atmosphere": "itu", "exceedance_pct": 1, "zenith_attenuation_db": 1},
            "zenith_attenuation_db: is not used with atmosphere 'itu', which computes it; leave "
            "it out",
        ),
        (
            {"exceedance_pct": 1},
            "exceedance_pct: is not used with atmosphere 'cosecant'; set atmosphere: itu",
        ),
        (
            {"path_gain_db": -150, "atmosphere": "inverse_elevation"},
            "atmosphere: is not used with path_gain_db -150, which holds at every elevation; "
            "leave it out, or give a loss that is always there as other_losses_db",
        ),
        (
            {"bandwidth_mhz": 40},
            "bandwidth_mhz: got 40; must be at most total_bandwidth_mhz, 30",
        ),
        (
            {"delivery": "unicast"},
            "delivery: is not a known key; did you mean 'link.downlink.delivery'?",
        ),
    ],
)
def test_keys_of_one_direction_that_do_not_go_together(uplink: dict[str, Any], line: str) -> None:
    assert refused({"uplink": uplink}) == f"link.uplink.{line}"


@pytest.mark.parametrize(
    ("downlink", "line"),
    [
        (
            {"sharing": "rounds"},
            "sharing: is not used with delivery 'broadcast'; set delivery: unicast",
        ),
        (
            {"total_bandwidth_mhz": 60},
            "total_bandwidth_mhz: is not used with delivery 'broadcast'; set delivery: unicast",
        ),
        (
            {"delivery": "unicast", "bandwidth_mhz": 40},
            "bandwidth_mhz: got 40; must be at most total_bandwidth_mhz, 30",
        ),
        (
            {"delivery": "unicast", "sharing": "equal_share"},
            "sharing: got 'equal_share'; must be one of 'fixed_subchannel', 'rounds' (how unicast "
            "shares the beam: a queue, or turns; equal bandwidths would share the satellite's "
            "power too)",
        ),
    ],
)
def test_a_satellite_sends_to_all_or_in_turns(downlink: dict[str, Any], line: str) -> None:
    assert refused({"downlink": downlink}) == f"link.downlink.{line}"


@pytest.mark.parametrize(
    ("key", "wrong", "line"),
    [
        ("duty", 0, "must be > 0 and <= 1"),
        ("duty", 1.5, "must be > 0 and <= 1"),
        ("outage_probability", 1, "must be >= 1e-09 and <= 0.999"),
        ("rolloff", -0.1, "must be >= 0 and <= 1"),
        ("exceedance_pct", 10, "must be >= 0.001 and <= 5"),
        ("scintillation_loss_db", -1, "must be >= 0 and <= 300"),
        ("required_snr_db", 301, "must be >= -300 and <= 300"),
    ],
)
def test_a_value_out_of_range(key: str, wrong: float, line: str) -> None:
    assert refused({"uplink": {key: wrong}}).startswith(f"link.uplink.{key}: got {wrong}; {line} (")


@pytest.mark.parametrize("wrong", [0, 180, -3])
def test_a_beam_is_narrower_than_half_the_sky(wrong: float) -> None:
    line = f"link.beamwidth_deg: got {wrong}; must be > 0 and < 180 ("
    assert refused({"beamwidth_deg": wrong}).startswith(line)


@pytest.mark.parametrize(
    ("uplink", "downlink", "line"),
    [
        (0.5, None, "uplink.duty: got 0.5; {}link.downlink.duty is 1: set that to 0.5 or less"),
        (None, 0.25, "downlink.duty: got 0.25; {}link.uplink.duty is 1: set that to 0.75 or less"),
        (0.6, 0.7, "uplink.duty: got 0.6; {}link.downlink.duty is 0.7: set that to 0.4 or less"),
        (1, 0.9, "downlink.duty: got 0.9; {}link.uplink.duty is 1: set that to 0.1 or less"),
    ],
)
def test_directions_that_take_turns_have_the_time_once(
    uplink: float | None, downlink: float | None, line: str
) -> None:
    link = {"uplink": {"duty": uplink}, "downlink": {"duty": downlink}}
    turns = "directions that take turns have at most 1 together, and "
    assert refused(link) == f"link.{line.format(turns)}"


@pytest.mark.parametrize(("uplink", "downlink"), [(1, 1), (0.3, 0.7), (0.1, 0.2), (None, 1)])
def test_duties_that_fit(uplink: float | None, downlink: float | None) -> None:
    assert of({"uplink": {"duty": uplink}, "downlink": {"duty": downlink}}).link.preset


@pytest.mark.parametrize("link", [{"preset": "paper"}, {"downlink": "neglected"}])
def test_a_neglected_downlink_takes_no_time_from_the_uplink(link: dict[str, Any]) -> None:
    assert of({**link, "uplink": {"duty": 0.9}}).link.uplink.duty == 0.9


@pytest.mark.parametrize("side", ["uplink", "downlink"])
@pytest.mark.parametrize("frequency_ghz", [0.9, 6.1, 12, 16.9, 40.5])
def test_an_environment_has_tables_for_two_bands(side: str, frequency_ghz: float) -> None:
    link = {"environment": "rural", side: {"frequency_ghz": frequency_ghz}}
    assert refused(link) == (
        f"link.{side}.frequency_ghz: got {frequency_ghz:g}; environment 'rural' has tables for 1 "
        "to 6 and 17 to 40 GHz; choose one of these, or leave link.environment out"
    )
    assert of({side: {"frequency_ghz": frequency_ghz}}).link.environment is None


@pytest.mark.parametrize("frequency_ghz", [1, 2.5, 6, 17, 28.0, 40])
def test_the_bands_include_their_edges(frequency_ghz: float) -> None:
    link = {"environment": "urban", "uplink": {"frequency_ghz": frequency_ghz}}
    assert of(link).link.environment == "urban"


def test_an_environment_has_no_fixed_path_gain() -> None:
    line = (
        "link.environment: got 'urban', but link.{} has path_gain_db {} at every elevation; leave "
        "one of the two out (preset: physical has no path_gain_db)"
    )
    down = {"environment": "urban", "downlink": {"path_gain_db": -150}}
    assert refused(down) == line.format("downlink", -150)
    paper = {"environment": "urban", "preset": "paper"}
    assert refused(paper) == line.format("uplink", -160) + " (and 1 more)"


def test_an_environment_needs_a_rate_that_follows_it() -> None:
    fixed = {"rate": "fixed", "fixed_rate_mbps": 1}
    link = {"environment": "suburban", "uplink": fixed, "downlink": "neglected"}
    assert refused(link) == (
        "link.environment: got 'suburban', but rate 'fixed' does not change with it; give "
        "required_snr_db too, choose another rate, or leave it out"
    )
    assert of({**link, "uplink": {**fixed, "required_snr_db": 1}}).link.environment == "suburban"
    assert of({**link, "downlink": {}}).link.environment == "suburban"


@pytest.mark.parametrize("key", ["shadowing_margin_db", "clutter_loss_db", "rician_k_db"])
@pytest.mark.parametrize("side", ["uplink", "downlink"])
def test_an_environment_brings_its_own_figures(key: str, side: str) -> None:
    assert refused({"environment": "urban", side: {key: 1}}) == (
        f"link.{side}.{key}: is not used with environment 'urban', whose tables stand in its "
        "place; leave it out"
    )


def test_a_misspelt_environment_is_told(refusal: Refusal, circular: str) -> None:
    assert refusal(f"{circular}link:\n  environment: sub-urban\n") == (
        "mine.yaml:12: link.environment: got 'sub-urban'; must be one of 'dense_urban', 'urban', "
        "'suburban', 'rural' (propagation scenario of 3GPP TR 38.811 around the devices; null for "
        "none); did you mean 'suburban'?"
    )


def test_what_is_wrong_is_told_where_it_was_said(refusal: Refusal, circular: str) -> None:
    message = refusal(circular, {"link.uplink.duty": "0.5"})
    assert message.startswith("--set link.uplink.duty: got 0.5;")
    message = refusal(f"{circular}link:\n  uplink:\n    rate: shannon\n    fading: none\n")
    assert message.startswith("mine.yaml:14: link.uplink.fading: is not used with rate 'shannon'")


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "frequency_ghz": st.sampled_from([2, 12, 20.0]),
    "eirp_dbw": st.just(3),
    "tx_power_dbm": st.just(20),
    "tx_gain_dbi": st.just(0),
    "bandwidth_mhz": st.sampled_from([0.1, 40]),
    "total_bandwidth_mhz": st.sampled_from([0.2, 80]),
    "atmosphere": st.sampled_from(["cosecant", "inverse_elevation", "itu"]),
    "zenith_attenuation_db": st.just(0.5),
    "exceedance_pct": st.floats(0.001, 5),
    "scintillation_loss_db": st.just(1),
    "clutter_loss_db": st.just(1),
    "shadowing_margin_db": st.just(1),
    "path_gain_db": st.just(-150),
    "fading": st.sampled_from(["none", "rayleigh", "rician"]),
    "rician_k_db": st.just(5),
    "rate": st.sampled_from(["ergodic", "shannon", "outage", "modcod", "fixed"]),
    "outage_probability": st.just(0.3),
    "rolloff": st.just(0.25),
    "fixed_rate_mbps": st.just(2),
    "required_snr_db": st.just(-4),
    "duty": st.sampled_from([0.5, 1]),
    "sharing": st.sampled_from(["fixed_subchannel", "rounds"]),
}
NAMES = st.lists(st.sampled_from(sorted(VALUES)), max_size=4, unique=True)
SIDE = NAMES.flatmap(lambda names: st.fixed_dictionaries({name: VALUES[name] for name in names}))
ANY_LINK = st.fixed_dictionaries(
    {"preset": st.sampled_from(["paper", "physical"]), "uplink": SIDE},
    optional={
        "downlink": st.just("neglected") | SIDE,
        "environment": st.sampled_from(["urban", "rural"]),
        "cut_transfers": st.sampled_from(["resume", "restart", "drop"]),
    },
)


@settings(max_examples=400)
@given(link=ANY_LINK, source=st.sampled_from(sorted(ORBITS)))
def test_any_link_is_taken_as_it_was_said_or_refused(link: dict[str, Any], source: str) -> None:
    try:
        scenario = of(link, source)
    except scenarios.ScenarioError as error:
        assert str(error).startswith("link.")
        assert len(str(error).splitlines()) == 1
        return
    resolved = scenarios.resolved_link(scenario)
    for side in ("uplink", "downlink"):
        said = link.get(side, {})
        if isinstance(said, dict) and isinstance(resolved[side], dict):
            assert said.items() <= resolved[side].items()
    again = scenarios.from_dict(json.loads(json.dumps(scenario.model_dump(mode="json"))))
    assert again == scenario
    assert scenarios.resolved_link(again) == resolved
