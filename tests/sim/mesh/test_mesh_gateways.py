"""Devices on the ground over a mesh to gateways: any pass of any satellite over any station."""

from datetime import UTC, datetime

import pytest

import leomix
import orbit
import sim
from tests.kit.folders import cut, held
from tests.kit.inner.sim import flying_of, make_plan, scene
from tests.kit.mesh import (
    GATEWAYS,
    WINDOWS,
    ask,
    windows_text,
)
from tests.kit.promises import check_tables
from tests.kit.replay import numbers

START = datetime(2024, 4, 14, 16, tzinfo=UTC)
LIGHT_KM_S = 299_792.458
GRID = {"orbit.satellites": 66, "link.isl.within_plane": "ring", "orbit.altitude_km": 780,
        "link.isl.between_planes": "neighbours", "link.isl.terminals": 4, "link.isl.rate_mbps": 2,
        "orbit.min_elevation_deg": 10, "stop.days": 0.1, "learning.model.hidden": 2000,
        "ground.antennas": 2, "link.feeder.rate_mbps": 5}  # fmt: skip


SCENARIO = GATEWAYS


def test_a_satellite_over_both_forwards_at_once(scenario):
    """By hand: bits at both rates, one after the other, and the light time of both ways."""
    near = {"ground.stations": [{"name": "Andoya", "latitude_deg": 69.3, "longitude_deg": 16.0}],
            "ground.clusters": [{"name": "Tromso", "latitude_deg": 69.65, "longitude_deg": 18.95}],
            WINDOWS: windows_text([(0, 1, 359, 360)]), "learning.method": "asking",
            "link.uplink.fixed_rate_mbps": 8e-6, "link.downlink.fixed_rate_mbps": 16e-6,
            "link.feeder.rate_mbps": 1e-6}  # fmt: skip
    loaded = scenario(near)
    plan = make_plan(loaded)
    contact = plan.sessions(plan.clusters[0])[0].contacts[0]
    up_s, down_s = contact.start_s + 100.0, contact.start_s + 300.0
    asked = [("Tromso", up_s, True), ("Tromso", down_s, False)]
    replies, run = ask(loaded, asked)
    places = {node.name: node for node in (*loaded.ground.clusters, *loaded.ground.stations)}

    def light_s(name, time_s):
        """Apart from the plan."""
        site = orbit.Site(name, places[name].latitude_deg, places[name].longitude_deg)
        angles = orbit.look_angles(flying_of(plan)[contact.satellite], site, START, [time_s])
        return float(angles.slant_range_km.ravel()[0]) / LIGHT_KM_S

    there_s = up_s + 1.0 + light_s("Tromso", up_s + 1.0)  # a byte at 8 bit/s
    sent_s = there_s + 8.0  # and at 1 bit/s
    up, down = (receipt for *_, receipt in replies)
    assert up.end_s[0] == pytest.approx(sent_s + light_s("Andoya", sent_s), abs=1e-5)
    sent_s = down_s + 8.0
    there_s = sent_s + light_s("Andoya", sent_s)
    got_s = there_s + 0.5 + light_s("Tromso", there_s + 0.5)
    assert down.end_s[0] == pytest.approx(got_s, abs=1e-5)
    hops = run.transfers.sort_values("end_s")
    assert hops.direction.tolist() == ["uplink", "downlink", "uplink", "downlink"]
    assert hops.toward.tolist() == ["server", "peer", "peer", "client"]


def test_feeder_links_are_the_passes_that_stations_have_with_satellites_as_clients(scenario):
    """Windows are the contacts of the other role, with as many antennas that take as long."""
    keys = GRID | {"ground.acquisition_s": 60.0}
    run = sim.run(scenario(keys))
    check_tables(run.tables)
    windows = run.tables["feeder_windows"].to_pandas()
    turned = {"roles.clients": "satellites", "link.feeder": None, "ground.clusters": []}
    contacts = leomix.plan(scenario({**keys, **turned})).contacts
    served = contacts[contacts.served].sort_values(["service_start_s", "satellite"])
    assert windows.satellite.tolist() == served.satellite.tolist()
    assert windows.station.tolist() == served.station.tolist()
    assert windows.start_s.tolist() == served.service_start_s.tolist()
    assert windows.end_s.tolist() == served.service_end_s.tolist()


def test_an_update_waits_to_be_used_from_when_it_is_at_a_station(scenario):
    """The invariant counted from when a satellite had it: others may be used in between."""
    cities = [{"name": "Nairobi", "latitude_deg": -1.29, "longitude_deg": 36.82, "devices": 3},
              {"name": "Quito", "latitude_deg": -0.2, "longitude_deg": -78.5}]  # fmt: skip
    slow = {"ground.clusters": cities, "stop.days": 0.2, "link.cut_transfers": "restart",
            "link.isl.rate_mbps": 0.1, "link.feeder.rate_mbps": 0.1, "seed": 61,
            "link.uplink": {"rate": "fixed", "fixed_rate_mbps": 0.01, "bandwidth_mhz": 1,
                            "total_bandwidth_mhz": 50},
            "faults": {"outages": {"per_day": 3, "mean_hours": 1}},
            "learning.method": "fedbuff"}  # fmt: skip
    run = sim.run(scenario(GRID | slow))
    assert run.manifest["status"] == "complete"
    assert run.tables["updates"].to_pandas().staleness.max() > 0


def test_a_run_that_is_killed_and_resumed_is_the_same(scenario, tmp_path):
    keys = {"learning.train": True, "learning.steps_per_round": 2, "stop.rounds": 1}
    loaded = scenario(GRID | keys | {"learning.model.hidden": 32})
    whole = sim.run(loaded, tmp_path / "whole").manifest
    cut(loaded, tmp_path / "cut", whole["events"] // 2, resume=True)
    after = sim.run(loaded, tmp_path / "cut", resume=True).manifest
    assert after["trace_sha256"] == whole["trace_sha256"]
    assert held(tmp_path / "cut") == held(tmp_path / "whole")


def test_a_schedule_and_its_graph_have_the_feeder_links(scenario):
    schedule = leomix.plan(scenario(GRID))
    rows = schedule.capacities
    feeder = rows[rows.link == "feeder"]
    windows = schedule.feeder_windows.loc[feeder.number]
    assert len(feeder) == 2 * len(schedule.feeder_windows) > 20
    assert feeder.capacity_bits.to_numpy() == pytest.approx(
        5e6 * (windows.end_s - windows.start_s).to_numpy()
    )
    down = feeder.direction == "downlink"
    ground = feeder.target.where(down, feeder.source)
    assert (ground.to_numpy() == windows.station.to_numpy()).all()
    ends = [schedule.nodes.index(name) for name in ("Tromso", "Troll", "Punta Arenas")]
    arrivals = schedule.graph().arrivals(ends[0], 8e3, 0.0)
    assert arrivals[ends[1:]].min() < schedule.stop_s


def test_a_replay_draws_gateways_and_what_goes_over_their_links(scenario):
    run = sim.run(scenario(GRID))
    data = scene({"it": run})
    names = [place["name"] for place in data["places"]]
    assert names == ["Alert", "Tromso", "Punta Arenas", "Troll"]
    windows = run.tables["feeder_windows"].to_pandas()
    place, satellite = (numbers(data["contacts"][key]) for key in ("place", "satellite"))
    drawn = sorted(
        (data["satellites"][one], names[other])
        for one, other in zip(satellite, place, strict=True)
        if other > 1
    )
    assert drawn == sorted(zip(windows.satellite, windows.station, strict=True))
    contact = numbers(data["runs"][0]["spans"]["contact"])
    shown = {names[place[c]] for c in contact if place[c] > 1}
    assert shown == {"Punta Arenas", "Troll"}
