"""Computing at single devices, protocols side by side, waiting, and the rows of inferences."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

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
    Train,
    TrainUntilContact,
    Upload,
    Wait,
)
from tests.kit.scripted import B0, B1, B2, ground, only, play, sent
from tests.kit.small import slots

FLOPS = {"seconds_per_round": None, "tflops": 2}


def at(time_s: float, request: Any) -> Generator[Any, Any, Any]:
    yield Wait(time_s)
    return (yield request)


def replies(scenario: Any, *tasks: Any, deadline_s: float | None = None) -> Any:
    found: list[Any] = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        found.extend((yield All(tasks, deadline_s)))

    return found, play(scenario, only("B", script))


# -- Compute


@pytest.mark.parametrize(
    ("compute", "seconds"), [({"seconds_per_round": 200}, 200 * 3e9 / 1e10), (FLOPS, 3e9 / 2e12)]
)
def test_at_the_rate_of_a_local_round(compute: dict[str, Any], seconds: float) -> None:
    found, result = replies(ground(compute=compute), at(7.0, Compute(B1, 3e9, 1e10)))
    assert found == [pytest.approx(7.0 + seconds, rel=1e-12)]
    assert result.manifest["computed_device_s"] == pytest.approx(seconds, rel=1e-9)


def test_devices_of_one_cluster_differ() -> None:
    kinds = [
        {"devices": 1, "seconds_per_round": 10},
        {"devices": 2, "seconds_per_round": 40},
    ]
    clusters = {"clusters": [{"name": "A", "devices": 1}, {"name": "B", "kinds": kinds}]}
    jobs = [at(0.0, Compute(node, 1e9, 2e9)) for node in (B0, B1)]
    found, _ = replies(ground(ground=clusters), *jobs)
    assert found == [5.0, 20.0]


JOBS = st.lists(
    st.tuples(st.integers(0, 4000), st.integers(0, 2), st.integers(0, 900)), max_size=20
)


@settings(max_examples=25, deadline=None)
@given(JOBS)
@example([(0, 1, 900)] * 7)
@example([(0, 0, 4799), (0, 0, 1), (0, 0, 0), (0, 0, 1)])
def test_the_queue_of_each_device_is_that_of_a_second_implementation(jobs: list[Any]) -> None:
    """Whole seconds, so that both can be held against each other exactly; the run ends at 4800."""
    ended: dict[int, float] = {}

    def one(number: int, time_s: int, k: int, seconds: int) -> Generator[Any, Any, None]:
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


def test_behind_the_training_that_goes_on_and_before_the_next() -> None:
    """Device 0 trains from 0 to 400 s and computes to 500 s; a round after that ends at 700 s."""
    who = np.array([True, False, False])

    def train(time_s: float, rounds: int) -> Generator[Any, Any, float]:
        yield Wait(time_s)
        work = yield Train(Cost(1e9), rounds, who)
        return float(work.end_s[0])

    jobs = [at(100.0, Compute(B0, 1e9, 2e9)), at(100.0, Compute(B1, 1e9, 2e9))]
    found, _ = replies(ground(), train(0.0, 2), *jobs, train(450.0, 1))
    assert found == [400.0, 500.0, 200.0, 700.0]


def test_computing_does_not_hold_up_the_upload_of_who_does_not_train() -> None:
    """B0 trains from 600 to 800 s, B1 computes to 900 s; both upload 1 s of bytes at 5 Mbit/s."""
    ends: list[Any] = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield NextContact()
        who = np.array([True, False, False])
        upload = Upload(Payload("update", 625_000), np.array([True, True, False]))
        tasks = (
            at(0.0, Compute(B1, 1.5e9, 1e9)),
            at(601.0, Chain((Train(Cost(1e9), 1, who), upload))),
        )
        _, (work, receipt) = yield All(tasks)
        ends.extend([work.end_s[0], *receipt.end_s[:2]])

    play(ground(), only("B", script))
    assert ends == pytest.approx([801.0, 802.0, 602.0], rel=1e-9)


def test_nothing_waits_for_a_disconnected_phase() -> None:
    """B trains in the gap from 1200 s to 2400 s, and computes beside and behind that at once."""
    found: list[Any] = []

    def gap() -> Generator[Any, Any, Any]:
        yield NextContact()
        work, contact = yield TrainUntilContact(Cost(1e9))
        found.append((work.rounds[0], work.end_s[0], contact.start_s))
        return (yield Compute(B0, 1e9, 2e9))

    def script(me: Cluster) -> Generator[Any, Any, None]:
        found.extend((yield All((gap(), at(1300.0, Compute(B0, 1e9, 2e9))))))

    play(ground(), only("B", script))
    assert found == [(2, 2400.0, 2400.0), 2500.0, 1400.0]


def test_what_the_end_of_the_run_leaves_uncomputed_is_not_counted() -> None:
    found, result = replies(ground(), at(4700.0, Compute(B0, 2e9, 1e9)))
    assert found == []
    assert result.manifest["computed_device_s"] == 100.0


@pytest.mark.parametrize(
    ("job", "line"),
    [
        (Compute(B0, -1.0, 1.0), "flops is -1.0; allowed is at least 0"),
        (Compute(B0, 1.0, np.nan), "round_flops is nan; allowed is at least 0"),
        (Compute(B0, 1.0, 0.0), "round_flops is 0; give the FLOPs"),
        (Compute(Node("D", 0), 1.0, 1.0), "node 'D/0': no cluster is called so"),
    ],
)
def test_what_cannot_be_computed(job: Compute, line: str) -> None:
    with pytest.raises(sim.SimulationError, match=line):
        replies(ground(), at(0.0, job))


# -- All


def test_side_by_side_in_the_order_of_the_tasks() -> None:
    def named(time_s: float, name: str) -> Generator[Any, Any, str]:
        yield Wait(time_s)
        return name

    ended: list[float] = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        tasks = (named(30.0, "late"), named(10.0, "early"), named(20.0, "middle"))
        assert (yield All(tasks)) == ["late", "early", "middle"]
        ended.append((yield Compute(B0, 0.0, 1.0)))
        assert (yield All(())) == []

    play(ground(), only("B", script))
    assert ended == [30.0]


def test_a_deadline_and_who_is_late_runs_on() -> None:
    done: list[float] = []

    def task(time_s: float) -> Generator[Any, Any, float]:
        yield Wait(time_s)
        done.append(time_s)
        return time_s

    when: list[Any] = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield Wait(5.0)
        when.append((yield All((task(10.0), task(15.0), task(90.0)), deadline_s=10.0)))
        when.append((yield Compute(B0, 0.0, 1.0)))
        when.append((yield All((task(20.0),), deadline_s=100.0)))
        when.append((yield Compute(B0, 0.0, 1.0)))

    play(ground(), only("B", script))
    assert when == [[10.0, 15.0, None], 15.0, [20.0], 20.0]
    assert sorted(done) == [10.0, 15.0, 20.0, 90.0]


def test_within_each_other() -> None:
    def inner(time_s: float) -> Generator[Any, Any, list[Any]]:
        return (yield All((at(time_s, Wait(0.0)), at(time_s / 2, Compute(B2, 0.0, 1.0)))))

    found, _ = replies(ground(), inner(8.0), inner(4.0))
    assert found == [[None, 4.0], [None, 2.0]]


def test_an_error_in_one_fails_the_run_even_behind_the_deadline() -> None:
    def broken() -> Generator[Any, Any, None]:
        yield Wait(50.0)
        raise ArithmeticError("on purpose")

    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield All((broken(),), deadline_s=1.0)

    with pytest.raises(sim.SimulationError, match=r"B:1 at 50\.000 s: ArithmeticError: on purpose"):
        play(ground(), only("B", script))


@pytest.mark.parametrize("wrong", [-1.0, np.nan])
def test_a_deadline_is_not_in_the_past(wrong: float) -> None:
    with pytest.raises(sim.SimulationError, match=f"deadline_s is {wrong}; allowed is at least 0"):
        replies(ground(), at(0.0, Wait(0.0)), deadline_s=wrong)


# -- Wait and Infer


def test_waiting_for_what_is_past_takes_no_time_and_nan_is_no_time() -> None:
    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield Wait(12.0)
        yield Wait(3.0)
        assert (yield Compute(B0, 0.0, 1.0)) == 12.0
        yield Wait(float("nan"))

    with pytest.raises(sim.SimulationError, match="nan"):
        play(ground(), only("B", script))


def inference(**changes: Any) -> Infer:
    said: dict[str, Any] = {
        "at": B1,
        "batch": 3,
        "time_s": 40.0,
        "experts": ("B/1", "B/1,B/2", "B/0"),
        "samples": np.array([12, 6, 2]),
        "latency_s": np.array([0.01, 0.05, np.nan]),
        "sent_bytes": np.array([0.0, 2048.0, 512.0]),
        "outcome": ("local", "complete", "failed"),
    }
    return Infer(**(said | changes))


def test_rows_of_inferences() -> None:
    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield Wait(41.0)
        assert (yield inference()) is None

    result = play(ground(), only("B", script))
    table = result.tables["inferences"].to_pandas()
    assert table.samples.tolist() == [12, 6, 2]
    assert table.outcome.tolist() == ["local", "complete", "failed"]
    assert table[
        ["time_s", "cluster", "device", "batch"]
    ].drop_duplicates().to_numpy().tolist() == [[40.0, "B", 1, 3]]
    events = result.events[result.events.kind == "infer"]
    # The mean over the 18 samples that were answered: (12 x 0.01 + 6 x 0.05) / 18.
    assert events.detail.tolist() == ["batch:3 samples:20 local:12 latency:0.023"]
    assert events.time_s.tolist() == [40.0]


def test_nothing_answered_has_no_latency() -> None:
    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield Wait(41.0)
        yield inference(latency_s=np.full(3, np.nan), outcome=("failed",) * 3)

    events = play(ground(), only("B", script)).events
    details = events[events.kind == "infer"].detail.tolist()
    assert details == ["batch:3 samples:20 local:0 latency:-"]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"outcome": ("local", "complete", "lost")}, "outcome is 'lost'; allowed is one of local"),
        ({"at": Node("B", 9)}, "node 'B/9': the devices of B are 0 to 2"),
        ({"samples": np.array([1, 2])}, r"samples has shape \(2,\)"),
    ],
)
def test_inferences_that_cannot_be(changes: dict[str, Any], line: str) -> None:
    def script(me: Cluster) -> Generator[Any, Any, None]:
        yield Wait(41.0)
        yield inference(**changes)

    with pytest.raises(sim.SimulationError, match=line):
        play(ground(), only("B", script))


# -- what a method is made of


def test_a_chain_of_hops_is_serial_and_rounds_side_by_side_are_not() -> None:
    """A gate that goes round N clients takes N x (train + hop), side by side only the slowest."""
    hop_s, nodes = 1.0 + 300 / 299_792_458, (B0, B1, B2)

    def visit(mine: Node, following: Node) -> Generator[Any, Any, float]:
        yield Compute(mine, 1e9, 1e10)
        return (yield sent(mine, following, 125_000)).time_s

    ends: list[float] = []

    def roll(me: Cluster) -> Generator[Any, Any, None]:
        for number, node in enumerate(nodes):
            ends.append((yield from visit(node, nodes[(number + 1) % 3])))

    play(ground(), only("B", roll))
    assert ends[-1] == pytest.approx(3 * (20.0 + hop_s), rel=1e-12)
    found, _ = replies(ground(), *(visit(node, nodes[n - 1]) for n, node in enumerate(nodes)))
    assert max(found) == pytest.approx(20.0 + hop_s, rel=1e-12)


def test_other_methods_have_the_same_trace_with_sidelinks_nobody_uses() -> None:
    plain = sim.run(slots(learning={"train": False}))
    link = {"sidelink": {"rate_mbps": 1, "distance_km": 1}, "relay": "store"}
    beside = sim.run(slots(learning={"train": False}, link=link))
    assert beside.manifest["trace_sha256"] == plain.manifest["trace_sha256"]
