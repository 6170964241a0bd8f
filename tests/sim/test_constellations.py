"""Scenarios with several satellites, ready windows, OMM elements and devices placed one by one."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small import ORBIT, merged
from small import orbit as orbit_scenario

import orbit
import scenarios
import sim
from sim.cli import _status
from sim.errors import InputError
from sim.planning import make_plan
from sim.sources import view_of

WALKER = {
    "source": "walker",
    "altitude_km": 600,
    "inclination_deg": 70,
    "satellites": 12,
    "planes": 3,
    "phasing": 1,
}


def walker(**changes) -> scenarios.Scenario:
    timing = {"learning": {"train": False}, "stop": {"days": 1}, "orbit": WALKER}
    return scenarios.from_dict(merged({**ORBIT, "orbit": {}}, merged(timing, changes)))


@pytest.fixture(scope="module")
def constellation() -> sim.Result:
    return sim.run(walker())


def services(contacts: pd.DataFrame) -> pd.DataFrame:
    return contacts[contacts.served].sort_values("service_start_s")


def test_a_cluster_has_one_satellite_at_a_time_and_a_satellite_one_cluster(
    constellation: sim.Result,
) -> None:
    served = services(constellation.contacts)
    assert served.satellite.nunique() > 6
    for key in ("cluster", "satellite"):
        for _, rows in served.groupby(key):
            ends, starts = rows.service_end_s.to_numpy(), rows.service_start_s.to_numpy()
            assert (starts[1:] >= ends[:-1]).all()


def test_every_contact_is_one_that_the_satellite_has_alone(constellation: sim.Result) -> None:
    """Windows of the constellation are those of its satellites, each looked at by itself."""
    scenario = walker()
    made = orbit.walker_delta(600, 70, 12, 3, 1, scenario.start)
    sites = [orbit.Site(c.name, c.latitude_deg, c.longitude_deg) for c in scenario.ground.clusters]
    end = scenario.start + timedelta(days=1)
    for satellite in made[::5]:
        alone = orbit.contact_windows([satellite], sites, scenario.start, end, 10.0, "sgp4")
        mine = constellation.contacts[constellation.contacts.satellite == satellite.name]
        np.testing.assert_allclose(mine.rise_s, alone.rise_s, atol=1e-4)
        np.testing.assert_allclose(mine.set_s, alone.set_s, atol=1e-4)


def test_a_cycle_is_a_session_of_every_cluster(constellation: sim.Result) -> None:
    sessions = []
    for _, rows in services(constellation.contacts).groupby("cluster"):
        gaps = rows.service_start_s.to_numpy()[1:] - rows.service_end_s.to_numpy()[:-1]
        sessions.append(1 + int((gaps > 0).sum()))
    assert constellation.summary["cycles"] == min(sessions)
    each = sim.run(walker(orbit={"session": "contact"}))
    counts = services(each.contacts).groupby("cluster").size()
    assert each.summary["cycles"] == counts.min() >= min(sessions)
    joined = sim.run(walker(orbit={"hand_over_gap_s": 3600.0}))
    assert joined.summary["cycles"] < min(sessions)


def test_whoever_finds_the_beam_busy_waits_and_the_trace_says_so() -> None:
    near = [
        {"name": "Here", "latitude_deg": 60, "longitude_deg": 20},
        {"name": "There", "latitude_deg": 58, "longitude_deg": 25},
    ]
    result = sim.run(walker(ground={"clusters": near}))
    waits = result.events[result.events.kind == "wait"]
    assert len(waits) > 10
    contacts = result.contacts.set_index("contact_id")
    for wait in waits.itertuples():
        mine = contacts.loc[wait.contact_id]
        busy = contacts[(contacts.satellite == mine.satellite) & (contacts.cluster != wait.cluster)]
        other = (busy.service_start_s <= wait.time_s) & (busy.service_end_s > wait.time_s)
        assert other.any()
        own = contacts[contacts.cluster == wait.cluster]
        assert not ((own.service_start_s <= wait.time_s) & (own.service_end_s > wait.time_s)).any()


@pytest.mark.parametrize("rule", ["longest_remaining", "highest_elevation"])
def test_a_hand_over_goes_to_the_best_satellite_in_view(rule: str) -> None:
    scenario = walker(orbit={"hand_over": rule, "satellites": 48, "planes": 6})
    contacts = sim.run(scenario).contacts.set_index("contact_id")
    made = {s.name: s for s in orbit.walker_delta(600, 70, 48, 6, 1, scenario.start)}
    place = {c.name: c for c in scenario.ground.clusters}
    choices = 0
    for row in services(contacts).iloc[::3].itertuples():
        now_s, here = row.service_start_s, place[row.cluster]
        rivals = contacts[
            (contacts.cluster == row.cluster)
            & (contacts.rise_s <= now_s)
            & (contacts.set_s > now_s)
        ]
        taken = contacts[(contacts.service_start_s <= now_s) & (contacts.service_end_s > now_s)]
        rivals = rivals[~rivals.satellite.isin(taken[taken.cluster != row.cluster].satellite)]
        choices += len(rivals) > 1
        if rule == "longest_remaining":
            assert row.set_s == rivals.set_s.max()
            continue
        site = orbit.Site("here", here.latitude_deg, here.longitude_deg)
        heights = {
            name: orbit.look_angles(made[name], site, scenario.start, [now_s]).elevation_deg[0, 0]
            for name in rivals.satellite
        }
        assert heights[row.satellite] == max(heights.values())
    assert choices > 5


def test_short_contacts_are_left_out() -> None:
    contacts = sim.run(walker(orbit={"min_contact_s": 400.0})).contacts
    assert (contacts.duration_s < 400).any()
    served = services(contacts)
    assert (served.service_end_s - served.service_start_s >= 400 - 1e-9).all()
    assert set(contacts[~contacts.served & (contacts.duration_s >= 400)].index) != set()


@pytest.mark.parametrize("rule", ["longest_remaining", "highest_elevation"])
def test_no_satellite_sends_what_it_cannot_know_yet(rule: str) -> None:
    delay_s = 600.0
    serving = {"sync_delay_s": delay_s, "hand_over": rule, "hand_over_gap_s": 60.0}
    late = sim.run(walker(orbit=serving, learning={"method": "emsfl"}))
    waits = late.events[late.events.kind == "wait"]
    assert waits.detail.str.startswith("synchronisation").sum() > 5
    satellite = late.contacts.set_index("contact_id").satellite
    made = late.events[late.events.kind == "aggregate"]
    maker = satellite[made.contact_id].to_numpy()
    downloads = late.transfers[late.transfers.direction == "downlink"]
    assert len(downloads) > 100
    for row in downloads.itertuples():
        others = maker != satellite[row.contact_id]
        known = made[(made.version <= row.version).to_numpy() & others]
        assert (known.time_s <= row.start_s - delay_s + 1e-6).all()


def test_a_cluster_that_is_never_without_a_satellite_needs_another_rule() -> None:
    dense = {"satellites": 1000, "planes": 40, "min_elevation_deg": 5}
    with pytest.raises(InputError, match=r"session never ends.*orbit\.session: contact"):
        make_plan(walker(orbit=dense, stop={"days": 0.2}))
    plan = make_plan(walker(orbit=dense | {"session": "contact"}, stop={"days": 0.2}))
    assert plan.cycles > 20


def test_one_satellite_of_a_constellation_serves_alone() -> None:
    alone = walker(orbit={"serving": "single", "satellite": "P02-S03"})
    assert {contact.satellite for contact in make_plan(alone).contacts} == {"P02-S03"}
    with pytest.raises(InputError, match=r"name one of the 12 satellites.*orbit\.serving: any"):
        make_plan(walker(orbit={"serving": "single"}))


def test_a_sun_synchronous_orbit_finds_its_inclination() -> None:
    made = orbit_scenario(orbit={"inclination_deg": "sun-synchronous"})
    there = view_of(made).satellites[0]
    assert np.degrees(there.model.inclo) == pytest.approx(97.79, abs=0.05)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A scenario on an orbit, and its contacts as our own export."""
    folder = tmp_path_factory.mktemp("export")
    table = folder / "windows.csv"
    scenario = folder / "orbit.yaml"
    scenario.write_text(json.dumps(ORBIT))
    assert _status(["contacts", str(scenario), "-o", str(table)]) == 0
    return scenario, table


def ready(table: Path, **changes) -> scenarios.Scenario:
    source = {"source": "contacts", "path": str(table)}
    link = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 1.0}, "downlink": "neglected"}
    base = {**ORBIT, "orbit": source, "link": {"preset": "physical", **link}}
    return scenarios.from_dict(merged(base, changes))


def test_an_export_read_back_gives_the_same_contacts(exported: tuple[Path, Path]) -> None:
    scenario, table = exported
    flown, read = make_plan(scenarios.load(scenario)), make_plan(ready(table))
    assert len(read.contacts) == len(flown.contacts) > 10
    assert [c.served for c in read.contacts] == [c.served for c in flown.contacts]
    for ours, theirs in zip(read.contacts, flown.contacts, strict=True):
        assert (ours.cluster.name, ours.satellite) == (theirs.cluster.name, theirs.satellite)
        # To the millisecond that the file is written with.
        assert ours.rise_s == pytest.approx(theirs.rise_s, abs=1.1e-3)
        assert ours.set_s == pytest.approx(theirs.set_s, abs=1.1e-3)
        assert ours.max_elevation_deg == pytest.approx(theirs.max_elevation_deg)


def test_a_run_over_ready_windows_resumes_without_the_file(
    exported: tuple[Path, Path], tmp_path: Path
) -> None:
    table = tmp_path / "w.csv"
    table.write_text(exported[1].read_text())
    result = sim.run(ready(table, learning={"train": False}), tmp_path / "run")
    table.unlink()
    again = scenarios.from_dict(result.manifest["scenario"])
    assert sim.run(again).manifest["timing_sha256"] == result.manifest["timing_sha256"]


def test_another_tools_windows_are_read_by_their_columns(tmp_path: Path) -> None:
    table = tmp_path / "access.csv"
    table.write_text(
        "Station,Start Time (UTCG),Stop Time (UTCG)\n"
        "North,22 Aug 2026 01:00:00.000,22 Aug 2026 01:10:00.000\n"
        "South,22 Aug 2026 02:00:00.000,22 Aug 2026 02:08:00.000\n"
        "Nowhere,22 Aug 2026 02:00:00.000,22 Aug 2026 02:08:00.000\n"
    )
    columns = {
        "site": "Station", "rise_utc": "Start Time (UTCG)", "set_utc": "Stop Time (UTCG)"
    }  # fmt: skip
    plan = make_plan(ready(table, orbit={"columns": columns}, stop={"days": 1}))
    assert [(c.cluster.name, c.rise_s, c.set_s) for c in plan.contacts] == [
        ("North", 3600.0, 4200.0), ("South", 7200.0, 7680.0),
    ]  # fmt: skip
    assert plan.doubts == ("windows of Nowhere are not used: no cluster is called so",)
    with pytest.raises(InputError, match=r"'South'.*no window has this site"):
        make_plan(ready(table, orbit={"columns": columns}, stop={"days": 0.07}))


def test_omm_and_tle_of_one_satellite_give_one_plan(tmp_path: Path) -> None:
    tle = Path(scenarios.shipped_path("quickstart")).with_name("iridium-106.tle")
    [satellite] = orbit.read_satellites(tle)
    model = satellite.model
    epoch = satellite.epoch.strftime("%Y-%m-%dT%H:%M:%S.%f")
    omm = tmp_path / "iridium.json"
    degrees = {
        "INCLINATION": model.inclo, "RA_OF_ASC_NODE": model.nodeo,
        "ARG_OF_PERICENTER": model.argpo, "MEAN_ANOMALY": model.mo,
    }  # fmt: skip
    record = {
        "OBJECT_NAME": satellite.name, "OBJECT_ID": "2017-003A", "EPOCH": epoch,
        "MEAN_MOTION": model.no_kozai * 1440 / (2 * np.pi), "ECCENTRICITY": model.ecco,
        **{key: float(np.degrees(value)) for key, value in degrees.items()},
        "EPHEMERIS_TYPE": 0, "CLASSIFICATION_TYPE": "U", "NORAD_CAT_ID": satellite.norad_id,
        "ELEMENT_SET_NO": 999, "REV_AT_EPOCH": 1, "BSTAR": model.bstar,
        "MEAN_MOTION_DOT": 0.0, "MEAN_MOTION_DDOT": 0.0,
    }  # fmt: skip
    omm.write_text(json.dumps([record]))
    two = []
    for source, path in (("tle", tle), ("omm", omm)):
        made = merged({**ORBIT, "orbit": {}}, {"orbit": {"source": source, "path": str(path)}})
        made["start"] = "2026-08-23T00:00:00Z"
        two.append(make_plan(scenarios.from_dict(made)))
    assert len(two[0].contacts) == len(two[1].contacts) > 5
    for ours, theirs in zip(two[0].contacts, two[1].contacts, strict=True):
        assert ours.rise_s == pytest.approx(theirs.rise_s, abs=1e-3)
        assert ours.norad_id == theirs.norad_id == 41917


PLACES = "name,latitude_deg,longitude_deg,altitude_m,min_elevation_deg\n" + "\n".join(
    f"d{k},{60 + 0.1 * k},{20 + 0.1 * k},0,{mask}" for k, mask in enumerate((10, 20, 30))
)


def placed(tmp_path: Path) -> scenarios.Scenario:
    file = tmp_path / "north.csv"
    file.write_text(PLACES)
    north = {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "places_path": str(file)}
    clusters = [north, {"name": "South", "latitude_deg": -35, "longitude_deg": 150}]
    return orbit_scenario(ground={"clusters": clusters}, learning={"method": "emsfl"})


def test_each_placed_device_has_its_own_gate_inside_the_clusters_contact(tmp_path: Path) -> None:
    scenario = placed(tmp_path)
    plan = make_plan(scenario)
    assert [cluster.devices for cluster in plan.clusters] == [3, 1]
    satellite = view_of(scenario).satellites[0]
    checked = 0
    for contact in [c for c in plan.contacts if c.cluster.name == "North"]:
        for k, mask_deg in enumerate((10.0, 20.0, 30.0)):
            curve = contact.uplink.device(k)
            place = orbit.Site("d", 60 + 0.1 * k, 20 + 0.1 * k)
            ends = np.array([curve.time_s[0], curve.time_s[-1]])
            if ends[1] <= ends[0]:
                continue
            elevation = orbit.look_angles(satellite, place, scenario.start, ends).elevation_deg
            inside = (ends > contact.rise_s + 1e-6) & (ends < contact.set_s - 1e-6)
            np.testing.assert_allclose(elevation[inside, 0], mask_deg, atol=1e-5)
            checked += inside.sum()
    assert checked > 10


def test_a_run_carries_its_devices_places_with_it(tmp_path: Path) -> None:
    result = sim.run(placed(tmp_path), tmp_path / "run")
    (tmp_path / "north.csv").unlink()
    again = sim.run(scenarios.from_dict(result.manifest["scenario"]))
    assert again.manifest["trace_sha256"] == result.manifest["trace_sha256"]
    assert set(result.transfers.device) == {0, 1, 2}


def test_a_clusters_own_mask_wins() -> None:
    high = [{**ORBIT["ground"]["clusters"][0], "min_elevation_deg": 40}]
    plan = make_plan(orbit_scenario(ground={"clusters": high}))
    assert min(contact.max_elevation_deg for contact in plan.contacts) >= 40


def test_a_device_far_from_its_cluster_is_refused(tmp_path: Path) -> None:
    clusters = deepcopy(ORBIT["ground"]["clusters"])
    del clusters[0]["devices"], clusters[0]["radius_km"]
    clusters[0]["places"] = [{"latitude_deg": 60, "longitude_deg": 21}]
    make_plan(orbit_scenario(ground={"clusters": clusters}))
    clusters[0]["places"].append({"name": "lost", "latitude_deg": 50, "longitude_deg": 20})
    with pytest.raises(InputError, match="'North': device 'lost' is 1112 km"):
        make_plan(orbit_scenario(ground={"clusters": clusters}))
