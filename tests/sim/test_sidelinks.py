"""Messages between devices: closed forms, the queue of each link, and the books of their bytes."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
import sim
from tests.kit.learning import All, Cluster, Node, Reach, Send, Wait
from tests.kit.network import build, sidelinks_of
from tests.kit.scripted import B0, B1, B2, SCRIPTED, ground, only, play, sent
from tests.kit.small import orbit, slots

LIGHT_M_S = 299_792_458.0


@pytest.mark.parametrize("size", [1.0, 40.0, 2048.0, 1e6])
@pytest.mark.parametrize("rate_mbps", [0.05, 1.0, 54.0])
@pytest.mark.parametrize("distance_km", [0.001, 0.3, 25.0])
def test_one_message_on_an_idle_link(size: float, rate_mbps: float, distance_km: float) -> None:
    arrivals = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield Wait(17.25)
        arrivals.append((yield sent(B0, B2, size)))

    result = play(ground(rate_mbps, distance_km), only("B", script))
    expected = 17.25 + size * 8 / (rate_mbps * 1e6) + distance_km * 1000 / LIGHT_M_S
    assert arrivals[0].delivered
    assert arrivals[0].time_s == pytest.approx(expected, rel=1e-15)
    row = result.transfers.iloc[0].to_dict()
    assert math.isnan(row.pop("contact_id"))
    assert row == {
        "transfer_id": 0,
        "cluster": "B",
        "device": 0,
        "peer": "B/2",
        "direction": "sidelink",
        "payload": "feature",
        "version": 0,
        "payload_bytes": size,
        "delivered_bytes": size,
        "start_s": 17.25,
        "end_s": arrivals[0].time_s,
        "outcome": "delivered",
    }


def test_two_messages_on_one_link_and_two_on_two_links() -> None:
    """The second one on the link waits; the way back and other devices have links of their own."""
    times = []

    def one(message: Send) -> Generator[Any, Any, float]:
        return (yield message).time_s

    def script(me: Cluster) -> Generator[Any, Any, None]:
        ways = [(B0, B1), (B0, B1), (B1, B0), (B0, B2)]
        times.extend((yield All(tuple(one(sent(*way, 125_000)) for way in ways))))

    play(ground(distance_km=3.0), only("B", script))
    delay_s = 3000 / LIGHT_M_S
    assert times == pytest.approx([1 + delay_s, 2 + delay_s, 1 + delay_s, 1 + delay_s], rel=1e-15)


MESSAGES = st.lists(
    st.tuples(
        st.floats(0, 50).map(lambda t: round(t, 3)),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(0, 200_000),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(MESSAGES)
def test_the_queue_is_that_of_a_second_implementation(messages: list[Any]) -> None:
    """Lindley's recursion for each directed link, in order of arrival."""
    found: dict[int, float] = {}

    def one(number: int, at_s: float, source: int, target: int, size: int) -> Any:
        yield Wait(at_s)
        arrival = yield sent(Node("B", source), Node("B", target), size)
        found[number] = arrival.time_s

    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield All(tuple(one(n, *message) for n, message in enumerate(messages)))

    result = play(ground(distance_km=1.5), only("B", script))
    waited: dict[tuple[int, int], tuple[float, float]] = {}
    for number in sorted(range(len(messages)), key=lambda n: (messages[n][0], n)):
        at_s, source, target, size = messages[number]
        expected_s = at_s
        if source != target:
            last_at_s, behind_s = waited.get((source, target), (at_s, 0.0))
            queue_s = max(behind_s - (at_s - last_at_s), 0.0)
            service_s = size * 8 / 1e6
            waited[source, target] = at_s, queue_s + service_s
            expected_s = at_s + queue_s + service_s + 1500 / LIGHT_M_S
        assert found[number] == pytest.approx(expected_s, rel=1e-9, abs=1e-9)
    between = [size for _, source, target, size in messages if source != target]
    assert result.summary["sidelink_bytes"] == sum(between)
    books = result.manifest["books"]["sidelink"]
    assert books["offered_bytes"] == books["delivered_bytes"] == books["sent_bytes"] == sum(between)
    rows = result.transfers
    lasted = (rows.end_s - rows.start_s).to_numpy()
    assert (lasted > 0).all() if len(rows) else True


def test_what_is_for_oneself_is_there_at_once_and_leaves_no_row() -> None:
    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield Wait(5.0)
        arrival = yield sent(B1, B1, 1e9)
        assert (arrival.delivered, arrival.time_s) == (True, 5.0)

    assert not len(play(ground(), only("B", script)).transfers)


def test_without_sidelinks_nobody_is_reached() -> None:
    def script(me: Cluster) -> Generator[Any, Any, None]:
        arrival = yield sent(B0, B1, 10)
        assert (arrival.delivered, arrival.time_s, arrival.reason) == (False, 0.0, "no relay")
        reach = yield Reach()
        assert np.array_equal(reach, np.eye(5, dtype=bool)[2:])

    result = play(slots(learning=SCRIPTED), only("B", script))
    drops = result.events[result.events.kind == "drop"]
    assert drops.detail.tolist() == ["feature to B/1: no relay"]


def test_a_sidelink_ends_at_the_cluster_without_places() -> None:
    def script(me: Cluster) -> Generator[Any, Any, None]:
        arrival = yield sent(B0, Node("A", 1), 10)
        assert (arrival.delivered, arrival.reason) == (False, "out of range")
        reach = yield Reach()
        assert np.array_equal(reach, [[False, False, True, True, True]] * 3)

    play(ground(), only("B", script))


def test_what_the_end_of_the_run_cuts_off() -> None:
    """Half of a message of 200 s is through, and the one behind it has not begun."""

    def late(size: float) -> Generator[Any, Any, Any]:
        yield Wait(4700.0)
        return (yield sent(B0, B1, size))

    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield All((late(25e6), late(8.0)))

    result = play(ground(), only("B", script))
    assert result.manifest["simulated_s"] == 4800.0
    row = result.transfers.iloc[0]
    assert (row.outcome, row.delivered_bytes, row.end_s) == ("carried", 12.5e6, 4800.0)
    assert len(result.transfers) == 1
    books = result.manifest["books"]["sidelink"]
    assert (books["offered_bytes"], books["carried_bytes"]) == (25e6 + 8, 25e6 + 8)
    assert (books["sent_bytes"], books["unfinished_bytes"]) == (12.5e6, 12.5e6)
    air_s = sum(row["air_s"] for row in result.manifest["energy"])
    assert air_s == pytest.approx(100.0, rel=1e-12)


def test_a_message_of_no_bytes_may_wait_its_turn_when_the_run_ends() -> None:
    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield Wait(4700.0)
        yield All(tuple(at_once(sent(B0, B1, size)) for size in (25e6, 0.0)))

    def at_once(message: Send) -> Generator[Any, Any, Any]:
        return (yield message)

    result = play(ground(), only("B", script))
    assert result.transfers.delivered_bytes.tolist() == [12.5e6]
    assert result.manifest["books"]["sidelink"]["unfinished_bytes"] == 12.5e6


def test_energy_counts_the_time_on_air() -> None:
    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield sent(B0, B1, 125_000)
        yield sent(B2, B1, 250_000)

    sidelink = {"rate_mbps": 1, "distance_km": 0.1, "tx_power_dbm": 23}
    result = play(slots(learning=SCRIPTED, link={"sidelink": sidelink}), only("B", script))
    spent = {row["cluster"]: row for row in result.manifest["energy"]}
    assert spent["B"]["air_s"] == pytest.approx(3.0, rel=1e-12)
    assert spent["B"]["transmit_j"] == pytest.approx(3.0 * 10**-0.7, rel=1e-12)
    assert spent["A"]["air_s"] == 0.0


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (sent(B0, Node("C", 0), 1), r"node 'C/0': no cluster is called so; there are A, B"),
        (sent(B0, Node("B", 3), 1), r"node 'B/3': the devices of B are 0 to 2"),
        (sent(Node("B", -1), B0, 1), r"node 'B/-1': the devices of B are 0 to 2"),
        (sent(B0, B1, -1.0), r"payload 'feature' has -1.0 bytes; allowed is one number"),
        (sent(B0, B1, math.nan), r"payload 'feature' has nan bytes; allowed is one number"),
        (sent(B0, B1, math.inf), r"payload 'feature' has inf bytes; allowed is one number"),
    ],
)
def test_what_cannot_be_sent(message: Send, line: str) -> None:
    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield message

    with pytest.raises(sim.SimulationError, match=line):
        play(ground(), only("B", script))


# -- over real ground


def real(**sidelink: Any) -> scenarios.Scenario:
    north = {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "devices": 3}
    south = {"name": "South", "latitude_deg": -35, "longitude_deg": 150, "devices": 1}
    clusters = [{**north, "radius_km": 60}, south]
    return orbit(learning=SCRIPTED, link={"sidelink": sidelink}, ground={"clusters": clusters})


def far_km(one: Any, other: Any) -> float:
    """Angle between two places by their vectors, not by the haversine."""
    vectors = []
    for site in (one, other):
        north, east = math.radians(site.latitude_deg), math.radians(site.longitude_deg)
        vectors.append(
            (math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north))
        )
    cross = np.linalg.norm(np.cross(*vectors))
    return 6371.0 * math.atan2(cross, float(np.dot(*vectors)))


def test_the_rate_follows_from_the_distance_of_the_places() -> None:
    """Each figure is worked out here anew, in numbers and not in decibels."""
    scenario = real(frequency_ghz=2.4, bandwidth_mhz=10, path_loss_exponent=2.2, other_losses_db=3)
    links = sidelinks_of(scenario)
    assert links is not None
    sites = sim.ground.device_sites(scenario, 0)
    wavelength_m, boltzmann = LIGHT_M_S / 2.4e9, 1.380649e-23
    noise_w = boltzmann * 290 * 10e6 * 10**0.7
    for one in range(3):
        for other in range(3):
            if one == other:
                continue
            apart_m = links.apart_m(Node("North", one), Node("North", other))
            assert apart_m == pytest.approx(1000 * far_km(sites[one], sites[other]), rel=1e-9)
            gain = (wavelength_m / (4 * math.pi)) ** 2 * apart_m**-2.2 / 10**0.3
            expected = 10e6 * math.log2(1 + 0.1 * gain / noise_w)
            assert links.rate_bps(apart_m) == pytest.approx(expected, rel=1e-9)


def test_the_rate_is_that_of_the_distance_down_to_a_metre() -> None:
    """Free space at 10 m and at 1 m; behind that the formula has no meaning, and the rate stays."""
    links = sidelinks_of(real(frequency_ghz=0.9, bandwidth_mhz=1, path_loss_exponent=2))
    assert links is not None
    noise_w = 1.380649e-23 * 290 * 1e6 * 10**0.7
    for apart_m in (10.0, 1.0):
        gain = (LIGHT_M_S / (4 * math.pi * 0.9e9 * apart_m)) ** 2
        expected = 1e6 * math.log2(1 + 0.1 * gain / noise_w)
        assert links.rate_bps(apart_m) == pytest.approx(expected, rel=1e-9)
    assert links.rate_bps(0.0) == links.rate_bps(0.3) == links.rate_bps(1.0)


def test_a_range_joins_clusters_and_parts_devices() -> None:
    range_km = 18.0
    scenario = real(range_km=range_km, rate_mbps=1)
    sites = [*sim.ground.device_sites(scenario, 0), *sim.ground.device_sites(scenario, 1)]
    expected = [[far_km(one, other) <= range_km for other in sites] for one in sites]
    assert 3 < np.array(expected)[:3, :3].sum() < 9
    links = sidelinks_of(scenario)
    assert links is not None
    reach = np.concatenate([links.reach("North"), links.reach("South")])
    assert np.array_equal(reach, expected)
    wide = sidelinks_of(real(range_km=1000, rate_mbps=1))
    assert wide is not None
    assert wide.reach("North")[:, :3].all() and not wide.reach("North")[:, 3:].any()


def test_clusters_side_by_side_hear_each_other_within_a_range() -> None:
    near = {"latitude_deg": 60.05, "longitude_deg": 20, "name": "Next", "devices": 1}
    north = {"latitude_deg": 60, "longitude_deg": 20, "name": "North", "devices": 1}
    clusters = {"clusters": [near, north]}
    for range_km, reached in ((None, False), (5, False), (6, True)):
        sidelink = {"rate_mbps": 1, "range_km": range_km}
        links = build(
            orbit(ground=clusters, learning=SCRIPTED, link={"sidelink": sidelink})
        ).sidelinks
        assert links is not None
        assert links.exists(Node("Next", 0), Node("North", 0)) is reached
