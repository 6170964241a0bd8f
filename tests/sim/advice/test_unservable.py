"""Scenarios that can never be served: each refusal says so by its code, and sweeps go on."""

import json

import pytest

import scenarios
import sim
from tests.kit.inner.sim import make_plan

START = "2026-08-22T12:00:00Z"
PLACE = {"name": "Z", "latitude_deg": 5, "longitude_deg": 0}
RING = {"source": "walker", "altitude_km": 1200, "inclination_deg": 10, "min_elevation_deg": 10}
RING |= {"satellites": 16, "planes": 2}
ROUTE = {"rate_mbps": 10, "within_plane": "ring", "route": "earliest"}
LEARNING = {"method": "fedavg", "train": False, "model": {"kind": "vector-mlp"}}
HIGH = {"name": "H", "semi_major_axis_km": 42164, "inclination_deg": 0, "satellites": 1}
LOW = {"name": "L", "altitude_km": 800, "inclination_deg": 0, "satellites": 2}
SERVED_BY_HIGH = {"server": "satellite:H-P01-S01", "clients": "satellites"}


def over_ring(**more):
    roles = {"server": "stations", "clients": "satellites"}
    ground = {"stations": [PLACE]}
    said = {"description": "a ring", "start": START, "stop": {"days": 0.2}, "roles": roles}
    said |= {"orbit": RING, "ground": ground, "link": {"isl": ROUTE}}
    said |= {"compute": {"seconds_per_round": 60}, "learning": LEARNING}
    return said | more


FAR = {"ground": {"stations": [PLACE | {"latitude_deg": 85}]}}
CASES = {
    "no satellite over a station": (over_ring(**FAR, link={}), "never_seen"),
    "no pass of a mesh": (over_ring(**FAR), "never_reached"),
    "a server out of range": (
        over_ring(
            roles=SERVED_BY_HIGH,
            orbit={"source": "walker", "shells": [s | {"planes": 1} for s in (HIGH, LOW)]},
            ground={},
            link={"isl": {"rate_mbps": 10, "max_range_km": 100}},
        ),
        "never_seen",
    ),
    "neighbours of a ring": (
        over_ring(
            orbit=RING | {"satellites": 4, "planes": 1, "altitude_km": 500},
            link={"isl": {"rate_mbps": 10, "within_plane": "ring"}},
            learning=LEARNING | {"method": "fedisl"},
        ),
        "never_linked",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_refusal_that_says_never_says_so_by_its_code(case):
    said, code = CASES[case]
    with pytest.raises(sim.InputError) as refused:
        sim.run(scenarios.from_dict(said))
    assert refused.value.code == code, str(refused.value)


def test_a_message_larger_than_all_links_and_passes_is_told_at_the_end_of_the_run():
    slow = {"rate": "fixed", "fixed_rate_mbps": 1e-6}
    links = {"isl": ROUTE | {"rate_mbps": 1e-6}, "uplink": slow, "downlink": slow}
    [check] = sim.run(scenarios.from_dict(over_ring(link=links))).checks
    assert (check.code, check.key) == ("no-update", None)  # no key alone helps: three are slow
    assert check.sentence.endswith("none came over links between satellites")


# Twelve planes of a star, each with a satellite that comes to the pole as all others do.
CROWD = over_ring(
    stop={"days": 0.5},
    orbit={
        **{"source": "walker", "pattern": "star", "satellites": 12, "planes": 12},
        **{"altitude_km": 550, "inclination_deg": 97.6, "priority": "highest_elevation"},
    },
    ground={"stations": [PLACE | {"latitude_deg": 78.2}], "antennas": 1},
    link={},
)


def test_a_fleet_that_outgrows_its_dish_is_warned_of_and_runs(leomix, tmp_path):
    (tmp_path / "fleet.yaml").write_text(json.dumps(CROWD))
    plan = make_plan(scenarios.from_dict(CROWD))
    served = {contact.cluster.name for contact in plan.contacts if contact.served}
    unserved = sorted({contact.cluster.name for contact in plan.contacts} - served)
    [said] = [doubt for doubt in plan.doubts if doubt.code == "never_served"]
    assert said.values["unserved"] == len(unserved) > 0 and said.values["clients"] == 12
    assert all(name in str(said) for name in unserved)
    assert said.remedies[0].key == "ground.antennas"
    enough = CROWD | {"ground": CROWD["ground"] | {"antennas": 12}}
    assert not make_plan(scenarios.from_dict(enough)).doubts
    for command in (("validate",), ("export", "--to", "ion")):
        done = leomix(command[0], tmp_path / "fleet.yaml", *command[1:])
        assert done.status == 0 and "never served" in done.err
    found = leomix("capacity", tmp_path / "fleet.yaml", "--json")
    rows = json.loads(found.out)["rows"]
    assert sorted(row["name"] for row in rows if not row["served_a_day"]) == unserved


@pytest.mark.parametrize("method", ["fedavg-sat", "synchronous"])
def test_a_round_that_waits_for_who_is_never_served_says_so_at_the_end(method):
    """Methods without such rounds go on with the updates that arrive."""
    result = sim.run(scenarios.from_dict(CROWD | {"learning": LEARNING | {"method": method}}))
    assert [said.code for said in result.warnings].count("never_served") == 1
    unused = [check for check in result.checks if check.code == "no-update"]
    assert bool(unused) == method.startswith("fedavg")
    for check in unused:
        assert check.sentence.endswith("of 12 clients never served")
        assert (check.key, check.value) == ("ground.antennas", 4)


@pytest.mark.wide
def test_a_sweep_goes_on_past_a_station_that_a_mesh_never_reaches(leomix, tmp_path):
    (tmp_path / "mesh.yaml").write_text(json.dumps(over_ring()))
    latitudes = ("-p", "ground.stations.0.latitude_deg=85,5,10")
    place = tmp_path / "sweep"
    done = leomix("sweep", tmp_path / "mesh.yaml", *latitudes, "-o", place, "--quiet", "--json")
    rows = json.loads(done.out)
    assert [row["status"] for row in rows] == ["refused", "complete", "complete"]
    assert [row["code"] for row in rows] == ["never_reached", "", ""]
    said = rows[0]["said"]
    assert (said["code"], said["severity"]) == ("never_reached", "refusal")
    assert said["keys"] == ["link.isl.route"] and [row["said"] for row in rows[1:]] == [None, None]
    assert done.status == 3
    planned = leomix("sweep", tmp_path / "mesh.yaml", *latitudes, "-o", place, "--dry-run").out
    assert "no contact  point 0: " in planned
