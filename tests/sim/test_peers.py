"""What devices ask of each other: to compute, tasks side by side, messages over sidelinks.

Against hand computation, and queues against second implementations of them.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import scenarios
import sim
from tests.kit.learning import (
    All,
    Chain,
    Cluster,
    Compute,
    Cost,
    Infer,
    NextContact,
    Node,
    Payload,
    Reach,
    Train,
    TrainUntilContact,
    Upload,
    Wait,
)
from tests.kit.network import build, device_sites, sidelinks_of
from tests.kit.scripted import A1, B0, B1, B2, SCRIPTED, at, ground, only, play, replies, sent
from tests.kit.small import orbit, slots

LIGHT_M_S = 299_792_458.0
FIRST = np.array([True, False, False])
Requests = Generator[Any, Any, Any]


# -- computing


BY_RATE = {"compute": {"seconds_per_round": None, "tflops": 2}}
KINDS = [{"devices": 1, "seconds_per_round": 10}, {"devices": 2, "seconds_per_round": 40}]
MIXED = {"ground": {"clusters": [{"name": "A", "devices": 1}, {"name": "B", "kinds": KINDS}]}}


@pytest.mark.parametrize(
    ("changes", "jobs", "ends_s"),
    [
        ({}, [(7.0, Compute(B1, 3e9, 1e10))], [7 + 200 * 3e9 / 1e10]),
        (BY_RATE, [(7.0, Compute(B1, 3e9, 1e10))], [7 + 3e9 / 2e12]),
        (MIXED, [(0.0, Compute(B0, 1e9, 2e9)), (0.0, Compute(B1, 1e9, 2e9))], [5.0, 20.0]),
    ],
)
def test_flops_take_their_part_of_a_local_round(
    changes: Any, jobs: Any, ends_s: list[float]
) -> None:
    found, result = replies(ground(**changes), *(at(*job) for job in jobs))
    assert found == pytest.approx(ends_s, rel=1e-12)
    lasted_s = sum(end_s - job[0] for end_s, job in zip(ends_s, jobs, strict=True))
    assert result.manifest["computed_device_s"] == pytest.approx(lasted_s, rel=1e-9)


JOB = st.tuples(st.integers(0, 4000), st.integers(0, 2), st.integers(0, 900))


@given(st.lists(JOB, max_size=20))
@example([(0, 1, 900)] * 7)
@example([(0, 0, 4799), (0, 0, 1), (0, 0, 0), (0, 0, 1)])
def test_each_device_computes_in_turn_as_a_second_implementation_says(jobs: list[Any]) -> None:
    """Whole seconds, so that both agree exactly; the run ends at 4800 s, amid a job or not."""
    ended: dict[int, float] = {}

    def one(number: int, time_s: int, k: int, seconds: int) -> Requests:
        yield Wait(float(time_s))
        ended[number] = yield Compute(Node("B", k), float(seconds), 1.0)

    tasks = [one(number, *job) for number, job in enumerate(jobs)]
    _, result = replies(ground(compute={"seconds_per_round": 1}), *tasks)
    free, busy, expected = [0, 0, 0], 0, {}
    for number in sorted(range(len(jobs)), key=lambda n: (jobs[n][0], n)):
        time_s, k, seconds = jobs[number]
        begin = max(free[k], time_s)
        free[k] = begin + seconds
        busy += max(min(free[k], 4800) - begin, 0)
        if free[k] <= 4800:
            expected[number] = free[k]
    assert ended == expected
    assert result.manifest["computed_device_s"] == busy


def test_training_and_computing_take_turns_on_a_device() -> None:
    """Device 0 trains from 0 to 400 s and computes to 500 s; a round after that ends at 700 s."""

    def train(time_s: float, rounds: int) -> Requests:
        yield Wait(time_s)
        work = yield Train(Cost(1e9), rounds, FIRST)
        return float(work.end_s[0])

    jobs = [at(100.0, Compute(B0, 1e9, 2e9)), at(100.0, Compute(B1, 1e9, 2e9))]
    found, _ = replies(ground(), train(0.0, 2), *jobs, train(450.0, 1))
    assert found == [400.0, 500.0, 200.0, 700.0]


def test_computing_does_not_hold_up_the_upload_of_who_does_not_train() -> None:
    """B0 trains from 601 to 801 s, B1 computes to 900 s; both upload 1 s of bytes at 5 Mbit/s."""

    def chain() -> Requests:
        yield NextContact()
        yield Wait(601.0)
        upload = Upload(Payload("update", 625_000), np.array([True, True, False]))
        return (yield Chain((Train(Cost(1e9), 1, FIRST), upload)))

    found, _ = replies(ground(), at(0.0, Compute(B1, 1.5e9, 1e9)), chain())
    work, receipt = found[1]
    ends = [work.end_s[0], *receipt.end_s[:2]]
    assert ends == pytest.approx([801.0, 802.0, 602.0], rel=1e-9)


def test_nothing_waits_for_a_disconnected_phase() -> None:
    """B trains in the gap from 1200 s to 2400 s, and computes beside and behind that at once."""

    def gap() -> Requests:
        yield NextContact()
        work, contact = yield TrainUntilContact(Cost(1e9))
        done_s = yield Compute(B0, 1e9, 2e9)
        return work.rounds[0], work.end_s[0], contact.start_s, done_s

    found, _ = replies(ground(), gap(), at(1300.0, Compute(B0, 1e9, 2e9)))
    assert found == [(2, 2400.0, 2400.0, 2500.0), 1400.0]


# -- side by side


def test_tasks_run_side_by_side_and_reply_in_their_order() -> None:
    def named(time_s: float, name: str) -> Requests:
        yield Wait(time_s)
        return name

    def inner(time_s: float) -> Requests:
        return (yield All((at(time_s, Wait(0.0)), at(time_s / 2, Compute(B2, 0.0, 1.0)))))

    def script(me: Cluster) -> Requests:
        tasks = (named(30.0, "late"), named(10.0, "early"), named(20.0, "middle"))
        assert (yield All(tasks)) == ["late", "early", "middle"]
        assert (yield Compute(B0, 0.0, 1.0)) == 30.0
        assert (yield All(())) == []
        yield Wait(3.0)  # is past, and takes no time
        assert (yield Compute(B0, 0.0, 1.0)) == 30.0
        assert (yield All((inner(48.0), inner(64.0)))) == [[None, 30.0], [None, 32.0]]
        done.append(True)

    done: list[bool] = []
    play(ground(), only("B", script))
    assert done


def test_who_is_late_for_a_deadline_runs_on() -> None:
    done: list[float] = []
    when: list[Any] = []

    def task(time_s: float) -> Requests:
        yield Wait(time_s)
        done.append(time_s)
        return time_s

    def script(me: Cluster) -> Requests:
        yield Wait(5.0)
        when.append((yield All((task(10.0), task(15.0), task(90.0)), deadline_s=10.0)))
        when.append((yield Compute(B0, 0.0, 1.0)))
        when.append((yield All((task(20.0),), deadline_s=100.0)))
        when.append((yield Compute(B0, 0.0, 1.0)))

    play(ground(), only("B", script))
    assert when == [[10.0, 15.0, None], 15.0, [20.0], 20.0]
    assert sorted(done) == [10.0, 15.0, 20.0, 90.0]


def test_an_error_behind_the_deadline_fails_the_run() -> None:
    def broken() -> Requests:
        yield Wait(50.0)
        raise ArithmeticError("on purpose")

    with pytest.raises(sim.SimulationError, match=r"B:1 at 50\.000 s: ArithmeticError: on purpose"):
        replies(ground(), broken(), deadline_s=1.0)


def test_a_chain_of_hops_is_serial_and_rounds_side_by_side_are_not() -> None:
    """A gate that goes round N clients takes N x (train + hop), side by side only the slowest."""
    hop_s, nodes = 1.0 + 300 / LIGHT_M_S, (B0, B1, B2)

    def visit(mine: Node, following: Node) -> Requests:
        yield Compute(mine, 1e9, 1e10)
        return (yield sent(mine, following, 125_000)).time_s

    def roll() -> Requests:
        for number, node in enumerate(nodes):
            end_s = yield from visit(node, nodes[(number + 1) % 3])
        return end_s

    found, _ = replies(ground(), roll())
    assert found == [pytest.approx(3 * (20.0 + hop_s), rel=1e-12)]
    found, _ = replies(ground(), *(visit(node, nodes[n - 1]) for n, node in enumerate(nodes)))
    assert max(found) == pytest.approx(20.0 + hop_s, rel=1e-12)


# -- inferences


def inference(**changes: Any) -> Infer:
    said: dict[str, Any] = {
        "at": B1, "batch": 3, "time_s": 40.0, "experts": ("B/1", "B/1,B/2", "B/0"),
        "samples": np.array([12, 6, 2]), "latency_s": np.array([0.01, 0.05, np.nan]),
        "sent_bytes": np.array([0.0, 2048.0, 512.0]), "outcome": ("local", "complete", "failed"),
    }  # fmt: skip
    return Infer(**(said | changes))


def test_rows_of_inferences() -> None:
    nothing = inference(latency_s=np.full(3, np.nan), outcome=("failed",) * 3, batch=4)
    found, result = replies(ground(), at(41.0, inference()), at(42.0, nothing))
    assert found == [None, None]
    table = result.tables["inferences"].to_pandas()
    assert table.samples.tolist() == [12, 6, 2] * 2
    assert table.sent_bytes.tolist() == [0.0, 2048.0, 512.0] * 2
    assert table.latency_s[:2].tolist() == [0.01, 0.05] and table.latency_s[2:].isna().all()
    assert table.outcome.tolist() == ["local", "complete", "failed"] + ["failed"] * 3
    assert table.experts.tolist() == ["B/1", "B/1,B/2", "B/0"] * 2
    who = table[["time_s", "cluster", "device", "batch"]].drop_duplicates()
    assert who.to_numpy().tolist() == [[40.0, "B", 1, 3], [40.0, "B", 1, 4]]
    events = result.events[result.events.kind == "infer"]
    # The mean over the 18 samples that were answered: (12 x 0.01 + 6 x 0.05) / 18.
    assert events.detail.tolist() == [
        "batch:3 samples:20 local:12 latency:0.023",
        "batch:4 samples:20 local:0 latency:-",
    ]
    assert events.time_s.tolist() == [40.0, 40.0]


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (Compute(B0, -1.0, 1.0), "flops is -1.0; allowed is at least 0"),
        (Compute(B0, 1.0, np.nan), "round_flops is nan; allowed is at least 0"),
        (Compute(B0, 1.0, 0.0), "round_flops is 0; give the FLOPs"),
        (Compute(Node("D", 0), 1.0, 1.0), "node 'D/0': no cluster is called so; there are A, B"),
        (Wait(math.nan), "nan"),
        (All((at(0.0, Wait(0.0)),), -1.0), "deadline_s is -1.0; allowed is at least 0"),
        (All((at(0.0, Wait(0.0)),), math.nan), "deadline_s is nan; allowed is at least 0"),
        (inference(outcome=("local", "complete", "lost")), "outcome is 'lost'; allowed is one of"),
        (inference(at=Node("B", 9)), "node 'B/9': the devices of B are 0 to 2"),
        (inference(samples=np.array([1, 2])), r"samples has shape \(2,\)"),
        (sent(B0, Node("C", 0), 1), "node 'C/0': no cluster is called so"),
        (sent(Node("B", -1), B0, 1), "node 'B/-1': the devices of B are 0 to 2"),
        (sent(B0, Node("B", 3), 1), "node 'B/3': the devices of B are 0 to 2"),
        (sent(B0, B1, -1.0), "payload 'feature' has -1.0 bytes; allowed is one number"),
        (sent(B0, B1, math.inf), "payload 'feature' has inf bytes; allowed is one number"),
    ],
)
def test_what_cannot_be_asked_fails_the_run(request_: Any, line: str) -> None:
    with pytest.raises(sim.SimulationError, match=line):
        replies(ground(), at(41.0, request_))


# -- messages over sidelinks


@pytest.mark.parametrize(("rate_mbps", "distance_km"), [(0.05, 25.0), (1.0, 0.3), (54.0, 0.001)])
def test_a_message_on_an_idle_link_takes_its_bits_and_the_way(
    rate_mbps: float, distance_km: float
) -> None:
    starts_s, sizes = (17.25, 400.0, 900.0, 1000.0), (1.0, 40.0, 2048.0, 1e6)
    tasks = [at(t, sent(B0, B2, size)) for t, size in zip(starts_s, sizes, strict=True)]
    found, result = replies(ground(rate_mbps, distance_km), *tasks)
    rows = result.transfers.to_dict("records")
    for number, (start_s, size) in enumerate(zip(starts_s, sizes, strict=True)):
        there_s = start_s + size * 8 / (rate_mbps * 1e6) + distance_km * 1000 / LIGHT_M_S
        assert found[number].delivered
        assert found[number].time_s == pytest.approx(there_s, rel=1e-15)
        assert math.isnan(rows[number].pop("contact_id"))
        assert rows[number] == {
            "transfer_id": number, "cluster": "B", "device": 0, "peer": "B/2",
            "direction": "sidelink", "payload": "feature", "version": 0, "payload_bytes": size,
            "delivered_bytes": size, "start_s": start_s, "end_s": found[number].time_s,
            "outcome": "delivered",
        }  # fmt: skip


MS = st.integers(0, 50_000).map(lambda ms: ms / 1000)
SENT = st.tuples(MS, st.integers(0, 2), st.integers(0, 2), st.integers(0, 200_000))


@given(st.lists(SENT, max_size=25))
@example([(5.0, 1, 1, 10**9), (5.0, 0, 1, 125_000), (5.0, 0, 1, 125_000), (5.0, 1, 0, 125_000)])
def test_each_directed_link_has_a_queue_of_its_own(messages: list[Any]) -> None:
    """Lindley's recursion, in order of arrival; what is for oneself is there at once."""
    tasks = [at(t, sent(Node("B", a), Node("B", b), size)) for t, a, b, size in messages]
    radio = {"rate_mbps": 1, "distance_km": 1.5, "tx_power_dbm": 23}
    found, result = replies(slots(learning=SCRIPTED, link={"sidelink": radio}), *tasks)
    waited: dict[tuple[int, int], tuple[float, float]] = {}
    for number in sorted(range(len(messages)), key=lambda n: (messages[n][0], n)):
        at_s, source, target, size = messages[number]
        expected_s = at_s
        if source != target:
            last_at_s, behind_s = waited.get((source, target), (at_s, 0.0))
            queue_s = max(behind_s - (at_s - last_at_s), 0.0)
            service_s = size * 8 / 1e6
            waited[source, target] = at_s, queue_s + service_s
            expected_s = at_s + queue_s + service_s + 1500 / LIGHT_M_S
        assert found[number].delivered
        assert found[number].time_s == pytest.approx(expected_s, rel=1e-9, abs=1e-9)
    between = [size for _, source, target, size in messages if source != target]
    books = result.manifest["books"]["sidelink"]
    assert books["offered_bytes"] == books["delivered_bytes"] == books["sent_bytes"] == sum(between)
    assert result.summary["sidelink_bytes"] == sum(between)
    rows = result.transfers
    assert sorted(rows.payload_bytes) == sorted(size for size in between if size)
    assert (rows.end_s > rows.start_s).all()
    spent = {row["cluster"]: row for row in result.manifest["energy"]}
    assert spent["B"]["air_s"] == pytest.approx(sum(between) * 8e-6, rel=1e-9)
    assert spent["B"]["transmit_j"] == pytest.approx(sum(between) * 8e-6 * 10**-0.7, rel=1e-9)
    assert spent["A"]["air_s"] == 0.0


def test_the_end_of_the_run_cuts_a_message_off() -> None:
    """Half of a message of 200 s is through, and those behind it have not begun."""
    tasks = [at(4700.0, sent(B0, B1, size)) for size in (25e6, 8.0, 0.0)]
    found, result = replies(ground(), *tasks)
    assert found == []
    assert result.manifest["simulated_s"] == 4800.0
    row = result.transfers.iloc[0]
    assert (row.outcome, row.delivered_bytes, row.end_s) == ("carried", 12.5e6, 4800.0)
    assert len(result.transfers) == 1
    books = result.manifest["books"]["sidelink"]
    assert (books["offered_bytes"], books["carried_bytes"]) == (25e6 + 8, 25e6 + 8)
    assert (books["sent_bytes"], books["unfinished_bytes"]) == (12.5e6, 12.5e6)
    air_s = sum(row["air_s"] for row in result.manifest["energy"])
    assert air_s == pytest.approx(100.0, rel=1e-12)


@pytest.mark.parametrize(
    ("sidelinks", "target", "reason"), [(False, B1, "no relay"), (True, A1, "out of range")]
)
def test_without_a_link_or_a_relay_nobody_is_reached(
    sidelinks: bool, target: Node, reason: str
) -> None:
    """Without places a sidelink ends at the cluster."""
    scenario = ground() if sidelinks else slots(learning=SCRIPTED)
    (arrival, reach), result = replies(scenario, at(0.0, sent(B0, target, 10)), at(0.0, Reach()))
    assert (arrival.delivered, arrival.time_s, arrival.reason) == (False, 0.0, reason)
    own = np.ones((3, 3), bool) if sidelinks else np.eye(3, dtype=bool)
    assert np.array_equal(reach, np.hstack([np.zeros((3, 2), bool), own]))
    drops = result.events[result.events.kind == "drop"]
    assert drops.detail.tolist() == [f"feature to {target}: {reason}"]


def test_sidelinks_that_nobody_uses_change_nothing(runs: Any) -> None:
    link = {"sidelink": {"rate_mbps": 1, "distance_km": 1}, "relay": "store"}
    beside = sim.run(slots(learning={"train": False}, link=link)).manifest
    assert beside["trace_sha256"] == runs.result("slots-timing").manifest["trace_sha256"]


# -- over real ground


def real(next_deg: float = -35.0, devices: int = 3, **sidelink: Any) -> scenarios.Scenario:
    """North with its devices, and South or another one next to it with one."""
    north = {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "devices": devices}
    south = {"name": "South", "latitude_deg": next_deg, "longitude_deg": 20, "devices": 1}
    clusters = [{**north, "radius_km": 60 if devices > 1 else 0}, south]
    return orbit(learning=SCRIPTED, link={"sidelink": sidelink}, ground={"clusters": clusters})


def far_km(one: Any, other: Any) -> float:
    """Angle between two places by their vectors, not by the haversine."""
    vectors = []
    for site in (one, other):
        north, east = math.radians(site.latitude_deg), math.radians(site.longitude_deg)
        flat = math.cos(north)
        vectors.append((flat * math.cos(east), flat * math.sin(east), math.sin(north)))
    cross = np.linalg.norm(np.cross(*vectors))
    return 6371.0 * math.atan2(cross, float(np.dot(*vectors)))


def test_the_rate_follows_from_the_distance_of_the_places() -> None:
    """Each figure is worked out here anew, in numbers and not in decibels."""
    radio = {"frequency_ghz": 2.4, "bandwidth_mhz": 10, "path_loss_exponent": 2.2}
    scenario = real(**radio, other_losses_db=3)
    links = sidelinks_of(scenario)
    assert links is not None
    sites = device_sites(scenario, 0)

    def expected(apart_m: float) -> float:
        gain = (LIGHT_M_S / 2.4e9 / (4 * math.pi)) ** 2 * apart_m**-2.2 / 10**0.3
        return 10e6 * math.log2(1 + 0.1 * gain / (1.380649e-23 * 290 * 10e6 * 10**0.7))

    for one, other in ((0, 1), (1, 0), (0, 2), (2, 1)):
        apart_m = links.apart_m(Node("North", one), Node("North", other))
        assert apart_m == pytest.approx(1000 * far_km(sites[one], sites[other]), rel=1e-9)
        assert links.rate_bps(apart_m) == pytest.approx(expected(apart_m), rel=1e-9)
    # Below a metre the formula has no meaning, and the rate stays.
    assert links.rate_bps(1.0) == pytest.approx(expected(1.0), rel=1e-9)
    assert links.rate_bps(0.0) == links.rate_bps(0.3) == links.rate_bps(1.0)


def test_a_range_joins_clusters_and_parts_devices() -> None:
    scenario = real(range_km=18.0, rate_mbps=1)
    sites = [*device_sites(scenario, 0), *device_sites(scenario, 1)]
    expected = [[far_km(one, other) <= 18.0 for other in sites] for one in sites]
    assert 3 < np.array(expected)[:3, :3].sum() < 9
    links = sidelinks_of(scenario)
    assert links is not None
    reach = np.concatenate([links.reach("North"), links.reach("South")])
    assert np.array_equal(reach, expected)
    # Two clusters 5.56 km apart; without a range a sidelink ends at the cluster.
    for range_km, reached in ((None, False), (5, False), (6, True)):
        near = build(real(60.05, devices=1, rate_mbps=1, range_km=range_km)).sidelinks
        assert near is not None
        assert near.exists(Node("South", 0), Node("North", 0)) is reached
