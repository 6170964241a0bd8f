"""What the links of contacts and sessions carry, how long signals take, and until when."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from scipy.integrate import quad

import learning
import orbit
import sim
from channel import LinkCurve
from sim.invariants import check
from tests.kit.learning import (
    Cluster,
    Download,
    Method,
    NextContact,
    Note,
    Payload,
    Protocol,
    Train,
    Upload,
    World,
)
from tests.kit.network import (
    FARTHEST_KM,
    GRID_S_PER_KM,
    Beam,
    ContactLinks,
    DeviceLinks,
    Devices,
    Plan,
    PlannedContact,
    PlannedSession,
    Simulation,
    clusters_of,
    contacts_table,
    device_sites,
    distance_km,
    learner_of,
    make_plan,
    view_of,
)
from tests.kit.records import Journal, Trace
from tests.kit.small import NEAR
from tests.kit.small import orbit as orbit_scenario
from tests.kit.talk import COST, START, band, compute, converse, talk, upload
from tests.kit.talk import contact as plain_contact

LIGHT_M_S = 299_792_458.0


def far_contact(
    number: int, start_s: float, end_s: float, delays_s: Sequence[float], down: bool = False
) -> PlannedContact:
    """8 bit/s to every device from start to end, each at a distance of its own."""
    made = plain_contact(number, start_s, end_s, [8.0] * len(delays_s), session=0)
    curve = made.uplink.curve
    range_m = np.array(delays_s)[:, None] * LIGHT_M_S * np.ones_like(curve.time_s)
    links = DeviceLinks(Beam(curve), Beam(curve) if down else None, curve.time_s, range_m)
    return replace(made, links=ContactLinks(lambda: links, start_s, end_s))


def cut(made: PlannedContact, start_s: float, end_s: float) -> PlannedContact:
    """The same contact, served for a part of it."""
    links = ContactLinks(lambda: made.links.devices, start_s, end_s)
    return replace(made, start_s=start_s, end_s=end_s, links=links)


# -- a lone contact that is not served from its rise to its set


@pytest.mark.parametrize("sharing", ["fixed_subchannel", "rounds", "broadcast"])
def test_nothing_is_carried_behind_the_cut_of_a_lone_contact(sharing: str) -> None:
    """The beam goes on to another cluster at 5 s; alone the 9 bytes would be through at 9 s."""
    lone = cut(plain_contact(0, 0.0, 10.0, [8.0, 8.0], radio=band(4, sharing)), 0.0, 5.0)
    told = talk([lone], [upload(9.0)])
    [[up]] = told.replies
    assert up.delivered_bytes.tolist() == [5.0, 5.0]
    assert up.left_bytes.tolist() == [4.0, 4.0]
    assert told.rows("end_s", "outcome") == [(5.0, "carried")] * 2
    assert PlannedSession(0, (lone,)).uplink.curve.capacity_bits.tolist() == [40.0, 40.0]


def test_nothing_is_carried_before_a_lone_contact_gets_its_beam() -> None:
    late = cut(plain_contact(0, 0.0, 10.0, [8.0]), 4.0, 10.0)
    told = talk([late], [upload(9.0)])
    assert told.rows("start_s", "end_s", "delivered_bytes") == [(4.0, 10.0, 6.0)]
    assert PlannedSession(0, (late,)).uplink.curve.capacity_bits.tolist() == [48.0]


def test_in_a_run_no_row_ends_behind_its_service() -> None:
    """Slow enough that everybody sends until the beam is taken over."""
    slow = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 5e-6}}
    where = {"clusters": NEAR}
    result = sim.run(orbit_scenario(ground=where, link=slow, learning={"train": False}))
    check(result.tables)
    taken = result.contacts[result.contacts.service_end_s < result.contacts.set_s - 1.0]
    rows = result.transfers[result.transfers.direction == "uplink"]
    spans = result.contacts.set_index("contact_id").loc[rows.contact_id]
    assert (rows.start_s.to_numpy() >= spans.service_start_s.to_numpy() - 1e-9).all()
    assert (rows.end_s.to_numpy() <= spans.service_end_s.to_numpy() + 1e-9).all()
    cut_off = rows[rows.contact_id.isin(taken.contact_id) & (rows.outcome != "delivered")]
    assert len(cut_off) > 3


# -- a session of two contacts


def test_the_delay_is_that_of_the_contact_in_use() -> None:
    session = PlannedSession(
        0, (far_contact(0, 0.0, 10.0, [0.010, 0.020]), far_contact(1, 15.0, 30.0, [0.003, 0.004]))
    )
    for time_s, delay_s in (
        (0.0, [0.010, 0.020]),
        (10.0, [0.010, 0.020]),
        (14.9, [0.010, 0.020]),  # in the gap the last one is in use
        (15.0, [0.003, 0.004]),
        (29.0, [0.003, 0.004]),
    ):
        assert session.delay_s(np.full(2, time_s)) == pytest.approx(delay_s, rel=1e-12)
    assert session.delay_s(np.array([20.0, 5.0])) == pytest.approx([0.003, 0.020], rel=1e-12)


def test_a_payload_arrives_by_the_satellite_that_got_its_last_bit() -> None:
    contacts = [far_contact(0, 0.0, 10.0, [0.010] * 2), far_contact(1, 15.0, 30.0, [0.003] * 2)]
    steps = [Upload(Payload("a", np.array([12.0, 6.0])))]
    [[up]] = talk(contacts, [steps]).replies
    assert up.end_s == pytest.approx([17.003, 6.010], abs=1e-12)


def test_ready_in_a_gap_is_in_service_when_the_next_contact_begins() -> None:
    contacts = (plain_contact(0, 0.0, 10.0, [8.0] * 6), plain_contact(1, 15.0, 20.0, [8.0] * 6))
    ready_s = np.array([-3.0, 9.0, 10.0, 12.0, 15.0, 25.0])
    in_service_s = PlannedSession(0, contacts).in_service_s(ready_s)
    assert in_service_s.tolist() == [0.0, 9.0, 10.0, 15.0, 15.0, 20.0]


@pytest.mark.parametrize(("size", "down_s"), [(10.0, 10.0), (10.5, 15.5)])
def test_who_is_ready_when_a_contact_ends_is_ready_then(size: float, down_s: float) -> None:
    """A neglected downlink takes no time: it is through at once, with a gap of 5 s behind."""
    contacts = [plain_contact(0, 0.0, 10.0, [8.0], session=0),
                plain_contact(1, 15.0, 30.0, [8.0], session=0)]  # fmt: skip
    steps = [Upload(Payload("a", size)), Download(Payload("m", 1.0))]
    [[up, down]] = talk(contacts, [steps]).replies
    assert up.end_s.tolist() == down.end_s.tolist() == [down_s]


# -- rounds that fill a contact


FITS = {
    "fixed_subchannel": {2: 7, 3: 5, 4: 5, 6: 2},
    "rounds": {2: 7, 3: 6, 4: 5, 6: 2},
    "equal_share": {2: 7, 3: 6, 4: 5, 6: 2},
}
"""Rounds of 10 s that 100 s hold in front of an upload, by sharing and devices."""


def crowds() -> Iterator[tuple[str, int, int]]:
    for sharing, by_devices in FITS.items():
        for devices, rounds in by_devices.items():
            yield sharing, devices, rounds


@pytest.mark.parametrize(("sharing", "devices", "rounds"), [*crowds()])
def test_rounds_leave_time_for_an_upload_in_a_crowd(sharing, devices, rounds) -> None:
    """An upload takes 25 s on one of two sub-channels, and 25 s K / 2 for K devices.

    Where they queue, the last of an odd number takes a whole turn.
    """
    here = plain_contact(0, 0.0, 100.0, [1e3] * devices, radio=band(2, sharing))
    everybody = Devices(Cluster("c", 0, devices), compute(per_contact=None))
    steps = [Train(COST), Upload(Payload("a", 25.0 * 125.0))]
    [(work, up)] = converse([here], [steps], everybody, Trace())
    assert work.rounds.tolist() == [rounds] * devices
    assert up.done.all()
    assert (up.end_s <= 100.0).all()


# -- what a contact can carry


def ramp() -> LinkCurve:
    """10 + 2 t and 20 - t bit/s from 0 to 10 s."""
    return LinkCurve(np.tile([0.0, 10.0], (2, 1)), np.array([[10.0, 30.0], [20.0, 10.0]]))


def test_a_shortened_contact_carries_what_falls_into_its_service() -> None:
    links = ContactLinks(lambda: DeviceLinks(Beam(ramp())), 2.0, 7.0)
    # The integrals: 10 t + t^2 and 20 t - t^2 / 2.
    assert (links.capacity_bytes * 8).tolist() == [200.0, 150.0]
    assert (links.capacity_in_service_bytes * 8) == pytest.approx([95.0, 77.5], rel=1e-12)


def test_what_is_not_served_carries_nothing_in_service() -> None:
    links = ContactLinks(lambda: DeviceLinks(Beam(ramp())), math.nan, math.nan)
    assert links.capacity_in_service_bytes.tolist() == [0.0, 0.0]
    assert (links.capacity_bytes * 8).tolist() == [200.0, 150.0]


def test_a_session_has_the_sum_of_its_services_of_its_poorest_device() -> None:
    whole = plain_contact(0, 0.0, 10.0, [8.0, 8.0], session=0)
    whole = replace(whole, links=ContactLinks(lambda: DeviceLinks(Beam(ramp()))))
    session = PlannedSession(0, (cut(whole, 0.0, 5.0), cut(whole, 5.0, 8.0)))
    # 75 + 69 bits and 87.5 + 40.5 bits.
    assert session.capacity_bytes * 8 == pytest.approx(128.0, rel=1e-12)


def test_contacts_of_a_plan_carry_the_integral_of_their_rate() -> None:
    contacts = make_plan(orbit_scenario(ground={"clusters": NEAR}, stop={"days": 1})).contacts
    shortened = [contact for contact in contacts if contact.cut_short]
    unserved = [contact for contact in contacts if not contact.served]
    assert len(shortened) > 1
    for contact in shortened[:3]:
        curve = contact.uplink.curve.device(0)
        for span_s, bits in (
            ((contact.start_s, contact.end_s), contact.links.capacity_in_service_bytes[0] * 8),
            ((contact.rise_s, contact.set_s), contact.links.capacity_bytes[0] * 8),
        ):
            inside = curve.time_s[(curve.time_s > span_s[0]) & (curve.time_s < span_s[1])]
            edges = [span_s[0], *inside, span_s[1]]
            parts = [quad(curve.rate_at_bps, a, b)[0] for a, b in pairwise(edges)]
            assert bits == pytest.approx(sum(parts), rel=1e-9)
        assert (contact.links.capacity_in_service_bytes < contact.links.capacity_bytes).all()
    for contact in unserved[:3]:
        assert (contact.links.capacity_in_service_bytes == 0.0).all()
        assert (contact.links.capacity_bytes > 0.0).all()


# -- the last bits


class OneUpload(Method):
    """Sends 10 bytes and tells of it when they are there."""

    def cluster(self, me: Cluster) -> Protocol:
        yield NextContact()
        yield Upload(Payload("a", 10.0))
        yield Note("aggregate", 1, "a")

    def model(self) -> learning.Handle:
        return self.learner.start()


def run_of_one(delay_s: float) -> dict[str, pa.Table]:
    """Tables of a contact from 0 to 10 s whose last bit is sent when it ends."""
    cluster = Cluster("c", 0, 1)
    plan = Plan(START, 100.0, (cluster,), (far_contact(0, 0.0, 10.0, [delay_s]),))
    learner = learner_of(orbit_scenario(learning={"train": False}))
    method = OneUpload(World((cluster,), 1, 1, learner, 0))
    run = Simulation(plan, method, compute(), Journal())
    run.run(lambda number: None)
    tables = run.trace.tables()
    tables["contacts"] = contacts_table(plan, run.end_s)
    return tables


@pytest.mark.parametrize("delay_s", [0.0, 0.010, 0.3])
def test_what_arrives_right_behind_a_contact_belongs_to_it(delay_s: float) -> None:
    tables = run_of_one(delay_s)
    check(tables)
    [row] = tables["transfers"].to_pylist()
    assert row["end_s"] == pytest.approx(10.0 + delay_s, abs=1e-12)
    assert (row["contact_id"], row["outcome"]) == (0, "delivered")
    [made] = [event for event in tables["events"].to_pylist() if event["kind"] == "aggregate"]
    assert made["time_s"] == row["end_s"]
    assert made["contact_id"] == 0


@pytest.mark.parametrize("delay_s", [2.0, 30.0])
def test_what_arrives_long_behind_a_contact_belongs_to_none(delay_s: float) -> None:
    """No satellite is as far away as 2 s: such a row contradicts its contact."""
    with pytest.raises(sim.InvariantError, match="no transfer outside its contact"):
        run_of_one(delay_s)


# -- the grid of a wide cluster


def test_a_wide_cluster_has_the_grid_of_its_nearest_device() -> None:
    """Near a device the link changes faster than near the middle of its cluster."""
    wide = {"name": "A", "latitude_deg": 60.0, "longitude_deg": 20.0, "devices": 6}
    ground = {"clusters": [{**wide, "radius_km": 400.0}]}
    scenario = orbit_scenario(ground=ground, stop={"days": 2})
    view, sites = view_of(scenario), device_sites(scenario, 0)
    centre = view.places[0]
    spread_km = max(distance_km(centre, site) for site in sites)
    assert clusters_of(scenario)[0].devices == len(sites) == 6
    assert spread_km > 200.0
    finer = 0
    for contact in make_plan(scenario).contacts:
        near_km = max(contact.min_slant_range_km - spread_km, 150.0)
        if contact.min_slant_range_km > FARTHEST_KM or contact.set_s - contact.rise_s < 400.0:
            continue
        times_s = contact.links.devices.time_s
        assert times_s is not None
        step_s = np.diff(times_s, axis=1).max()
        assert step_s <= GRID_S_PER_KM * near_km * (1 + 1e-9)
        looks = orbit.look_angles(view.satellites[0], sites, scenario.start, times_s[0])
        assert looks.slant_range_km.min() >= near_km
        finer += step_s < 0.8 * GRID_S_PER_KM * contact.min_slant_range_km
    assert finer > 2
