"""Every key of ``link:`` that a form accepts changes what is put out; and the doubts of a link."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

import channel
import scenarios
import sim
from scenarios import Scenario
from tests.kit.learning import Download, Payload, Upload
from tests.kit.network import Plan, PlannedContact, budget, cluster_radios, make_plan, one_pass
from tests.kit.scenarios import Downlink, Link, Uplink
from tests.kit.small import merged
from tests.kit.small import orbit as orbit_scenario
from tests.kit.small import slots as slot_scenario
from tests.kit.talk import talk

VALUES: dict[str, tuple[Any, ...]] = {
    "frequency_ghz": (2.5,),
    "bandwidth_mhz": (0.25,),
    "total_bandwidth_mhz": (60.0, 1.5),
    "tx_power_dbm": (25.0,),
    "tx_gain_dbi": (2.0,),
    "eirp_dbw": (30.0,),
    "rx_gain_dbi": (35.0,),
    "noise_figure_db": (1.5,),
    "antenna_temperature_k": (200.0,),
    "g_over_t_db_k": (2.0,),
    "other_losses_db": (0.5,),
    "atmosphere": ("inverse_elevation", "cosecant"),
    "zenith_attenuation_db": (0.2,),
    "exceedance_pct": (5.0,),
    "scintillation_loss_db": (1.0,),
    "clutter_loss_db": (1.0,),
    "shadowing_margin_db": (1.0,),
    "path_gain_db": (-155.0,),
    "fading": ("rayleigh", "rician"),
    "rician_k_db": (3.0,),
    "rate": ("ergodic", "shannon", "modcod"),
    "outage_probability": (0.01,),
    "rolloff": (0.35,),
    "fixed_rate_mbps": (0.3,),
    "required_snr_db": (-2.0,),
    "duty": (0.25,),
    "sharing": ("rounds", "fixed_subchannel", "equal_share"),
    "delivery": ("unicast", "broadcast"),
}
"""Values of each key; the ones that a form has already change nothing and are passed over."""

SIDES: dict[str, dict[str, Any]] = {
    "plain": {},
    "parts": {
        "tx_power_dbm": 24.0, "tx_gain_dbi": 1.0,
        "rx_gain_dbi": 34.0, "noise_figure_db": 2.0, "antenna_temperature_k": 290.0,
    },
    "figures": {"eirp_dbw": 20.0, "g_over_t_db_k": 0.5},
    "no fading": {"fading": "none"},
    "no lock": {"required_snr_db": -300.0},
    "shannon": {"rate": "shannon"},
    "outage": {"rate": "outage"},
    "outage rayleigh": {"rate": "outage", "fading": "rayleigh"},
    "modcod": {"rate": "modcod"},
    "fixed": {"rate": "fixed", "fixed_rate_mbps": 0.2},
    "fixed that locks": {"rate": "fixed", "fixed_rate_mbps": 0.2, "required_snr_db": -5.0},
    "air of the paper": {"atmosphere": "inverse_elevation"},
    "path gain": {"path_gain_db": -158.0},
    "turns": {"sharing": "rounds"},
    "equal shares": {"sharing": "equal_share"},
    "unicast": {"delivery": "unicast", "bandwidth_mhz": 0.75, "total_bandwidth_mhz": 0.75},
    "unicast turns": {
        "delivery": "unicast", "bandwidth_mhz": 0.75, "total_bandwidth_mhz": 0.75,
        "sharing": "rounds",
    },
}  # fmt: skip
FEWER = {
    "country": ("plain", "parts", "outage", "modcod", "fixed that locks", "unicast"),
    "slots": ("plain", "parts", "fixed that locks", "turns", "unicast"),
    "slots of the paper": ("plain", "figures", "shannon", "outage", "modcod", "unicast turns"),
}
"""Forms that are tried beside those of the first source."""
UNDER: dict[str, tuple[Callable[..., Scenario], dict[str, Any]]] = {
    "sky": (orbit_scenario, {}),
    "country": (orbit_scenario, {"environment": "rural"}),
    "slots": (slot_scenario, {"preset": "physical"}),
    "slots of the paper": (slot_scenario, {"preset": "paper"}),
}
Form = tuple[str, str, str]
"""Where, on which side, and which keys."""


def scenario_of(form: Form, **more: Any) -> Scenario:
    """A short scenario with a beam that is crowded in both directions."""
    where, side, name = form
    make, about = UNDER[where]
    uplink: dict[str, Any] = {"duty": 0.5}
    downlink: dict[str, Any] = {"duty": 0.5}
    if where == "slots":
        uplink |= {"rate": "fixed", "fixed_rate_mbps": 0.5}
        downlink |= {"rate": "fixed", "fixed_rate_mbps": 9.0}
    if where == "slots of the paper":
        downlink |= {"path_gain_db": -150.0}
    link = merged(about, {"uplink": uplink, "downlink": downlink})
    link = merged(link, {side: merged(SIDES[name], more)})
    if "total_bandwidth_mhz" not in link["uplink"]:
        width = link["uplink"].get("bandwidth_mhz", 5.0 if "paper" in where else 0.36)
        link["uplink"]["total_bandwidth_mhz"] = 2 * width
    if make is slot_scenario:
        return make(
            stop={"cycles": 1}, ground={"clusters": [{"name": "A", "devices": 4}]}, link=link
        )
    place = {"latitude_deg": 60.0, "longitude_deg": 20.0}
    clusters = [{"name": "A", **place, "devices": 4, "radius_km": 60.0}]
    return make(stop={"days": 0.02}, ground={"clusters": clusters}, link=link)


def outputs(scenario: Scenario) -> Iterator[Any]:
    """What a user sees of a link, the cheapest first."""
    yield budget(scenario)
    plan = make_plan(scenario)
    yield plan.doubts
    if scenario.orbit.source == "circular":
        yield one_pass(scenario, 0)
    steps = [Download(Payload("m", 3e5)), Upload(Payload("a", 2e5))]
    yield talk(plan.contacts, [steps], plan=plan).rows("device", "direction", "start_s", "end_s")


def the_same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(the_same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray) and one.dtype.kind == "f":
        return np.array_equal(one, other, equal_nan=True)
    return bool(np.array_equal(np.asarray(one, object), np.asarray(other, object)))


@cache
def plain_outputs(form: Form) -> list[Any]:
    return list(outputs(scenario_of(form)))


def accepted(form: Form) -> bool:
    try:
        scenario_of(form)
    except ValueError:
        return False
    return True


FORMS = [
    form
    for where in UNDER
    for side in ("uplink", "downlink")
    for name in FEWER.get(where, SIDES)
    if accepted(form := (where, side, name))
]


def changes(form: Form, key: str) -> Iterator[tuple[Any, bool]]:
    """Values of a key that a form accepts, and whether each changes any output."""
    has = getattr(getattr(scenario_of(form).link, form[1]), key, None)
    for value in VALUES[key]:
        if value == has:
            continue
        try:
            scenario = scenario_of(form, **{key: value})
        except ValueError as error:
            assert "link" in str(error)
            continue
        pairs = zip(plain_outputs(form), outputs(scenario), strict=False)
        yield value, any(not the_same(one, other) for one, other in pairs)


def is_default(form: Form, key: str, value: Any) -> bool:
    """Whether a form without the key has this value anyway."""
    side = scenarios.resolved_link(scenario_of(form))[form[1]]
    return side.get(key) == value


def as_good_as_another(form: Form, key: str, value: Any) -> bool:
    """With a rate that is fixed, equal bandwidths and turns give everybody the same."""
    side = scenarios.resolved_link(scenario_of(form))[form[1]]
    both = {value, side.get("sharing")} == {"rounds", "equal_share"}
    return key == "sharing" and both and side["rate"] == "fixed"


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(form))
def test_every_key_that_a_form_accepts_changes_something(form: Form) -> None:
    idle = [
        (key, value)
        for key in VALUES
        for value, changed in changes(form, key)
        if not (changed or is_default(form, key, value) or as_good_as_another(form, key, value))
    ]
    assert not idle


@pytest.mark.parametrize(
    ("side", "key"),
    [("uplink", key) for key in Uplink.model_fields]
    + [("downlink", key) for key in Downlink.model_fields],
)
def test_every_key_is_accepted_by_some_form(side: str, key: str) -> None:
    """So that the test above is about it; ``exceedance_pct`` has one of its own."""
    forms = [form for form in FORMS if form[1] == side]
    with_itu = key == "exceedance_pct"
    assert any(takes(form, key) for form in forms) != with_itu


def takes(form: Form, key: str) -> bool:
    for value in VALUES[key]:
        try:
            scenario_of(form, **{key: value})
        except ValueError:
            continue
        return True
    return False


@pytest.mark.parametrize("side", [Uplink, Downlink])
def test_every_key_of_the_schema_has_values_here(side: type[Uplink] | type[Downlink]) -> None:
    assert set(side.model_fields) <= set(VALUES)
    assert set(VALUES) == set(Uplink.model_fields) | set(Downlink.model_fields)


def test_the_forms_cover_all_sources_and_both_sides() -> None:
    assert {where for where, _, _ in FORMS} == set(UNDER)
    for name in SIDES:
        assert [form for form in FORMS if form[2] == name]


@pytest.mark.parametrize("side", ["uplink", "downlink"])
def test_the_air_of_the_itu_and_its_exceedance(side: str) -> None:
    pytest.importorskip("itur")
    form = ("sky", side, "plain")
    tables = [budget(scenario_of(form))[side]]
    for exceedance_pct in (1.0, 0.05):
        air = {"atmosphere": "itu", "exceedance_pct": exceedance_pct, "frequency_ghz": 12.0}
        tables.append(budget(scenario_of(form, **air))[side])
    plain, often, seldom = tables
    assert "rain_loss_db" not in plain
    assert (seldom["rain_loss_db"] > often["rain_loss_db"]).all()
    assert (seldom["snr_db"] < often["snr_db"]).all()


# -- the keys of the link itself

WIDE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "preset": ({}, {"preset": "paper"}),
    "environment": ({}, {"environment": "urban"}),
    "beamwidth_deg": ({"beamwidth_deg": 2.0}, {"beamwidth_deg": 1.5}),
    "cut_transfers": (
        {"uplink": {"rate": "fixed", "fixed_rate_mbps": 5e-6}},
        {"uplink": {"rate": "fixed", "fixed_rate_mbps": 5e-6}, "cut_transfers": "drop"},
    ),
    "uplink": ({}, {"uplink": {"other_losses_db": 1.0}}),
    "downlink": ({}, {"downlink": "neglected"}),
}


def run_of(link: dict[str, Any]) -> tuple[Any, ...]:
    quick = {"stop": {"days": 0.5}, "learning": {"train": False}}
    result = sim.run(orbit_scenario(link=link, **quick))
    rows = result.transfers[["direction", "start_s", "end_s", "outcome"]].to_numpy().tolist()
    return rows, result.manifest["warnings"]


@pytest.mark.parametrize("key", list(WIDE))
def test_every_key_of_the_whole_link_changes_a_run(key: str) -> None:
    before, after = WIDE[key]
    assert run_of(before) != run_of(after)


def test_every_key_of_the_whole_link_has_a_row_here() -> None:
    between_devices = {"sidelink", "relay"}  # for methods that send: test_sidelinks, test_relays
    assert set(WIDE) | between_devices == set(Link.model_fields)


# -- doubts

RADIUS_KM = 60.0


def doubts_of(radius_km: float = RADIUS_KM, **link: Any) -> list[str]:
    """Doubts of a day over one cluster that are about its link."""
    place = {"latitude_deg": -40.693186649, "longitude_deg": -130.256454933}
    clusters = [{"name": "A", **place, "devices": 30, "radius_km": radius_km}]
    plan = make_plan(orbit_scenario(stop={"days": 0.6}, ground={"clusters": clusters}, link=link))
    return [doubt for doubt in plan.doubts if "beam" in doubt or "link." in doubt]


def footprint_km(width_deg: float) -> float:
    """On the ground below the satellite, 619 km away."""
    return 2 * 618.6 * np.tan(np.radians(width_deg / 2))


def test_a_cluster_wider_than_the_beam_is_a_doubt() -> None:
    [doubt] = doubts_of(beamwidth_deg=4.0)
    assert doubt.startswith("cluster A is 1")
    assert f"beam of 4 deg lights {footprint_km(4.0):.0f} km" in doubt
    assert "(619 km)" in doubt
    spread_km = float(doubt.split()[3])
    assert 0.8 * 2 * RADIUS_KM < spread_km <= 2 * RADIUS_KM
    # It is a doubt exactly where the beam is narrower than the devices are apart.
    edge_deg = brentq(lambda width: footprint_km(width) - spread_km, 1.0, 60.0)
    assert doubts_of(beamwidth_deg=edge_deg * 0.99)
    assert not doubts_of(beamwidth_deg=edge_deg * 1.01)


def test_the_beam_follows_from_the_satellites_gain() -> None:
    """40 dBi is a dish of 41.1 wavelengths at 60 %: a beam of 70 / 41.1 = 1.70 degrees, 18 km."""
    parts = {"rx_gain_dbi": 40.0, "noise_figure_db": 0.0, "antenna_temperature_k": 290.0}
    [doubt] = doubts_of(uplink=parts)
    assert f"beam of 1.7 deg lights {footprint_km(1.703):.0f} km" in doubt
    assert not doubts_of(4.0, uplink=parts)
    [down] = doubts_of(downlink={"tx_power_dbm": 40.0, "tx_gain_dbi": 40.0})
    assert down == doubt
    [given] = doubts_of(uplink=parts, beamwidth_deg=2.0)
    assert "beam of 2 deg" in given


def test_the_physical_preset_has_the_beam_of_its_satellite() -> None:
    [doubt] = doubts_of(300.0)
    assert f"beam of 4.4 deg lights {footprint_km(4.4127):.0f} km" in doubt


def test_a_cluster_that_is_never_seen_is_no_matter_for_the_beam() -> None:
    assert not doubts_of(0.0, beamwidth_deg=0.5)


def shannon_db(bits_per_hz: float) -> float:
    return float(10 * np.log10(2**bits_per_hz - 1))


def test_a_fixed_rate_beyond_the_capacity_is_a_doubt() -> None:
    """Without fading the rate needs 2^(R/B) - 1; the link has its SNR where it is strongest."""
    plain = {"rate": "fixed", "fading": "none", "required_snr_db": None}
    loud = {**plain, "fixed_rate_mbps": 3.6}
    [doubt] = doubts_of(0.0, uplink=loud)
    losses_db = 0.035 + 2.2 + 3.0
    best_db = channel.carrier_to_noise_db(-7.0, 1.1, 0.36e6, 2e9, 618.6e3, losses_db)
    lacks_db = shannon_db(10.0) - float(best_db)
    assert f"link.uplink: the fixed rate needs {lacks_db:.1f} dB more" in doubt
    assert f"{float(best_db):.1f} dB of SNR" in doubt
    enough = 0.36 * np.log2(1 + 10 ** (float(best_db) / 10))
    assert doubts_of(0.0, uplink={**plain, "fixed_rate_mbps": 1.01 * enough})
    assert not doubts_of(0.0, uplink={**plain, "fixed_rate_mbps": 0.99 * enough})


@pytest.mark.parametrize("rate", [{"rate": "fixed", "fixed_rate_mbps": 0.01}, {"rate": "shannon"}])
def test_a_lock_that_is_never_reached_is_a_doubt(rate: dict[str, Any]) -> None:
    best_db = channel.carrier_to_noise_db(-7.0, 1.1, 0.36e6, 2e9, 618.6e3, 0.035 + 2.2 + 3.0)
    [doubt] = doubts_of(0.0, uplink={**rate, "required_snr_db": 30.0})
    lacks = f"{30.0 - float(best_db):.1f} dB less than the receiver needs (over A)"
    assert doubt.startswith("link.uplink: nothing gets through") and doubt.endswith(lacks)


def test_a_threshold_does_not_hide_that_a_fixed_rate_is_too_high() -> None:
    loud = {"rate": "fixed", "fixed_rate_mbps": 50.0, "required_snr_db": -10.0}
    [doubt] = doubts_of(0.0, uplink=loud)
    assert doubt.startswith("link.uplink: the fixed rate needs ")


def test_a_fixed_downlink_is_doubted_by_itself() -> None:
    [doubt] = doubts_of(0.0, downlink={"rate": "fixed", "fixed_rate_mbps": 5000.0})
    assert doubt.startswith("link.downlink: the fixed rate needs ")


def test_the_papers_rate_is_no_doubt_and_doubts_are_warnings_of_a_run() -> None:
    plan: Plan = make_plan(slot_scenario())
    assert not [doubt for doubt in plan.doubts if "fixed" in doubt]
    beyond = {"uplink": {"fixed_rate_mbps": 50.0}}
    result = sim.run(slot_scenario(stop={"cycles": 1}, link=beyond, learning={"train": False}))
    assert [w for w in result.manifest["warnings"] if "link.uplink: the fixed rate needs" in w]


def spread_out(*degrees: float, **more: Any) -> dict[str, Any]:
    """Two days over a cluster on a meridian whose devices are so far north of its centre."""
    north = [{"latitude_deg": -40.0 + d, "longitude_deg": -130.0} for d in degrees]
    cluster = {"name": "A", "latitude_deg": -40.0, "longitude_deg": -130.0, "places": north}
    return {"stop": {"days": 1}, "ground": {"clusters": [cluster]}, **more}


@pytest.mark.parametrize("degrees", [(0.3, -0.1), (-0.3, 0.1), (0.3, -0.3), (0.05, 0.3, 0.1)])
def test_the_beam_is_held_against_twice_the_farthest_device(degrees: tuple[float, ...]) -> None:
    """A degree of the Earth's circle of 6371 km is 111.19 km."""
    width_km = 2 * 0.3 * np.pi / 180 * 6371.0
    plan = make_plan(orbit_scenario(**spread_out(*degrees)))
    nearest_km = highest(plan)["A"].min_slant_range_km
    exact_deg = 2 * float(np.degrees(np.arctan(width_km / 2 / nearest_km)))
    for factor, said in ((0.999, 1), (1.001, 0)):
        link = {"beamwidth_deg": exact_deg * factor}
        doubts = make_plan(orbit_scenario(**spread_out(*degrees, link=link))).doubts
        wide = [doubt for doubt in doubts if "beam" in doubt]
        assert len(wide) == said
        assert all(f"cluster A is {width_km:.0f} km wide" in doubt for doubt in wide)


def highest(plan: Plan) -> dict[str, PlannedContact]:
    """The contact of each cluster in which a satellite stands highest."""
    rising = sorted(plan.contacts, key=lambda contact: contact.max_elevation_deg)
    return {contact.cluster.name: contact for contact in rising}


@pytest.mark.parametrize("gain_dbi", [0.0, -3.0, -20.0])
def test_an_antenna_without_gain_has_no_beam_that_could_be_too_narrow(gain_dbi: float) -> None:
    """The formula of a dish would give such a one more than half of the sky, or all of it."""
    parts = {"rx_gain_dbi": gain_dbi, "noise_figure_db": 0.0, "antenna_temperature_k": 290.0}
    strong = {**parts, "tx_power_dbm": 50.0, "tx_gain_dbi": 20.0}
    for downlink in ("neglected", {"tx_power_dbm": 40.0, "tx_gain_dbi": gain_dbi}):
        link = {"uplink": strong, "downlink": downlink}
        assert not doubts_of(400.0, **link)
    # The other direction's gain still counts.
    [doubt] = doubts_of(400.0, uplink=strong, downlink={"tx_power_dbm": 40.0, "tx_gain_dbi": 40.0})
    assert "beam of 1.7 deg" in doubt


def over_two_clusters(**uplink: Any) -> Plan:
    """Some hours in which one of two clusters is seen much better than the other."""
    link = {"preset": "physical", "uplink": {"rate": "shannon", **uplink}}
    return make_plan(orbit_scenario(stop={"days": 0.5}, link=link))


def best_snr_db() -> dict[str, float]:
    """Of each cluster where its satellite stands highest, by the terms of the preset."""
    return {
        name: float(
            channel.carrier_to_noise_db(
                -7.0,
                1.1,
                0.36e6,
                2e9,
                contact.min_slant_range_km * 1e3,
                0.035 / np.sin(np.radians(contact.max_elevation_deg)) + 2.2 + 3.0,
            )
        )
        for name, contact in highest(over_two_clusters()).items()
    }


def weak_lines(plan: Plan) -> list[str]:
    return [doubt for doubt in plan.doubts if "nothing gets through" in doubt]


def test_a_link_that_is_too_weak_over_one_cluster_names_that_one() -> None:
    best_db = best_snr_db()
    weak, strong = sorted(best_db, key=best_db.__getitem__)
    assert best_db[strong] - best_db[weak] > 0.5
    between_db = (best_db[strong] + best_db[weak]) / 2
    [doubt] = weak_lines(over_two_clusters(required_snr_db=between_db))
    assert doubt.endswith(f"than the receiver needs (over {weak})")
    assert f"the SNR is {best_db[weak]:.1f} dB at its best" in doubt
    assert f"{between_db - best_db[weak]:.1f} dB less" in doubt
    assert not weak_lines(over_two_clusters(required_snr_db=best_db[weak] - 0.1))


def test_a_dead_link_is_told_of_over_every_cluster() -> None:
    need_db = 60.0
    doubts = weak_lines(over_two_clusters(required_snr_db=need_db))
    said = {doubt.split("(over ")[1].rstrip(")") for doubt in doubts}
    assert {name for names in said for name in names.split(", ")} == {"North", "South"}
    assert all(doubt.startswith("link.uplink: ") for doubt in doubts)


def test_a_link_that_is_dead_in_the_same_way_everywhere_is_told_of_once() -> None:
    """A path gain of its own holds over every cluster."""
    link = {"preset": "paper", "uplink": {"rate": "shannon", "required_snr_db": 60.0}}
    [doubt] = weak_lines(make_plan(slot_scenario(link=link)))
    assert doubt.endswith("(over A, B)")


def test_rain_makes_a_link_too_weak_over_the_cluster_that_has_it() -> None:
    """ITU-R's air is that above each cluster: with a threshold in between only one is named."""
    pytest.importorskip("itur")
    air = {"atmosphere": "itu", "exceedance_pct": 0.01, "frequency_ghz": 14.0}
    places = {"Dry": (75.0, 20.0), "Wet": (0.0, 110.0)}
    clusters = [
        {"name": name, "latitude_deg": latitude_deg, "longitude_deg": longitude_deg, "devices": 2}
        for name, (latitude_deg, longitude_deg) in places.items()
    ]

    def plan(required_snr_db: float) -> Plan:
        up = {**air, "rate": "shannon", "required_snr_db": required_snr_db}
        two = {"stop": {"days": 1}, "ground": {"clusters": clusters}}
        return make_plan(orbit_scenario(**two, link={"uplink": up}))

    weak = plan(60.0)
    snr_db = {line.split("over ")[1][:-1]: float(line.split()[7]) for line in weak_lines(weak)}
    for name, contact in highest(weak).items():
        above = channel.itu_attenuation(*places[name], 0.0, 14e9, 0.01)
        elevation_deg = contact.max_elevation_deg
        losses_db = above.gas_loss_db(elevation_deg) + above.rain_loss_db(elevation_deg) + 5.2
        range_m = contact.min_slant_range_km * 1e3
        best_db = channel.carrier_to_noise_db(-7.0, 1.1, 0.36e6, 14e9, range_m, losses_db)
        assert snr_db[name] == pytest.approx(float(best_db), abs=0.051)
    [line] = weak_lines(plan((snr_db["Wet"] + snr_db["Dry"]) / 2))
    assert line.endswith("(over Wet)")


# -- what is beyond all radios


@pytest.mark.parametrize("side", ["uplink", "downlink"])
def test_a_link_beyond_all_radios_is_refused_by_its_side_with_what_to_check(side: str) -> None:
    """Where it is strongest: overhead at 160 km, the lowest orbit that a scenario can make."""
    plain = {"g_over_t_db_k": 0.0, "other_losses_db": 0.0, "zenith_attenuation_db": 0.0,
             "shadowing_margin_db": 0.0, "scintillation_loss_db": 0.0, "frequency_ghz": 2.0,
             "bandwidth_mhz": 0.36, "total_bandwidth_mhz": 0.36}  # fmt: skip
    if side == "downlink":
        del plain["total_bandwidth_mhz"]
    at_0_dbw = float(channel.carrier_to_noise_db(0.0, 0.0, 0.36e6, 2e9, 160e3, 0.0))

    def radios(snr_db: float) -> Any:
        link = {side: {**plain, "eirp_dbw": snr_db - at_0_dbw}}
        return cluster_radios(orbit_scenario(link=link))

    assert len(radios(119.99)) == 2
    with pytest.raises(sim.InputError) as caught:
        radios(120.51)
    said = str(caught.value)
    assert said.startswith(f"link.{side}: the SNR is 121 dB overhead; allowed is at most 120 dB")
    assert all(word in said for word in ("check", "power", "gains", "path_gain_db", "units"))
    with pytest.raises(sim.InputError, match=f"link.{side}: the SNR is 120 dB"):
        radios(120.01)


# -- the bands of the environments

EDGES_GHZ = [
    at for edge in (1.0, 6.0, 17.0, 40.0)
    for at in (np.nextafter(edge, 0.0), edge, np.nextafter(edge, np.inf))
]  # fmt: skip


@pytest.mark.parametrize("side", ["uplink", "downlink"])
@pytest.mark.parametrize("frequency_ghz", [*map(float, EDGES_GHZ), 3.0, 11.0, 30.0])
def test_both_rooms_have_the_same_bands(frequency_ghz: float, side: str) -> None:
    """What the scenario lets through has tables, and what has tables is let through."""
    link = {"environment": "urban", side: {"frequency_ghz": frequency_ghz}}
    try:
        channel.propagation_scenario("urban", frequency_ghz * 1e9)
    except ValueError:
        with pytest.raises(ValueError, match=rf"link\.{side}\.frequency_ghz.*has tables for"):
            orbit_scenario(link=link)
    else:
        assert len(cluster_radios(orbit_scenario(link=link))) == 2


def test_the_edges_lie_on_both_sides_of_the_bands() -> None:
    """The environment has S from 1 to 6 and Ka from 17 to 40 GHz, its edges included."""
    inside = [f for f in EDGES_GHZ if 1.0 <= f <= 6.0 or 17.0 <= f <= 40.0]
    assert len(inside) == 8
    for frequency_ghz in inside:
        assert channel.propagation_scenario("urban", frequency_ghz * 1e9).name == "urban"
