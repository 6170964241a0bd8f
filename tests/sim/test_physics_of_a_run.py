"""What the traces say happened, against Skyfield and against the rate along the pass."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from scipy.integrate import quad
from skyfield.api import load as skyfield_load
from skyfield.api import wgs84

import channel
import orbit
import scenarios
import sim
from learning import stream
from tests.kit.network import cluster_radios, make_plan, satellites_of
from tests.kit.small import orbit as orbit_scenario
from tests.kit.small import slots


def test_full_skyfield_sees_the_mask_at_every_rise_and_set_of_quickstart() -> None:
    from skyfield.api import EarthSatellite

    scenario = scenarios.load("quickstart")
    plan = make_plan(scenario)
    time = skyfield_load.timescale(builtin=True)
    text = scenarios.element_file(scenario).read_text().splitlines()
    satellite = EarthSatellite(text[1], text[2], text[0], time)
    places = {c.name: c for c in scenario.ground.clusters}
    assert len(plan.contacts) > 100
    for contact in plan.contacts:
        place = places[contact.cluster.name]
        ground = wgs84.latlon(place.latitude_deg, place.longitude_deg, place.altitude_m)
        when = time.from_datetimes([plan.utc(contact.rise_s), plan.utc(contact.set_s)])
        elevation = (satellite - ground).at(when).altaz()[0].degrees
        assert np.abs(elevation - scenario.orbit.min_elevation_deg).max() < 2e-4


@pytest.fixture(scope="module")
def over_orbit() -> sim.Result:
    return sim.run(orbit_scenario(learning={"method": "emsfl"}))


def test_an_upload_ends_when_the_integral_of_the_rate_has_carried_it(
    over_orbit: sim.Result,
) -> None:
    scenario = orbit_scenario()
    [satellite], uplink = satellites_of(scenario), cluster_radios(scenario)[0][0].link
    cluster = scenario.ground.clusters[0]
    centre = orbit.Site(cluster.name, cluster.latitude_deg, cluster.longitude_deg)
    generator = stream(scenario.seed, "place", cluster.name)
    devices = orbit.place_devices(centre, cluster.devices, cluster.radius_km, generator)

    def rate_bps(device: int, time_s: float) -> float:
        looks = orbit.look_angles(satellite, [devices[device]], scenario.start, np.array([time_s]))
        km = looks.slant_range_km[0, 0]
        return float(channel.rate_bps(uplink, looks.elevation_deg[0, 0], km * 1e3))

    rows = over_orbit.transfers
    rows = rows[(rows.cluster == cluster.name) & (rows.direction == "uplink")].head(12)
    assert len(rows) == 12
    for row in rows.itertuples():
        looks = orbit.look_angles(
            satellite, [devices[row.device]], scenario.start, np.array([row.end_s])
        )
        sent_s = row.end_s - looks.slant_range_km[0, 0] / 299_792.458
        bits, _ = quad(lambda t, d=row.device: rate_bps(d, t), row.start_s, sent_s)
        late_s = (bits - 8 * row.delivered_bytes) / rate_bps(row.device, sent_s)
        assert abs(late_s) < 1e-4  # what sim.contact_links promises of its grid


def test_an_expert_upload_is_rank_times_in_plus_out(over_orbit: sim.Result) -> None:
    rows = over_orbit.transfers
    uploads = rows[rows.payload.str.startswith("experts:")]
    uploads = uploads[uploads.direction == "uplink"]
    rank, hidden, inner = 2, 16, 16
    assert set(uploads.payload_bytes) == {rank * ((hidden + inner) + (inner + hidden)) * 4}
    gates = rows[(rows.payload == "gate") & (rows.direction == "uplink")]
    assert set(gates.payload_bytes) == {hidden * 2 * 4}


def test_each_device_sends_only_while_it_sees_the_satellite(over_orbit: sim.Result) -> None:
    plan = make_plan(orbit_scenario())
    assert len(over_orbit.transfers) > 30
    for row in over_orbit.transfers.itertuples():
        curve = plan.contacts[row.contact_id].uplink.curve.device(row.device)
        assert curve.time_s[0] - 1e-9 <= row.start_s < row.end_s <= curve.time_s[-1] + 1e-9


def test_a_payload_larger_than_a_pass_gets_through_over_several() -> None:
    """The snapshot is frozen at its first offer; a new one each pass would never arrive."""
    slow = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 5e-6}}
    result = sim.run(orbit_scenario(stop={"days": 4}, link=slow, learning={"method": "emsfl"}))
    up = result.transfers[result.transfers.direction == "uplink"]
    experts = up[up.payload.str.startswith("experts")]
    assert (experts.outcome == "carried").any()
    done = result.events[result.events.kind == "aggregate"]
    assert done.detail.str.contains("expert").sum() >= 4
    for (_, _, _), rows in experts.groupby(["cluster", "device", "version"]):
        if (rows.outcome == "delivered").any():
            assert rows.delivered_bytes.sum() == pytest.approx(rows.payload_bytes.iloc[0])


def test_a_gate_that_does_not_get_through_is_reported_as_lost() -> None:
    slow = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 5e-6}}
    result = sim.run(orbit_scenario(stop={"days": 2}, link=slow, learning={"method": "emsfl"}))
    lost = result.events[result.events.kind == "fault"]
    assert lost.detail.str.startswith("gate lost").any()


def test_two_clusters_in_view_share_one_beam() -> None:
    near = [
        {"name": "Here", "latitude_deg": 60, "longitude_deg": 20},
        {"name": "There", "latitude_deg": 58, "longitude_deg": 25},
    ]
    result = sim.run(orbit_scenario(ground={"clusters": near}, learning={"train": False}))
    waits = result.events[result.events.kind == "wait"]
    assert len(waits) > 3
    served = result.contacts[result.contacts.served].sort_values("service_start_s")
    assert (served.service_start_s.to_numpy()[1:] >= served.service_end_s.to_numpy()[:-1]).all()
    assert set(waits.contact_id) <= set(result.contacts.contact_id)


def test_slots_follow_each_other_and_hold_one_round_each() -> None:
    result = sim.run(slots(stop={"cycles": 4}, learning={"train": False}))
    rise = result.contacts.rise_s.to_numpy()
    assert rise.tolist() == [600.0 * (3 * (i // 2) + i % 2) for i in range(8)]
    gaps = result.events[(result.events.kind == "train_end") & result.events.contact_id.isna()]
    later = gaps[(gaps.time_s > 1800) & (gaps.time_s <= 6000)]  # the last one is cut by the end
    assert set(later.rounds) == {2}


def test_contact_times_are_utc_of_the_start(over_orbit: sim.Result) -> None:
    start = orbit_scenario().start
    first = over_orbit.contacts.iloc[0]
    offset = first.rise_utc.to_pydatetime() - (start + timedelta(seconds=first.rise_s))
    assert abs(offset.total_seconds()) < 2e-6
