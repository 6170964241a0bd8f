"""What clusters and devices ask for besides contacts: computing, tasks side by side, meetings."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import sim
from tests.kit.learning import (
    All,
    Chain,
    Cluster,
    Compute,
    Cost,
    Infer,
    Meet,
    NextContact,
    Node,
    Payload,
    Train,
    TrainUntilContact,
    Upload,
    Wait,
)
from tests.kit.scripted import B0, B1, B2, at, ground, only, play, replies, sent

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


# -- barriers


def test_a_meeting_hands_everyone_what_everyone_brought_and_can_be_held_again() -> None:
    """Every cluster tells the others its name at its first contact, twice."""
    said: list[Any] = []

    def script(me: Cluster) -> Requests:
        for _ in range(2):
            contact = yield NextContact()
            names = yield Meet("all", 2, me.name.lower())
            said.append((contact.start_s, (yield Compute(B0, 0.0, 1.0)), names))

    play(ground(), script)
    whole = {"A": "a", "B": "b"}
    assert sorted(said, key=lambda one: one[:2]) == [
        (0.0, 600.0, whole), (600.0, 600.0, whole), (1800.0, 2400.0, whole), (2400.0, 2400.0, whole)
    ]  # fmt: skip


def meets(key: str | None, parties: int, out_of_contacts: str) -> Any:
    """All come to a meeting (of their own name without a key), one when it has no contact left."""

    def script(me: Cluster) -> Requests:
        while me.name == out_of_contacts and (yield NextContact()):
            pass
        yield Meet(key or me.name, parties)

    return script


@pytest.mark.parametrize(
    ("script", "line"),
    [
        (meets("never", 3, ""), r"still wait: A, B at 'never' with 2 of 3"),
        (meets("never", 3, "A"), r"still wait: A, B at 'never' with 2 of 3"),
        # A has come to another meeting than the one at which B waits for it.
        (meets(None, 2, "A"), r"still wait: A at 'A' with 1"),
    ],
)
def test_a_meeting_that_never_fills_fails_the_run(script: Any, line: str) -> None:
    with pytest.raises(sim.SimulationError, match=line + "[^;]*$"):
        play(ground(), script)


def test_a_cluster_without_contacts_left_is_excused_and_the_run_says_so() -> None:
    def script(me: Cluster) -> Requests:
        while me.name == "A" and (yield NextContact()):
            pass
        if me.name == "B":
            yield Meet("both", 2)

    events = play(ground(), script).events
    faults = events[events.kind == "fault"].detail.tolist()
    assert faults == ["no contacts left: B at 'both' with 1 of 2"]


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
