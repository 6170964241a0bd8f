"""Sessions of several contacts: transfers that go over a hand-over, and what satellites know."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channel import LinkCurve
from tests.kit.learning import Cluster, Download, Payload, Upload
from tests.kit.network import (
    Beam,
    ContactLinks,
    DeviceLinks,
    Devices,
    PlannedContact,
    Synchronisation,
)
from tests.kit.records import Trace
from tests.kit.talk import compute, converse


def contact(
    cluster: Cluster, number: int, session: int, satellite: str, start_s: float, end_s: float,
    rates: np.ndarray, down: bool = False,
) -> PlannedContact:  # fmt: skip
    """A contact that is served from start to end; device k has the constant rate ``rates[k]``."""
    time = np.tile([start_s, end_s], (cluster.devices, 1))
    curve = LinkCurve(time, np.repeat(rates[:, None], 2, axis=1))
    links = ContactLinks(lambda: DeviceLinks(Beam(curve), Beam(curve) if down else None))
    return PlannedContact(
        number, session, satellite, number, cluster, start_s, start_s, end_s, 90.0, 600.0, True,
        start_s, end_s, links,
    )  # fmt: skip


def rows_of(trace: Trace, table: str) -> list[dict]:
    return trace.tables()[table].to_pylist()


def test_an_upload_goes_on_over_a_hand_over_and_a_gap() -> None:
    cluster, trace = Cluster("c", 0, 2), Trace()
    rates = np.array([8.0, 16.0])
    session = [
        contact(cluster, 0, 0, "first", 0.0, 10.0, rates),
        contact(cluster, 1, 0, "second", 10.0, 20.0, rates),
        contact(cluster, 2, 0, "third", 25.0, 40.0, rates),
    ]
    payload = Payload("a", 30.0)
    [(up,)] = converse(session, [[Upload(payload)]], Devices(cluster, compute()), trace)
    # 1 byte a second: 20 s of two contacts, a gap of 5 s, 10 s of the third; twice as fast: 15 s.
    assert up.end_s.tolist() == [35.0, 15.0]
    told = [
        (r["device"], r["contact_id"], r["start_s"], r["end_s"], r["delivered_bytes"], r["outcome"])
        for r in rows_of(trace, "transfers")
    ]
    assert sorted(told) == [
        (0, 0, 0.0, 10.0, 10.0, "carried"),
        (0, 1, 10.0, 20.0, 10.0, "carried"),
        (0, 2, 25.0, 35.0, 10.0, "delivered"),
        (1, 0, 0.0, 10.0, 20.0, "carried"),
        (1, 1, 10.0, 15.0, 10.0, "delivered"),
    ]


def test_what_is_given_up_is_dropped_in_the_sessions_last_contact_only() -> None:
    cluster, trace = Cluster("c", 0, 1), Trace()
    session = [
        contact(cluster, n, 0, f"s{n}", 10.0 * n, 10.0 * n + 10, np.array([8.0])) for n in (0, 1)
    ]
    steps = [[Upload(Payload("gate", 25.0), carry=False)]]
    [(up,)] = converse(session, steps, Devices(cluster, compute()), trace)
    assert up.left_bytes.tolist() == [25.0]
    assert up.given_up.tolist() == [True]
    assert [r["outcome"] for r in rows_of(trace, "transfers")] == ["carried", "dropped"]
    assert [r["kind"] for r in rows_of(trace, "events")].count("drop") == 1


def test_a_device_may_see_only_one_of_the_satellites() -> None:
    cluster, trace = Cluster("c", 0, 2), Trace()
    first = contact(cluster, 0, 0, "first", 0.0, 10.0, np.array([8.0, 8.0]))
    late = LinkCurve(np.array([[10.0, 30.0], [14.0, 14.0]]), np.array([[8.0, 8.0], [0.0, 0.0]]))
    second = contact(cluster, 1, 0, "second", 10.0, 30.0, np.array([8.0, 8.0]))
    second = PlannedContact(
        **{**vars(second), "links": ContactLinks(lambda: DeviceLinks(Beam(late)))}
    )
    steps = [[Upload(Payload("a", 15.0))]]
    [(up,)] = converse([first, second], steps, Devices(cluster, compute()), trace)
    assert up.done.tolist() == [True, False]
    assert up.left_bytes.tolist() == [0.0, 5.0]
    told = [(r["device"], r["contact_id"], r["outcome"]) for r in rows_of(trace, "transfers")]
    assert sorted(told) == [(0, 0, "carried"), (0, 1, "delivered"), (1, 0, "carried")]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    devices=st.integers(1, 3),
    sizes=st.lists(st.floats(1.0, 3e3), min_size=1, max_size=3),
)
def test_bytes_are_conserved_over_any_sessions(seed: int, devices: int, sizes: list[float]) -> None:
    rng = np.random.default_rng(seed)
    cluster, trace = Cluster("c", 0, devices), Trace()
    rates, at_s, number, contacts = rng.uniform(1, 1e3, devices), 0.0, 0, []
    for session in range(3):
        at_s += 500.0
        for _ in range(rng.integers(1, 4)):
            lasts_s = rng.uniform(1, 60)
            place = (at_s, at_s + lasts_s, rates)
            contacts.append(contact(cluster, number, session, f"s{number}", *place))
            number, at_s = number + 1, at_s + lasts_s + rng.choice([0.0, rng.uniform(0, 20)])
    steps = [Upload(Payload(f"p{i}", size)) for i, size in enumerate(sizes)]
    replies = converse(contacts, [steps] * 3, Devices(cluster, compute()), trace)
    rows = trace.tables()["transfers"].to_pandas()
    for row in rows.itertuples():
        there = contacts[row.contact_id]
        assert there.start_s <= row.start_s < row.end_s <= there.end_s
        lasted_s = row.end_s - row.start_s
        assert row.delivered_bytes * 8 == pytest.approx(rates[row.device] * lasted_s, rel=1e-6)
    for k in range(devices):
        first = rows[(rows.device == k) & (rows.payload == "p0")]
        through = sum(reply[0].done[k] for reply in replies) * sizes[0]
        rest = 0.0 if replies[-1][0].done[k] else sizes[0] - replies[-1][0].left_bytes[k]
        assert first.delivered_bytes.sum() == pytest.approx(through + rest, rel=1e-9)


def test_a_satellite_knows_what_others_received_after_the_delay() -> None:
    knows = Synchronisation(30.0)
    assert knows.known_s("a") == -math.inf
    knows.received("a", 100.0)
    knows.received("a", 90.0)
    assert knows.known_s("a") == -math.inf
    assert knows.known_s("b") == 130.0
    ideal = Synchronisation(0.0)
    ideal.received("a", 100.0)
    assert ideal.known_s("b") == -math.inf


@pytest.mark.parametrize("down", [False, True])
def test_a_download_waits_for_what_another_satellite_has_received(down: bool) -> None:
    cluster, trace = Cluster("c", 0, 1), Trace()
    rates = np.array([8.0])
    contacts = [
        contact(cluster, 0, 0, "first", 0.0, 20.0, rates, down),
        contact(cluster, 1, 1, "second", 100.0, 200.0, rates, down),
        contact(cluster, 2, 2, "second", 300.0, 400.0, rates, down),
    ]
    download = Download(Payload("m", 5.0))
    steps = [[Upload(Payload("a", 10.0)), download], [download], [download]]
    devices = Devices(cluster, compute())
    replies = converse(contacts, steps, devices, trace, delay_s=150.0)
    takes_s = 5.0 if down else 0.0
    # Up at 10 s, and of use when the chain ends: the other satellite knows it 150 s later.
    assert replies[0][1].end_s.tolist() == [10.0 + takes_s]
    assert replies[1][0].end_s.tolist() == [160.0 + takes_s + takes_s]
    assert replies[2][0].end_s.tolist() == [300.0 + takes_s]
    waits = [r for r in rows_of(trace, "events") if r["kind"] == "wait"]
    assert [(r["time_s"], r["contact_id"]) for r in waits] == [(100.0, 1)]
    assert waits[0]["detail"] == f"synchronisation: until {160.0 + takes_s:.3f} s"


def test_a_state_that_comes_after_the_contact_is_not_downloaded_in_it() -> None:
    cluster, trace = Cluster("c", 0, 1), Trace()
    contacts = [
        contact(cluster, 0, 0, "first", 0.0, 20.0, np.array([8.0])),
        contact(cluster, 1, 1, "second", 100.0, 120.0, np.array([8.0])),
    ]
    steps = [[Upload(Payload("a", 10.0))], [Download(Payload("m", 5.0))]]
    replies = converse(contacts, steps, Devices(cluster, compute()), trace, delay_s=150.0)
    assert not replies[1][0].done.any()


def test_what_is_aggregated_when_the_last_device_is_cut_off_is_known_only_from_then_on() -> None:
    """One device is through at 10 s; the other never, so that its chain ends at the set, 60 s."""
    cluster, trace = Cluster("c", 0, 2), Trace()
    contacts = [
        contact(cluster, 0, 0, "first", 0.0, 60.0, np.array([8.0, 0.1])),
        contact(cluster, 1, 1, "second", 100.0, 400.0, np.array([8.0, 8.0]), True),
    ]
    steps = [[Upload(Payload("a", 10.0))], [Download(Payload("m", 5.0))]]
    replies = converse(contacts, steps, Devices(cluster, compute()), trace, delay_s=150.0)
    assert replies[0][0].done.tolist() == [True, False]
    assert replies[1][0].end_s.tolist() == [215.0, 215.0]


@pytest.mark.parametrize("down", [False, True])
def test_after_a_hand_over_the_next_satellite_must_know_the_state_too(down: bool) -> None:
    cluster, trace = Cluster("c", 0, 1), Trace()
    rates = np.array([8.0])
    contacts = [
        contact(cluster, 0, 0, "other", 0.0, 20.0, rates, down),
        contact(cluster, 1, 1, "first", 100.0, 130.0, rates, down),
        contact(cluster, 2, 1, "second", 130.0, 300.0, rates, down),
    ]
    up, download = Upload(Payload("a", 10.0)), Download(Payload("m", 5.0))
    # The first satellite receives an upload at 110 s; asked for there, a download waits to 160 s
    # for what the other satellite received at 10 s. By then the second one serves, which learns of
    # the upload at 110 s + 150 s only.
    steps = [[up], [Upload(Payload("b", 10.0))], [download]]
    devices = Devices(cluster, compute())
    got = converse(contacts, steps, devices, trace, 150.0, fresh=[True, True, False])
    takes_s = 5.0 if down else 0.0
    assert got[2][0].end_s.tolist() == [260.0 + takes_s]
    if down:
        rows = [r for r in rows_of(trace, "transfers") if r["direction"] == "downlink"]
        assert [(r["contact_id"], r["start_s"], r["end_s"]) for r in rows] == [(2, 260.0, 265.0)]
