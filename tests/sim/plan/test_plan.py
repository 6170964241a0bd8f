"""Plans: who is served by whom and when, where devices stand, and what chance gives their links."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import channel
import orbit
import scenarios
import sim
from statements import Code
from tests.kit.handmade import talk, upload
from tests.kit.inner import sim as inner
from tests.kit.inner.sim import InputError, ground_radios, make_plan
from tests.kit.small import NEAR, ORBIT, merged
from tests.kit.small import orbit as orbit_scenario

QUIET = {"train": False}
WALKER = {
    "source": "walker", "altitude_km": 600, "inclination_deg": 70,
    "satellites": 12, "planes": 3, "phasing": 1,
}  # fmt: skip


def made(base, *changes):
    base = {**ORBIT, "learning": QUIET} | base
    for change in changes:
        base = merged(base, change)
    return scenarios.from_dict(base)


def test_whoever_finds_the_beam_busy_waits_and_may_take_it_over():
    result = sim.run(orbit_scenario(ground={"clusters": NEAR}, learning=QUIET))
    contacts = result.contacts.set_index("contact_id")
    told = result.events
    why = told.detail.fillna("").str
    for wait in told[why.startswith("beam busy")].itertuples():
        in_use = (contacts.service_start_s <= wait.time_s) & (contacts.service_end_s > wait.time_s)
        assert in_use.any() and wait.cluster not in set(contacts[in_use].cluster)
    cut = contacts[contacts.service_end_s < contacts.set_s - 1e-6]
    assert len(cut) > 3
    assert sorted(told[why.startswith("beam taken over")].contact_id) == sorted(cut.index)


@pytest.mark.parametrize("priority", ["least_recently_served", "highest_elevation"])
def test_a_satellite_that_never_sets_needs_a_beam_for_each_cluster(priority):
    there = {"source": "keplerian", "semi_major_axis_km": 42164.2, "inclination_deg": 0}
    at = {"latitude_deg": 10, "longitude_deg": 10}
    both = {"ground": {"clusters": [{"name": name, **at} for name in "AB"]}, "orbit": there}
    plan = make_plan(made(both, {"orbit": {"priority": priority}}))
    [doubt] = [doubt for doubt in plan.doubts if doubt.code is Code.NEVER_SERVED]
    assert "'A' keeps its beam" in str(doubt) and doubt.remedies[0].key == "orbit.beams"
    assert make_plan(made(both, {"orbit": {"beams": 2}})).contacts.served.sum() == 2


def ready(table, **changes):
    link = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 1.0}, "downlink": "neglected"}
    source = {"orbit": {"source": "contacts", "path": str(table)}}
    return made({**source, "link": {"preset": "physical", **link}}, changes)


def test_another_tools_windows_are_read_by_their_columns(tmp_path):
    table = tmp_path / "access.csv"
    table.write_text("\n".join([
        "Station,Rise (UTC),Set (UTC)",
        *(f"{name},22 Aug 2026 {rise}:00.000,22 Aug 2026 {set_}:00.000" for name, rise, set_ in (
            ("North", "01:00", "01:10"), ("South", "02:00", "02:08"), ("Nowhere", "02:00", "02:08")
        )),
    ]))  # fmt: skip
    columns = {"columns": {"site": "Station", "rise_utc": "Rise (UTC)", "set_utc": "Set (UTC)"}}
    plan = make_plan(ready(table, orbit=columns, stop={"days": 1}))
    found = [(c.cluster.name, c.rise_s, c.set_s) for c in plan.contacts]
    assert found == [("North", 3600.0, 4200.0), ("South", 7200.0, 7680.0)]
    [doubt] = [doubt for doubt in plan.doubts if doubt.code is Code.LEFT_OUT]
    assert "windows of Nowhere are not used" in str(doubt)
    with pytest.raises(InputError, match=r"'South'.*no window has this site"):
        make_plan(ready(table, orbit=columns, stop={"days": 0.07}))


DECAYING = (
    "1 25544U 98067A   26234.50053383  .09133000  00000+0  90000-1 0  9997\n"
    "2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031\n"
)
"""So much drag that SGP4 gives up some days after the epoch, 2026-08-22."""
IRIDIUM = Path(scenarios.shipped_path("quickstart")).with_name("iridium-106.tle").read_text()


def published(elements, **changes):
    source = {"source": "tle", "elements": elements, "checksum": "ignore", "min_elevation_deg": 5}
    return made({"orbit": source, "stop": {"days": 1}}, changes)


def test_a_place_is_refused_by_its_name_where_the_air_has_no_model():
    itu = {"atmosphere": "itu", "exceedance_pct": 1}
    link = {"preset": "physical", "uplink": itu, "downlink": itu}
    place = {"name": "Balloon", "latitude_deg": 48, "longitude_deg": 289.25, "altitude_m": 20_000}
    one = published(IRIDIUM, ground={"clusters": [place]}, link=link)
    assert one.ground.clusters[0].longitude_deg == -70.75
    with pytest.raises(
        InputError, match=r"^ground.clusters: altitude_m 20000 of 'Balloon' is outside"
    ):
        make_plan(one)


def flown(plan):
    """Names and catalogue numbers of the satellites that have contacts."""
    rows = plan.contacts
    numbers = rows.norad_ids.tolist()
    return {(contact.satellite, number) for contact, number in zip(rows, numbers, strict=True)}


def test_published_satellites_begin_at_the_latest_epoch_and_may_decay():
    plan = make_plan(published(f"{IRIDIUM}\n{DECAYING}", start=None, orbit={"serving": "any"}))
    assert plan.start == orbit.parse_satellites(IRIDIUM)[0].epoch  # 14:02; the other has 12:00
    assert {number for _, number in flown(plan)} == {41917, 25544}
    plan = make_plan(published(DECAYING, stop={"days": 12}))
    assert sum("SGP4 fails for '25544'" in str(doubt) for doubt in plan.doubts) == 1
    assert 0 < max(contact.set_s for contact in plan.contacts) < 11 * 86400
    with pytest.raises(ValueError, match=r"SGP4 fails for '25544'.*no contacts"):
        make_plan(published(DECAYING, start="2026-10-01T00:00:00Z"))


def at_north(*places, **changes):
    north = {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "places": [*places]}
    south = {"name": "South", "latitude_deg": -35, "longitude_deg": 150}
    return orbit_scenario(ground={"clusters": [north, south]}, learning=QUIET, **changes)


def test_each_placed_device_has_its_own_gate_and_link_inside_and_below_its_clusters():
    masks, degrees = (2.0, 20.0, 30.0), (22.0, 20.1, 20.2)
    places = [
        {"name": f"d{k}", "latitude_deg": 60, "longitude_deg": east, "min_elevation_deg": mask}
        for k, (east, mask) in enumerate(zip(degrees, masks, strict=True))
    ]
    scenario = at_north(*places, orbit={"min_elevation_deg": 10})
    plan = make_plan(scenario)
    assert [cluster.devices for cluster in plan.clusters] == [3, 1]
    [satellite] = inner.satellites_of(scenario)
    uplink = ground_radios(scenario)[0][0].link
    checked = below = 0
    for contact in [c for c in plan.contacts if c.cluster.name == "North"]:
        for k, mask in enumerate(masks):
            curve = contact.links.to_server.curve.device(k)
            ends_s = curve.time_s[[0, -1]]
            if ends_s[1] <= ends_s[0]:
                continue
            times_s = np.append(ends_s, ends_s.mean())
            site = orbit.Site("d", 60, degrees[k])
            looks = orbit.look_angles(satellite, site, scenario.start, times_s)
            inside = (ends_s > contact.rise_s + 1e-6) & (ends_s < contact.set_s - 1e-6)
            np.testing.assert_allclose(looks.elevation_deg[:2, 0][inside], mask, atol=1e-5)
            middle = looks.elevation_deg[2, 0], looks.slant_range_km[2, 0] * 1e3
            rate_bps = channel.rate_bps(uplink, *middle)
            assert curve.rate_at_bps(times_s[2]) == pytest.approx(rate_bps, rel=1e-3)
            checked += inside.sum()
            below += (looks.elevation_deg[:2, 0] < 9.9).any()
    assert checked > 10 and below > 2


def test_a_run_carries_its_places_and_windows_with_it(tmp_path):
    file = tmp_path / "north.csv"
    table = tmp_path / "windows.csv"
    file.write_text("name,latitude_deg,longitude_deg\nd0,60,20\nd1,60.1,20.1")
    times = "2026-08-22T0{0}:00:00Z,2026-08-22T0{0}:10:00Z"
    rows = [f"North,{times.format(1)}", f"South,{times.format(2)}"]
    table.write_text("\n".join(["site,rise_utc,set_utc", *rows]))
    horizon = tmp_path / "roof.txt"
    horizon.write_text("0 5\n90 40\n180 5\n270 12\n")
    north = {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "places_path": str(file)}
    south = {"name": "South", "latitude_deg": -35, "longitude_deg": 150}
    clusters = [north, south | {"min_elevation_deg": str(horizon)}]
    placed = orbit_scenario(ground={"clusters": clusters}, learning=QUIET)
    for scenario, path in ((placed, file), (ready(table), table)):
        result = sim.run(scenario)
        path.unlink()
        horizon.unlink(missing_ok=True)
        again = sim.run(scenarios.from_dict(result.manifest["scenario"]))
        assert again.manifest["trace_sha256"] == result.manifest["trace_sha256"]


def test_places_that_do_not_fit_are_told_of():
    near = {"latitude_deg": 60, "longitude_deg": 20}
    checks = sim.run(at_north(near, near | {"min_elevation_deg": 89.9})).checks
    [silent] = [check for check in checks if check.code == "silent-devices"]
    assert silent.sentence == "1 device of North sent nothing while others there did"
    with pytest.raises(InputError, match="device 'lost' of 'North' is 1112 km"):
        make_plan(at_north(near, {"name": "lost", "latitude_deg": 50, "longitude_deg": 20}))


def by_chance(name="urban", devices=3, *others, **more):
    here = {"name": "Here", "latitude_deg": 60.0, "longitude_deg": 20.0, "devices": devices}
    here["radius_km"] = more.pop("radius_km", 0.0)
    ground = {"clusters": [here, *others]}
    return orbit_scenario(stop={"days": 1}, ground=ground, link={"environment": name}, **more)


def rows_of(scenario):
    """The same payload in every session of the cluster Here: rows of the first three devices."""
    plan = make_plan(scenario)
    contacts = [contact for contact in plan.contacts if contact.cluster.name == "Here"]
    sessions = range(len(plan.sessions(contacts[0].cluster)))
    told = talk(contacts, [upload(3e6, n) for n in sessions], plan=plan)
    rows = told.rows("device", "version", "start_s", "end_s", "delivered_bytes", "outcome")
    return [row for row in rows if row[0] < 3]


def test_nobody_else_changes_the_luck_of_a_device_but_the_seed_does():
    """With a radius of 0 all devices are in one place, whatever the seed."""
    rows = rows_of(by_chance())
    assert len(rows) > 6
    elsewhere = {"name": "Elsewhere", "latitude_deg": -20.0, "longitude_deg": -120.0}
    assert rows_of(by_chance("urban", 4, elsewhere)) == rows
    assert rows_of(by_chance(seed=4)) != rows
    assert rows_of(by_chance(None)) == rows_of(by_chance(None, seed=4))


def test_the_doppler_shift_is_that_of_the_range_rate_and_what_is_left_of_it_for_a_device():
    """Largest at the rise or set, 40 kHz at 2 GHz; against a quarter of a second all along."""
    scenario = by_chance(None, 8, radius_km=50.0)
    contacts, [satellite] = make_plan(scenario).contacts, inner.satellites_of(scenario)
    centre = inner.ground_sites(scenario)[0]
    devices = list(inner.device_sites(scenario, 0))
    for contact in list(contacts)[:6]:
        largest_hz, left_hz = contact.links.doppler_hz
        time_s = np.append(np.arange(contact.rise_s, contact.set_s, 0.25), contact.set_s)
        over, looks = (
            orbit.look_angles(satellite, sites, scenario.start, time_s)
            for sites in ([centre], devices)
        )
        ends = over.range_rate_km_s[[0, -1], 0]
        assert largest_hz == pytest.approx(np.abs(channel.doppler_hz(ends, 2e9)).max(), rel=1e-6)
        left = (looks.range_rate_km_s - over.range_rate_km_s)[looks.elevation_deg >= 10.0]
        assert left_hz == pytest.approx(2e9 * np.abs(left).max() / 299_792.458, rel=3e-3)
    assert max(contact.links.doppler_hz[0] for contact in contacts) > 40e3


@pytest.mark.parametrize("inclination_deg", [30.0, 140.0])
def test_a_place_that_no_such_orbit_reaches_is_told_so(inclination_deg):
    """At 550 km a mask of 10 degrees is 14.95 degrees of the Earth's arc away."""
    reach_deg = min(inclination_deg, 180.0 - inclination_deg) + 14.95

    def over(latitude_deg):
        place = {"name": "a", "latitude_deg": latitude_deg, "longitude_deg": 0.0}
        flown = {"source": "circular", "altitude_km": 550, "inclination_deg": inclination_deg}
        return made({"orbit": flown, "ground": {"clusters": [place]}, "stop": {"days": 4}})

    assert make_plan(over(reach_deg - 0.5)).contacts
    with pytest.raises(InputError, match="seen up to"):
        make_plan(over(reach_deg + 0.6))


@pytest.mark.parametrize("source", [{}, WALKER])
def test_a_drawn_start_differs_by_seed_and_is_as_if_it_had_been_given(source):
    first = scenarios.from_dict(ORBIT).start
    drawn = {"after": first.isoformat(), "within_days": 3}
    flown = {"orbit": source} if source else {}
    plans = [make_plan(made({"seed": seed, "start": drawn}, flown)) for seed in range(1, 9)]
    starts = {plan.start for plan in plans}
    assert len(starts) == 8 and min(starts) >= first
    assert timedelta(days=1) < max(starts) - min(starts) <= timedelta(days=3)
    given = make_plan(made({"seed": 8, "start": plans[-1].start}, flown))
    assert [c.rise_s for c in given.contacts] == [c.rise_s for c in plans[-1].contacts]


def test_a_start_is_drawn_behind_the_epoch_of_elements():
    scenario = scenarios.load("quickstart", {"start": {"within_days": 2}, "learning.train": False})
    [satellite] = inner.satellites_of(scenario)
    behind = make_plan(scenario).start - satellite.epoch
    assert timedelta(0) < behind <= timedelta(days=2)


def test_elements_that_are_broken_are_refused_or_left_out():
    broken = f"{DECAYING.splitlines()[0]}\n{IRIDIUM}"
    with pytest.raises(ValueError, match=r"orbit.elements:1 .* line 1 is not followed by a line 2"):
        make_plan(published(broken))
    skipped = make_plan(published(broken, orbit={"skip_bad": True}))
    left_out = "orbit.skip_bad: left out: orbit.elements:1 "
    assert [doubt for doubt in skipped.doubts if str(doubt).startswith(left_out)]
    assert skipped.contacts


def test_satellites_of_one_name_are_told_apart_by_their_numbers():
    """One that is listed twice is one satellite."""
    twins = "".join(f"TWIN\n{DECAYING.replace('25544', n)}" for n in ("25544", "25545", "25544"))
    named = {("TWIN (25544)", 25544), ("TWIN (25545)", 25545)}
    assert flown(make_plan(published(twins, orbit={"serving": "any"}))) == named
    for written, number in (
        ("25544", 25544), ("25545", 25545), ("TWIN (25545)", 25545), ("T0000", 270000),
        ("270000", 270000),
    ):  # fmt: skip
        elements = twins.replace("25545", "T0000") if number == 270000 else twins
        one = make_plan(published(elements, orbit={"satellite": written}))
        assert {norad_id for _, norad_id in flown(one)} == {number}
    with pytest.raises(InputError, match=r"called 'TWIN': TWIN \(25544\), TWIN \(25545\)"):
        make_plan(published(twins, orbit={"satellite": "TWIN"}))
