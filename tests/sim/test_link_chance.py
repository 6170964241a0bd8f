"""What chance decides about a link, what it depends on, and the Doppler shift of a contact."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import channel
import orbit
import scenarios
from channel import draw_paths
from learning import stream
from scenarios import Scenario
from tests.kit.learning import Payload, Upload
from tests.kit.network import (
    Plan,
    PlannedContact,
    cluster_sites,
    device_sites,
    make_plan,
    satellites_of,
)
from tests.kit.small import ORBIT, merged
from tests.kit.small import orbit as orbit_scenario
from tests.kit.small import slots as slot_scenario
from tests.kit.talk import Talk, talk

HERE = {"name": "Here", "latitude_deg": 60.0, "longitude_deg": 20.0}
ELSEWHERE = {"name": "Elsewhere", "latitude_deg": -20.0, "longitude_deg": -120.0}
SATELLITE = """\
ONE
1 41917U 17003A   26200.50000000  .00000100  00000-0  30000-4 0  9990
2 41917  86.4000 120.0000 0002000  90.0000 270.0000 14.34216000500000
"""
ANOTHER = SATELLITE.replace("ONE", "TWO").replace("41917", "41918").replace("270.0000", " 90.0000")


def scenario_of(
    name: str | None = "urban",
    devices: int = 3,
    radius_km: float = 30.0,
    seed: int = 3,
    days: float = 1.0,
    others: tuple[dict[str, Any], ...] = (),
    **link: Any,
) -> Scenario:
    here = {**HERE, "devices": devices, "radius_km": radius_km}
    return orbit_scenario(
        seed=seed,
        stop={"days": days},
        ground={"clusters": [here, *({**other, "devices": 2} for other in others)]},
        link={"environment": name, **link},
    )


def mine(plan: Plan) -> list[PlannedContact]:
    return [contact for contact in plan.contacts if contact.cluster.name == "Here"]


def uploads(scenario: Scenario, size: float = 3e6) -> Talk:
    """The same payload in every session of the cluster Here."""
    plan = make_plan(scenario)
    contacts = mine(plan)
    sessions = len(plan.sessions(contacts[0].cluster))
    return talk(contacts, [[Upload(Payload("a", size, n))] for n in range(sessions)], plan=plan)


def rows_of(told: Talk, devices: int = 3) -> list[tuple[Any, ...]]:
    """Rows without the numbers of contacts, which count those of all clusters."""
    rows = told.rows("device", "version", "start_s", "end_s", "delivered_bytes", "outcome")
    return [row for row in rows if row[0] < devices]


def test_another_cluster_leaves_the_transfers_as_they_were() -> None:
    before, after = uploads(scenario_of()), uploads(scenario_of(others=(ELSEWHERE,)))
    assert len(rows_of(before)) > 6
    assert rows_of(before) == rows_of(after)


def test_another_device_leaves_the_others_as_they_were() -> None:
    before, after = (uploads(scenario_of(devices=k, radius_km=0.0)) for k in (3, 4))
    assert rows_of(before) == rows_of(after)
    assert len(rows_of(after, 4)) > len(rows_of(before, 4))


def test_another_satellite_leaves_the_passes_of_the_first_as_they_were() -> None:
    def bytes_of_one(elements: str, **more: str) -> list[tuple[float, list[float]]]:
        orbit = {"source": "tle", "elements": elements, "checksum": "ignore", **more}
        plan = make_plan(
            scenarios.from_dict(
                merged(
                    ORBIT,
                    {
                        "orbit": None,
                        "stop": {"days": 1.0},
                        "link": {"environment": "urban"},
                    },
                )
                | {"orbit": orbit}
            )
        )
        contacts = [c for c in plan.contacts if c.satellite == "ONE"]
        return [(c.rise_s, c.links.capacity_bytes.tolist()) for c in contacts]

    alone = bytes_of_one(SATELLITE)
    assert len(alone) > 6
    assert bytes_of_one(SATELLITE + ANOTHER, serving="any") == alone
    assert bytes_of_one(ANOTHER + SATELLITE, serving="any") == alone


def test_another_seed_is_another_luck() -> None:
    """With a radius of 0 all devices are in one place, whatever the seed."""
    one, other = (uploads(scenario_of(radius_km=0.0, seed=seed)) for seed in (3, 4))
    assert rows_of(one) != rows_of(other)
    bare = {"name": None, "radius_km": 0.0}
    assert rows_of(uploads(scenario_of(seed=3, **bare))) == rows_of(
        uploads(scenario_of(seed=4, **bare))
    )


def test_every_pass_and_device_has_luck_of_its_own() -> None:
    """The draws behind the rates: the named stream of each pass, one row a device."""
    scenario = scenario_of(devices=40, radius_km=0.0)
    contacts = mine(make_plan(scenario))
    seen = [contact.uplink.signal.rician_k_linear.max(axis=1) > 0 for contact in contacts]
    for turn, contact in enumerate(contacts):
        path = drawn(scenario, contact, turn)
        mask_deg, top_deg = 10.0, contact.max_elevation_deg
        chance = channel.propagation_scenario("urban", 2e9).line_of_sight_probability
        assert chance(top_deg) > chance(mask_deg)
        assert (seen[turn] == (path.los_quantile[:, 0] < chance(top_deg))).all()
    assert len({tuple(mask) for mask in seen}) == len(contacts)


def drawn(scenario: Scenario, contact: PlannedContact, turn: int) -> channel.Path:
    name = ("path", contact.cluster.name, contact.satellite, turn)
    return draw_paths(contact.cluster.devices, stream(scenario.seed, *name))


def test_as_many_devices_are_in_sight_as_the_tables_say() -> None:
    """Over all passes, at the culmination: within 4 standard deviations of the binomial law."""
    scenario = scenario_of("dense_urban", devices=300, radius_km=0.0)
    chance = channel.propagation_scenario("dense_urban", 2e9).line_of_sight_probability
    seen, expected, variance = 0, 0.0, 0.0
    for contact in mine(make_plan(scenario)):
        share = float(chance(contact.max_elevation_deg))
        seen += int((contact.uplink.signal.rician_k_linear.max(axis=1) > 0).sum())
        expected += 300 * share
        variance += 300 * share * (1 - share)
    assert abs(seen - expected) < 4 * np.sqrt(variance)


def test_out_of_sight_is_later_or_never() -> None:
    """All devices are in one place; those behind a house have some 30 dB less, give or take 15."""
    scenario = scenario_of("dense_urban", devices=60, radius_km=0.0, uplink={"g_over_t_db_k": 20.0})
    plan = make_plan(scenario)
    [contact] = [c for c in mine(plan) if 25 < c.max_elevation_deg < 50][:1]
    turn = mine(plan).index(contact)
    chance = channel.propagation_scenario("dense_urban", 2e9).line_of_sight_probability
    quantile = drawn(scenario, contact, turn).los_quantile[:, 0]
    always = quantile < chance(10.0)
    never = quantile >= chance(contact.max_elevation_deg)
    assert min(always.sum(), never.sum()) > 5
    steps = [[]] * turn + [[Upload(Payload("a", 2e4))]]
    end_s = talk([contact], steps[turn:]).replies[-1][0].end_s
    assert np.median(end_s[never]) > end_s[always].max()
    capacity = contact.links.capacity_bytes
    assert np.median(capacity[never]) < 0.5 * capacity[always].min()


def test_a_town_is_slower_than_the_country_on_average() -> None:
    names = ("dense_urban", "urban", "suburban", "rural")
    link = {"uplink": {"g_over_t_db_k": 10.0}}
    plans = [make_plan(scenario_of(n, devices=150, radius_km=0.0, **link)) for n in names]
    mean = [np.mean([c.links.capacity_bytes for c in mine(plan)]) for plan in plans]
    assert mean[0] < mean[1] < mean[2]
    assert mean[1] < mean[3]


def test_the_downlink_has_the_luck_of_the_uplink() -> None:
    """One device is behind one house: the same path in both directions."""
    contacts = mine(make_plan(scenario_of(devices=50, radius_km=0.0)))
    for contact in contacts:
        assert contact.downlink is not None
        up, down = contact.uplink.signal, contact.downlink.signal
        assert up is not None and down is not None
        sight = [(signal.rician_k_linear.max(axis=1) > 0).tolist() for signal in (up, down)]
        assert sight[0] == sight[1]


# -- Doppler


@cache
def doppler_plan(radius_km: float) -> tuple[Scenario, Plan]:
    scenario = scenario_of(None, devices=8, radius_km=radius_km)
    return scenario, make_plan(scenario)


def range_rates(scenario: Scenario, places: list[orbit.Site], time_s: np.ndarray) -> np.ndarray:
    [satellite] = satellites_of(scenario)
    return orbit.look_angles(satellite, places, scenario.start, time_s).range_rate_km_s


def test_the_largest_shift_is_at_the_rise_or_the_set() -> None:
    """The range rate grows to both ends of a pass: 40 kHz at 2 GHz."""
    scenario, plan = doppler_plan(50.0)
    centre = cluster_sites(scenario)[0]
    assert len(plan.contacts) > 5
    for contact in plan.contacts:
        ends_s = np.array([contact.rise_s, contact.set_s])
        shift_hz = channel.doppler_hz(range_rates(scenario, [centre], ends_s)[:, 0], 2e9)
        found = contact.links.doppler_hz
        assert found is not None
        assert found[0] == pytest.approx(np.abs(shift_hz).max(), rel=1e-6)
        assert found[0] < 2e9 * 7.6 / 299_792.458
    highest = max(plan.contacts, key=lambda c: c.max_elevation_deg).links.doppler_hz
    assert highest is not None
    assert highest[0] > 40e3


def test_what_is_left_is_the_largest_difference_to_the_centre() -> None:
    """Against all devices at a quarter of a second, while they see the satellite."""
    scenario, plan = doppler_plan(50.0)
    centre, devices = cluster_sites(scenario)[0], list(device_sites(scenario, 0))
    [satellite] = satellites_of(scenario)
    for contact in plan.contacts[:6]:
        time_s = np.arange(contact.rise_s, contact.set_s, 0.25)
        looks = orbit.look_angles(satellite, devices, scenario.start, time_s)
        left = looks.range_rate_km_s - range_rates(scenario, [centre], time_s)
        largest = np.abs(left[looks.elevation_deg >= 10.0]).max()
        found = contact.links.doppler_hz
        assert found is not None
        assert found[1] == pytest.approx(2e9 * largest / 299_792.458, rel=3e-3)
        assert 0 < found[1] < found[0]


def test_devices_at_the_centre_have_no_shift_left() -> None:
    _, plan = doppler_plan(0.0)
    for contact in plan.contacts:
        found = contact.links.doppler_hz
        assert found is not None
        assert found[1] < 1e-5 * found[0]


def test_the_shift_goes_with_the_frequency_and_slots_have_none() -> None:
    double = make_plan(scenario_of(None, devices=8, radius_km=50.0, uplink={"frequency_ghz": 4.0}))
    _, plan = doppler_plan(50.0)
    one, two = plan.contacts[0].links.doppler_hz, double.contacts[0].links.doppler_hz
    assert one is not None and two is not None
    assert two == pytest.approx((2 * one[0], 2 * one[1]), rel=1e-12)
    assert make_plan(slot_scenario()).contacts[0].links.doppler_hz is None
