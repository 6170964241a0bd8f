"""Scenarios with several satellites, ready windows, OMM elements and devices placed one by one."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import channel
import orbit
import scenarios
import sim
from tests.kit.network import InputError, cluster_radios, make_plan, view_of
from tests.kit.small import NEAR, ORBIT, merged
from tests.kit.small import orbit as orbit_scenario
from tests.kit.sweeps import status

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
    assert status(["contacts", str(scenario), "-o", str(table)]) == 0
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
    assert [line for line in plan.doubts if "windows" in line] == [
        "windows of Nowhere are not used: no cluster is called so"
    ]
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
            curve = contact.uplink.curve.device(k)
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


DECAYING = (
    "1 25544U 98067A   26234.50053383  .09133000  00000+0  90000-1 0  9997\n"
    "2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031\n"
)
"""So much drag that SGP4 gives up some days after the epoch, 2026-08-22."""


def published(elements: str, **changes) -> scenarios.Scenario:
    source = {"source": "tle", "elements": elements, "checksum": "ignore", "min_elevation_deg": 5}
    made = merged({**ORBIT, "orbit": source, "learning": {"train": False}}, changes)
    return scenarios.from_dict(made)


def test_a_satellite_that_decays_on_the_way_is_told_of() -> None:
    plan = make_plan(published(DECAYING, stop={"days": 12}))
    cut = [line for line in plan.doubts if line.startswith("SGP4 fails for '25544'")]
    assert len(cut) == 1
    assert 0 < max(contact.set_s for contact in plan.contacts) < 11 * 86400
    with pytest.raises(ValueError, match=r"SGP4 fails for '25544'.*no contacts"):
        make_plan(published(DECAYING, start="2026-10-01T00:00:00Z"))


def test_a_run_of_several_satellites_begins_at_the_latest_epoch() -> None:
    text = Path(scenarios.shipped_path("quickstart")).with_name("iridium-106.tle").read_text()
    [satellite] = orbit.parse_satellites(text)
    both = published(f"{text}\n{DECAYING}", start=None, orbit={"serving": "any"}, stop={"days": 1})
    plan = make_plan(both)
    assert plan.start == satellite.epoch  # 14:02 on the day of the other's 12:00
    assert {c.norad_id for c in plan.contacts} == {41917, 25544}
    named = published(f"{text}\n{DECAYING}", orbit={"satellite": "41917"})
    assert {c.norad_id for c in make_plan(named).contacts} == {41917}


def test_satellites_that_share_a_name_are_not_mixed_up() -> None:
    other = DECAYING.replace("25544", "25545")
    twins = "TWIN\n" + DECAYING + "TWIN\n" + other
    with pytest.raises(InputError, match="2 satellites are called 'TWIN'; with serving any"):
        make_plan(published(twins, orbit={"serving": "any"}))
    with pytest.raises(InputError, match=r"called 'TWIN': TWIN \(25544\), TWIN \(25545\)"):
        make_plan(published(twins, orbit={"satellite": "TWIN"}))
    plan = make_plan(published(twins, orbit={"satellite": "25545"}))
    assert {contact.norad_id for contact in plan.contacts} == {25545}


def test_a_free_beam_goes_to_whoever_stands_highest() -> None:
    rules = {"priority": "highest_elevation"}
    one = orbit_scenario(ground={"clusters": NEAR}, orbit=rules, stop={"days": 6})
    view = view_of(one)
    windows, service = view.windows, view.service
    other = view_of(orbit_scenario(ground={"clusters": NEAR}, stop={"days": 6})).service
    assert not np.allclose(service.start_s, other.start_s, equal_nan=True)
    contested = 0
    for w in np.flatnonzero(service.served & (service.start_s > windows.rise_s)):
        now_s = service.start_s[w]
        waiting = (windows.rise_s <= now_s) & (windows.set_s > now_s) & ~(service.start_s < now_s)
        looks = orbit.look_angles(view.satellites[0], view.places, view.start, [now_s])
        heights = looks.elevation_deg[0, windows.site[waiting]]
        contested += len(heights) > 1
        assert looks.elevation_deg[0, windows.site[w]] == max(heights)
    assert contested > 0


def test_a_beam_that_is_taken_over_ends_the_service_there() -> None:
    result = sim.run(orbit_scenario(ground={"clusters": NEAR}, learning={"train": False}))
    contacts = result.contacts
    cut = contacts[contacts.service_end_s < contacts.set_s - 1e-6]
    assert len(cut) > 3
    told = result.events[result.events.detail.fillna("").str.startswith("beam taken over")]
    assert sorted(told.contact_id) == sorted(cut.contact_id)
    spans = contacts.set_index("contact_id").loc[result.transfers.contact_id]
    assert (result.transfers.end_s.to_numpy() <= spans.service_end_s.to_numpy() + 1e-6).all()
    for row in cut.itertuples():
        after = contacts[np.abs(contacts.service_start_s - row.service_end_s) < 1e-6]
        assert len(after) == 1
        assert after.cluster.iloc[0] != row.cluster


def test_contacts_that_a_constellation_does_not_use_have_no_capacity() -> None:
    contacts = sim.run(walker(orbit={"satellites": 48, "planes": 6})).contacts
    unused = contacts[~contacts.served]
    assert len(unused) > 20
    assert unused.uplink_capacity_bytes_per_device.isna().all()
    assert contacts[contacts.served].uplink_capacity_bytes_per_device.notna().all()


def test_windows_are_cut_at_the_end_of_the_run(exported: tuple[Path, Path]) -> None:
    flown = make_plan(scenarios.load(exported[0]))
    middle_s = 0.5 * (flown.contacts[4].rise_s + flown.contacts[4].set_s)
    start = flown.start.isoformat()
    plan = make_plan(ready(exported[1], start=start, stop={"days": middle_s / 86400}))
    assert plan.contacts[-1].set_s == pytest.approx(middle_s)
    assert len(plan.contacts) == sum(contact.rise_s < middle_s for contact in flown.contacts)


def test_a_device_with_a_lower_mask_has_a_link_below_its_clusters(tmp_path: Path) -> None:
    low = {"latitude_deg": 60, "longitude_deg": 22, "min_elevation_deg": 2}
    clusters = [{"name": "North", "latitude_deg": 60, "longitude_deg": 20, "places": [low]}]
    scenario = orbit_scenario(ground={"clusters": clusters}, orbit={"min_elevation_deg": 20})
    satellite, uplink = view_of(scenario).satellites[0], cluster_radios(scenario)[0][0].link
    below = 0
    for contact in make_plan(scenario).contacts:
        place = orbit.Site("low", 60, 22)
        looks = orbit.look_angles(satellite, place, scenario.start, [contact.rise_s + 1.0])
        elevation = looks.elevation_deg[0, 0]
        rate = channel.rate_bps(uplink, elevation, looks.slant_range_km[0, 0] * 1e3)
        assert contact.uplink.curve.rate_at_bps(contact.rise_s + 1.0)[0] == pytest.approx(
            rate, rel=1e-3
        )
        below += elevation < 20
    assert below > 2


def test_the_summary_of_a_scenario_counts_cycles_as_its_run_does(
    leomix, constellation: sim.Result, tmp_path: Path
) -> None:
    file = tmp_path / "walker.yaml"
    file.write_text(json.dumps(walker().model_dump(mode="json", exclude_none=True)))
    shown = leomix("contacts", file, "--summary").out
    assert f"cycles a day: {constellation.summary['cycles']:.2f} " in shown


def test_a_device_that_never_has_a_link_is_told_of() -> None:
    places = [{"latitude_deg": 60, "longitude_deg": 20, "min_elevation_deg": m} for m in (10, 89.9)]
    clusters = [{"name": "North", "latitude_deg": 60, "longitude_deg": 20, "places": places}]
    result = sim.run(orbit_scenario(ground={"clusters": clusters}, learning={"train": False}))
    told = [line for line in result.manifest["warnings"] if "sent nothing" in line]
    assert len(told) == 1
    assert told[0].startswith("1 of the 2 devices of North sent nothing, device 1 for one")


def test_a_hand_over_is_not_called_a_cut() -> None:
    slow = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 2e-6}}
    for gap_s, many in ((1500.0, False), (300.0, True)):
        gaps = {"hand_over_gap_s": gap_s}
        result = sim.run(walker(link=slow, orbit=gaps, learning={"method": "synchronous"}))
        up = result.transfers[result.transfers.direction == "uplink"]
        assert (up.outcome == "carried").mean() > 0.9
        assert any("cut by the end" in w for w in result.manifest["warnings"]) == many


def test_a_comparison_across_orbits_has_short_heads_and_a_legend(leomix, tmp_path: Path) -> None:
    text = Path(scenarios.shipped_path("quickstart")).with_name("iridium-106.tle").read_text()
    sim.run(walker(), tmp_path / "a")
    sim.run(published(text), tmp_path / "b")
    lines = leomix("compare", tmp_path / "a", tmp_path / "b").out.splitlines()
    assert lines[0].split() == ["(1)", "(2)"]
    assert all(len(line.split()) >= 3 for line in lines[1:10])
    assert [line[:9] for line in lines[-2:]] == ["(1) emsfl", "(2) emsfl"]
    assert "orbit.planes=3" in lines[-2]


@pytest.mark.parametrize("days", [0.39405497087868085, 0.1 + 1e-12, 1 / 3, 0.7000000000123])
def test_a_span_of_any_number_of_days_ends_with_its_windows(days: float) -> None:
    """Datetimes have whole microseconds: the span must not be shorter than the windows reach."""
    plan = make_plan(scenarios.load("walker", {"stop.days": days}))
    assert plan.stop_s == pytest.approx(days * 86400, abs=1e-6)
    assert max(contact.set_s for contact in plan.contacts) <= plan.stop_s
