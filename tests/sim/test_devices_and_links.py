"""Compute time and transfers of a cluster's devices, on hand-made contacts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channel import LinkCurve
from tests.kit.learning import Chain, Cluster, Download, Payload, Train, Upload
from tests.kit.network import (
    Beam,
    ContactLinks,
    DeviceLinks,
    Devices,
    PlannedContact,
    whole_rounds,
)
from tests.kit.records import Trace
from tests.kit.talk import COST, compute, converse
from tests.kit.talk import uplink_contact as contact


@pytest.mark.parametrize(("seconds", "round_s"), [(0.7, 0.1), (2.1, 0.3), (1800.0, 600.0)])
def test_rounds_are_counted_whole_in_spite_of_rounding(seconds: float, round_s: float) -> None:
    assert whole_rounds(np.array([seconds]), round_s)[0] == round(seconds / round_s)
    assert whole_rounds(np.array([seconds - 0.01 * round_s]), round_s)[0] == (
        round(seconds / round_s) - 1
    )


def test_a_round_that_a_contact_cuts_off_goes_on_in_the_next_gap() -> None:
    devices = Devices(Cluster("c", 0, 1), compute())
    everybody = np.ones(1, bool)
    counts = [devices.gap_rounds(COST, everybody, t, t + 16.0)[0][0] for t in (0.0, 100.0, 200.0)]
    # 16 s hold one round and 6 s of the next: 22 s, then 18 s.
    assert counts == [1, 2, 1]


def test_a_device_that_is_busy_begins_later() -> None:
    devices = Devices(Cluster("c", 0, 2), compute())
    devices.free_s = np.array([0.0, 30.0])
    rounds, begin, end = devices.gap_rounds(COST, np.ones(2, bool), 5.0, 45.0)
    assert rounds.tolist() == [4, 1]
    assert begin.tolist() == [5.0, 30.0]
    assert end.tolist() == [45.0, 40.0]


def test_flops_over_speed_is_the_time_of_a_round() -> None:
    assert compute(seconds_per_round=None, flops_per_s=2e8).round_s(COST) == 5.0


def test_each_device_runs_through_the_chain_on_its_own_clock() -> None:
    cluster = Cluster("c", 0, 2)
    here = contact(cluster, 100.0, 200.0, np.array([80.0, 8.0]))
    devices, trace = Devices(cluster, compute()), Trace()
    steps = [Upload(Payload("a", 10.0)), Train(COST), Upload(Payload("b", 20.0))]
    [(first, work, second)] = converse([here], [steps], devices, trace)
    assert first.end_s.tolist() == [101.0, 110.0]
    assert work.end_s.tolist() == [111.0, 120.0]
    assert second.end_s.tolist() == [113.0, 140.0]
    assert devices.free_s.tolist() == [111.0, 120.0]


def test_a_neglected_downlink_takes_no_time_but_its_bytes_are_told() -> None:
    cluster = Cluster("c", 0, 1)
    here, trace = contact(cluster, 0.0, 50.0, np.array([8.0])), Trace()
    replies = converse([here], [[Download(Payload("m", 1e9))]], Devices(cluster, compute()), trace)
    assert replies[0][0].done.all()
    [row] = trace.tables()["transfers"].to_pylist()
    assert (row["start_s"], row["end_s"]) == (0.0, 0.0)
    assert (row["delivered_bytes"], row["outcome"]) == (1e9, "delivered")


def test_training_past_the_set_time_ends_and_its_upload_waits() -> None:
    cluster = Cluster("c", 0, 1)
    passes = [contact(cluster, 0.0, 8.0, np.array([8.0]))]
    devices, trace = Devices(cluster, compute()), Trace()
    [(work, up)] = converse(passes, [[Train(COST), Upload(Payload("a", 1.0))]], devices, trace)
    assert work.rounds.tolist() == [1]
    assert not up.done.any()
    assert up.left_bytes.tolist() == [1.0]


def test_a_partial_upload_of_an_older_version_is_forgotten() -> None:
    cluster = Cluster("c", 0, 1)
    passes = [contact(cluster, t, t + 10.0, np.array([8.0])) for t in (0.0, 100.0, 200.0)]
    uploads = [[Upload(Payload("a", 15.0, version))] for version in (1, 2, 2)]
    trace = Trace()
    replies = converse(passes, uploads, Devices(cluster, compute()), trace)
    assert [reply[0].left_bytes[0] for reply in replies] == [5.0, 5.0, 0.0]
    outcomes = trace.tables()["transfers"].column("outcome").to_pylist()
    assert outcomes == ["carried", "carried", "delivered"]


def test_what_is_not_carried_over_is_dropped() -> None:
    cluster = Cluster("c", 0, 1)
    passes = [contact(cluster, t, t + 10.0, np.array([8.0])) for t in (0.0, 100.0)]
    uploads = [[Upload(Payload("gate", 15.0), carry=False)]] * 2
    trace = Trace()
    replies = converse(passes, uploads, Devices(cluster, compute()), trace)
    assert [reply[0].left_bytes[0] for reply in replies] == [15.0, 15.0]
    kinds = trace.tables()["events"].column("kind").to_pylist()
    assert kinds.count("drop") == 2


@settings(max_examples=60, deadline=None)
@given(
    rates=st.lists(st.floats(1.0, 1e4), min_size=1, max_size=5),
    sizes=st.lists(st.floats(1.0, 1e4), min_size=1, max_size=4),
    lasts=st.lists(st.floats(1.0, 300.0), min_size=1, max_size=6),
)
def test_bytes_are_conserved_over_any_contacts(
    rates: list[float], sizes: list[float], lasts: list[float]
) -> None:
    cluster = Cluster("c", 0, len(rates))
    passes = [
        contact(cluster, 1000.0 * i, 1000.0 * i + last, np.array(rates))
        for i, last in enumerate(lasts)
    ]
    steps = [Upload(Payload(f"p{i}", size)) for i, size in enumerate(sizes)]
    trace = Trace()
    replies = converse(passes, [steps] * len(passes), Devices(cluster, compute()), trace)
    rows = trace.tables()["transfers"].to_pandas()
    for k, rate in enumerate(rates):
        mine = rows[rows.device == k]
        # One after the other on one link: never more than the rate allows, never two at once.
        assert (mine.delivered_bytes * 8 <= rate * (mine.end_s - mine.start_s) * (1 + 1e-9)).all()
        starts, ends = mine.start_s.to_numpy(), mine.end_s.to_numpy()
        assert (starts[1:] >= ends[:-1] - 1e-9).all()
        through = sum(reply[0].done[k] * sizes[0] for reply in replies)
        waiting = 0.0 if replies[-1][0].done[k] else sizes[0] - replies[-1][0].left_bytes[k]
        first = mine[mine.payload == "p0"].delivered_bytes.sum()
        assert first == pytest.approx(through + waiting, rel=1e-9)


def test_fill_leaves_time_for_the_upload_behind_it() -> None:
    cluster = Cluster("c", 0, 2)
    here = contact(cluster, 0.0, 100.0, np.array([8.0, 8.0]))
    devices, trace = Devices(cluster, compute(per_contact=None)), Trace()
    steps = Chain((Train(COST), Upload(Payload("a", 25.0)))).steps
    [(work, up)] = converse([here], [steps], devices, trace)
    assert work.rounds.tolist() == [7, 7]
    assert up.done.all()


def test_a_device_that_rests_saves_no_time_up() -> None:
    devices = Devices(Cluster("c", 0, 2), compute())
    one, both = np.array([True, False]), np.ones(2, bool)
    devices.gap_rounds(COST, one, 0.0, 6000.0)
    assert devices.gap_rounds(COST, both, 6000.0, 6060.0)[0].tolist() == [6, 6]


def test_the_limit_of_one_device_takes_no_time_from_another() -> None:
    devices = Devices(Cluster("c", 0, 2), compute(per_gap_max=3))
    devices.free_s = np.array([0.0, 14.0])
    assert devices.gap_rounds(COST, np.ones(2, bool), 0.0, 39.0)[0].tolist() == [3, 2]
    # The first keeps nothing of a forbidden fourth round, the second 5 s of its third.
    assert devices.gap_rounds(COST, np.ones(2, bool), 100.0, 115.0)[0].tolist() == [1, 2]


def test_a_slot_holds_a_whole_round_however_long_the_contact_was_used() -> None:
    devices = Devices(Cluster("c", 0, 1), compute(pace_s=600.0))
    devices.free_s = np.array([600.0065])
    assert devices.gap_rounds(COST, np.ones(1, bool), 600.0, 2400.0)[0].tolist() == [3]


def test_zero_rounds_are_zero_rounds() -> None:
    cluster, trace = Cluster("c", 0, 1), Trace()
    here = contact(cluster, 0.0, 50.0, np.array([8.0]))
    devices = Devices(cluster, compute(per_contact=4))
    replies = converse([here], [[Train(COST, rounds=0)]], devices, trace)
    assert replies[0][0].rounds.tolist() == [0]
    assert devices.computed_s == 0.0


def test_one_device_out_of_reach_does_not_hold_the_others_to_the_set_time() -> None:
    cluster, trace = Cluster("c", 0, 2), Trace()
    here = contact(cluster, 0.0, 500.0, np.array([8.0, 8.0]))
    time = np.array([[0.0, 500.0], [40.0, 40.0]])
    curve = LinkCurve(time, np.array([[8.0, 8.0], [0.0, 0.0]]))
    here = PlannedContact(**{**vars(here), "links": ContactLinks(lambda: DeviceLinks(Beam(curve)))})
    devices = Devices(cluster, compute())
    replies = converse([here], [[Upload(Payload("a", 100.0))]], devices, trace)
    assert replies[0][0].done.tolist() == [True, False]
    ends = [row for row in trace.tables()["events"].to_pylist() if row["kind"] == "upload_end"]
    assert [row["time_s"] for row in ends] == [100.0]
