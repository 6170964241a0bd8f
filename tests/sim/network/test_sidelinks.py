"""Messages between devices: closed forms, the queue of each link, the books of their bytes."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from learning.requests import Node, Reach
from sim.execution.ready import build
from tests.kit.scripted import A1, B0, B1, SCRIPTED, at, ground, replies, sent
from tests.kit.small import orbit, slots
from tests.kit.worlds import device_sites, sidelinks_of

LIGHT_M_S = 299_792_458.0


MS = st.integers(0, 50_000).map(lambda ms: ms / 1000)
SENT = st.tuples(MS, st.integers(0, 2), st.integers(0, 2), st.integers(0, 200_000))


@given(st.lists(SENT, max_size=25))
@example([(5.0, 1, 1, 10**9), (5.0, 0, 1, 125_000), (5.0, 0, 1, 125_000), (5.0, 1, 0, 125_000)])
def test_each_directed_link_has_a_queue_of_its_own(messages):
    """Lindley's recursion, in order of arrival; what is for oneself is there at once."""
    tasks = [at(t, sent(Node("B", a), Node("B", b), size)) for t, a, b, size in messages]
    radio = {"rate_mbps": 1, "distance_km": 1.5, "tx_power_dbm": 23}
    found, result = replies(slots(learning=SCRIPTED, link={"sidelink": radio}), *tasks)
    waited = {}
    for number in sorted(range(len(messages)), key=lambda n: (messages[n][0], n)):
        at_s, source, target, size = messages[number]
        expected_s = at_s
        if source != target:
            last_at_s, behind_s = waited.get((source, target), (at_s, 0.0))
            queue_s = max(behind_s - (at_s - last_at_s), 0.0)
            service_s = size * 8 / 1e6
            waited[source, target] = at_s, queue_s + service_s
            expected_s = at_s + queue_s + service_s + 1500 / LIGHT_M_S
        assert found[number].delivered
        assert found[number].time_s == pytest.approx(expected_s, rel=1e-9, abs=1e-9)
    total = sum(size for _, source, target, size in messages if source != target)
    books = result.manifest["books"]["sidelink"]
    assert books["offered_bytes"] == books["delivered_bytes"] == books["sent_bytes"] == total
    spent = {row["cluster"]: row for row in result.manifest["energy"]}
    assert spent["B"]["air_s"] == pytest.approx(total * 8e-6, rel=1e-9)
    assert spent["B"]["transmit_j"] == pytest.approx(total * 8e-6 * 10**-0.7, rel=1e-9)
    assert spent["A"]["air_s"] == 0.0


def test_the_end_of_the_run_cuts_a_message_off():
    """Half of a message of 200 s is through, and those behind it have not begun."""
    tasks = [at(4700.0, sent(B0, B1, size)) for size in (25e6, 8.0, 0.0)]
    found, result = replies(ground(), *tasks)
    assert (found, result.manifest["simulated_s"]) == ([], 4800.0)
    [row] = result.transfers.itertuples()
    assert (row.cluster, row.device, row.peer, row.payload) == ("B", 0, "B/1", "feature")
    assert (row.outcome, row.delivered_bytes, row.end_s) == ("carried", 12.5e6, 4800.0)
    books = result.manifest["books"]["sidelink"]
    assert (books["carried_bytes"], books["unfinished_bytes"]) == (25e6 + 8, 12.5e6)


def test_without_a_link_or_a_relay_nobody_is_reached():
    """Without places a sidelink ends at the cluster."""
    for scenario, target, reason in (
        (slots(learning=SCRIPTED), B1, "no relay"),
        (ground(), A1, "out of range"),
    ):
        (arrival, reach), _ = replies(scenario, at(0.0, sent(B0, target, 10)), at(0.0, Reach()))
        assert (arrival.delivered, arrival.time_s, arrival.reason) == (False, 0.0, reason)
        own = np.eye(3, dtype=bool) if reason == "no relay" else np.ones((3, 3), bool)
        assert np.array_equal(reach, np.hstack([np.zeros((3, 2), bool), own]))


def real(next_deg=-35.0, devices=3, **sidelink):
    """North with its devices, and South or another one next to it with one."""
    north = {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "devices": devices}
    south = {"name": "South", "latitude_deg": next_deg, "longitude_deg": 20, "devices": 1}
    clusters = [{**north, "radius_km": 60 if devices > 1 else 0}, south]
    scenario = orbit(learning=SCRIPTED, link={"sidelink": sidelink}, ground={"clusters": clusters})
    return scenario, sidelinks_of(scenario)


def far_km(one, other):
    """Angle between two places by their vectors, not by the haversine."""
    vectors = []
    for site in (one, other):
        north = math.radians(site.latitude_deg)
        east = math.radians(site.longitude_deg)
        flat = math.cos(north)
        vectors.append((flat * math.cos(east), flat * math.sin(east), math.sin(north)))
    return 6371.0 * math.atan2(np.linalg.norm(np.cross(*vectors)), float(np.dot(*vectors)))


def test_the_rate_follows_from_the_distance_of_the_places():
    """Each figure is worked out here anew, in numbers and not in decibels."""
    scenario, links = real(tx_power_dbm=30)
    sites = device_sites(scenario, 0)

    def expected(apart_m):
        gain = (LIGHT_M_S / 915e6 / (4 * math.pi)) ** 2 * apart_m**-3
        return 2e6 * math.log2(1 + 1.0 * gain / (1.380649e-23 * 290 * 2e6 * 10**0.7))

    for one, other in ((0, 1), (1, 0), (0, 2), (2, 1)):
        apart_m = links.apart_m(Node("North", one), Node("North", other))
        assert apart_m == pytest.approx(1000 * far_km(sites[one], sites[other]), rel=1e-9)
        assert links.rate_bps(apart_m) == pytest.approx(expected(apart_m), rel=1e-9)
    # Below a metre the formula has no meaning, and the rate stays.
    assert links.rate_bps(1.0) == pytest.approx(expected(1.0), rel=1e-9)
    assert links.rate_bps(0.0) == links.rate_bps(0.3) == links.rate_bps(1.0)


def test_a_range_joins_clusters_and_parts_devices():
    scenario, links = real(range_km=18.0, rate_mbps=1)
    sites = [*device_sites(scenario, 0), *device_sites(scenario, 1)]
    expected = [[far_km(one, other) <= 18.0 for other in sites] for one in sites]
    assert 3 < np.array(expected)[:3, :3].sum() < 9
    reach = np.concatenate([links.reach("North"), links.reach("South")])
    assert np.array_equal(reach, expected)
    # Two clusters 5.56 km apart; without a range a sidelink ends at the cluster.
    for range_km, reached in ((None, False), (5, False), (6, True)):
        scenario, _ = real(60.05, devices=1, rate_mbps=1, range_km=range_km)
        assert build(scenario).sidelinks.exists(Node("South", 0), Node("North", 0)) is reached
