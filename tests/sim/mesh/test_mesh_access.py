"""Devices on the ground over a mesh: passes of any satellite, and links from it to the server."""

import numpy as np
import pytest

import sim
from sim import InputError
from tests.kit.inner.sim import build, make_plan
from tests.kit.mesh import (
    CITIES,
    WINDOWS,
    drawn_windows,
    earliest,
    same_as_direct,
    windows_text,
)

GRID = {"orbit.satellites": 66, "link.isl.within_plane": "ring", "orbit.altitude_km": 780,
        "link.isl.between_planes": "neighbours", "link.isl.terminals": 4,
        "orbit.min_elevation_deg": 10, "stop.days": 0.1}  # fmt: skip


SCENARIO = CITIES


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
            assert [own.contact_id(place) for place in range(len(own))] == expected
            left_out += len(passes) - len(expected)
    assert left_out > 10


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
    mesh = sim.run(scenario(keys | {WINDOWS: windows_text([(0, 1, 2879, 2880)])}))
    without = "\n".join(line for line in CITIES.splitlines() if "  isl:" not in line)
    direct = sim.run(scenario(keys | {"orbit.serving": "single"}, without))
    same_as_direct(mesh, direct)
    assert cut == "restart" or (direct.transfers.outcome == "carried").any()


def test_a_model_may_be_larger_than_what_links_carry_during_a_pass(scenario):
    """A satellite keeps what it has got in a pass, and sends it on for as long as a link lasts."""
    keys = GRID | {"link.isl.rate_mbps": 0.1, "learning.method": "fedbuff"}
    longest_s = max(one.end_s - one.start_s for one in make_plan(scenario(keys)).contacts)
    hidden = int(3 * longest_s * 0.1e6 / 8 / 300)
    run = sim.run(scenario(keys | {"learning.model.hidden": hidden, "link.cut_transfers": "drop"}))
    got = run.transfers[run.transfers.direction == "downlink"]
    assert (got.outcome == "delivered").any()


def test_a_city_that_no_links_reach_in_time_is_named(scenario):
    """Of the passes over Quito in six hours none is one of the server, and no link is open."""
    far = [{"name": "Quito", "latitude_deg": -0.2, "longitude_deg": -78.5}]
    keys = {"ground.clusters": far, "orbit.min_elevation_deg": 30}
    late = {WINDOWS: windows_text([(0, 1, 359, 360)])}
    with pytest.raises(InputError, match=r"reaches 'P03-S01'.*; give windows of more pairs of s"):
        build(scenario(keys | late))
