"""Devices on the ground over a mesh: passes of any satellite, and links from it to the server."""

import numpy as np
import pytest

import scenarios
import sim
from tests.kit import records
from tests.kit.mesh import (
    ask,
    compare_with_earliest,
    drawn_asks,
    drawn_windows,
    earliest,
    windows_text,
)
from tests.kit.network import make_plan

CITIES = """
start: 2024-04-14T16:00:00Z
stop: {days: 0.25}
roles: {server: "satellite:P03-S01", clients: devices}
orbit:
  {source: walker, pattern: star, satellites: 6, planes: 6, phasing: 1, altitude_km: 700,
   inclination_deg: 86, propagation: secular_j2, min_elevation_deg: 0}
ground:
  clusters:
    - {name: Tromso, latitude_deg: 69.65, longitude_deg: 18.95}
    - {name: Alert, latitude_deg: 82.5, longitude_deg: -62.3}
link:
  uplink: {rate: fixed, fixed_rate_mbps: 1000, bandwidth_mhz: 500, total_bandwidth_mhz: 500}
  downlink: {rate: fixed, fixed_rate_mbps: 1000}
  isl: {between_planes: all, rate_mbps: 1000, route: earliest}
compute: {seconds_per_round: 120}
learning: {train: false, method: fedavg, model: {kind: vector-mlp}}
"""
GRID = {"orbit.satellites": 66, "link.isl.within_plane": "ring", "orbit.altitude_km": 780,
        "link.isl.between_planes": "neighbours", "link.isl.terminals": 4,
        "orbit.min_elevation_deg": 10, "stop.days": 0.1}  # fmt: skip
WINDOWS = "link.isl.windows"


@pytest.fixture
def scenario(tmp_path):
    def load(keys=None, text=CITIES):
        path = tmp_path / "cities.yaml"
        path.write_text(text)
        given = dict(keys or {})
        if WINDOWS in given:
            (tmp_path / "windows.csv").write_text(given[WINDOWS])
            given |= {WINDOWS: "windows.csv", "link.isl.grazing_km": 80}
        return scenarios.load(path, given)

    return load


# Who comes first.


@pytest.mark.parametrize("plans", [12, pytest.param(200, marks=pytest.mark.slow(reason="runs"))])
def test_messages_of_devices_come_by_the_earliest_path_of_random_plans(scenario, plans):
    rng = np.random.default_rng(plans)
    over_links = answered = 0
    for _ in range(plans):
        keys = {WINDOWS: windows_text(drawn_windows(rng)), "learning.method": "asking"}
        loaded = scenario(keys | {"link.isl.rate_mbps": 1e6})
        plan = make_plan(loaded)
        asked = drawn_asks(rng, ["Tromso", "Alert"], asks=24)
        replies, run = ask(loaded, asked, in_contacts=True)
        answered += len(replies)
        records.check(run.tables)
        compare_with_earliest(plan, replies)
        over_links += int((run.transfers.direction == "isl").sum())
    assert over_links > 5 * plans and answered > 18 * plans


def test_contacts_are_the_passes_that_no_later_one_beats(scenario):
    """Brute force over the served passes of random plans."""
    rng = np.random.default_rng(5)
    left_out = 0
    for _ in range(10):
        plan = make_plan(scenario({WINDOWS: windows_text(drawn_windows(rng))}))
        for cluster in plan.clusters:
            passes = [plan.contacts[n] for n in plan.contacts.services(cluster.name).tolist()]
            there_s = [
                arrival if (arrival := earliest(plan, one.satellite, plan.server, one.start_s))
                is not None else np.inf for one in passes
            ]  # fmt: skip
            expected = [
                one.contact_id
                for place, one in enumerate(passes)
                if there_s[place] < np.inf and there_s[place] <= min(there_s[place:])
            ]
            own = plan.sessions(cluster)
            assert [own.named(place)[0] for place in range(len(own))] == expected
            left_out += len(passes) - len(expected)
    assert left_out > 10


COMPARED = ["cluster", "device", "direction", "payload", "version", "delivered_bytes", "outcome"]


@pytest.mark.parametrize("method", ["fedavg", "emsfl", "fedbuff"])
@pytest.mark.parametrize("cut", ["resume", "restart"])
def test_with_the_server_alone_in_reach_the_mesh_is_direct_contact(scenario, method, cut):
    """Several devices that share a beam; large models that passes cut off, as rows and times."""
    kind = "vector-moe" if method == "emsfl" else "vector-mlp"
    keys = {"stop.days": 2, "learning.method": method, "link.cut_transfers": cut,
            "learning.model.kind": kind, "orbit.min_elevation_deg": 25,
            "compute.seconds_per_round": 100 if cut == "restart" else 300,
            "ground.clusters": [
                {"name": "Quito", "latitude_deg": -0.2, "longitude_deg": -78.5, "devices": 3},
                {"name": "Nairobi", "latitude_deg": -1.3, "longitude_deg": 36.8, "devices": 2}],
            "link.uplink": {"rate": "fixed", "fixed_rate_mbps": 0.004, "bandwidth_mhz": 1,
                            "total_bandwidth_mhz": 2},
            "link.downlink": {"rate": "fixed", "fixed_rate_mbps": 1, "delivery": "unicast"}
            }  # fmt: skip
    late = {WINDOWS: windows_text([(0, 1, 2879, 2880)])}
    mesh = sim.run(scenario(keys | late))
    without = "\n".join(line for line in CITIES.splitlines() if "  isl:" not in line)
    direct = sim.run(scenario(keys | {"orbit.serving": "single"}, without))
    ours, theirs = (run.transfers for run in (mesh, direct))
    assert len(theirs) > 10 and ours.direction.ne("isl").all()
    assert ours[COMPARED].values.tolist() == theirs[COMPARED].values.tolist()
    np.testing.assert_allclose(ours[["start_s", "end_s"]], theirs[["start_s", "end_s"]], atol=1e-9)
    assert cut == "restart" or (theirs.outcome == "carried").any()
    both = [run.events[run.events.kind == "aggregate"] for run in (mesh, direct)]
    np.testing.assert_allclose(both[0].time_s, both[1].time_s, atol=1e-9)
    assert len(both[0])
