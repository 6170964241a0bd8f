"""What clusters and devices ask for besides contacts: computing, tasks side by side, meetings."""

from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import learning
import sim
from learning.requests import (
    All,
    Compute,
    Cost,
    EndRun,
    Evaluate,
    Meet,
    NextContact,
    Node,
    Note,
    Reach,
    Train,
    TrainUntilContact,
    Wait,
)
from tests.kit.scripted import (
    B0,
    B1,
    SCRIPTED,
    Scripted,
    at,
    ground,
    only,
    play,
    replies,
)

FIRST = np.array([True, False, False])
BY_RATE = {"compute": {"seconds_per_round": None, "tflops": 2}}
KINDS = [{"devices": 1, "seconds_per_round": 10}, {"devices": 2, "seconds_per_round": 40}]
MIXED = {"ground": {"clusters": [{"name": "A", "devices": 1}, {"name": "B", "kinds": KINDS}]}}


def test_flops_take_their_part_of_a_local_round():
    tried = ({}, 1, 60.0), (BY_RATE, 1, 3e9 / 2e12), (MIXED, 0, 3.0), (MIXED, 1, 12.0)
    for changes, k, ends_s in tried:
        asked = at(7.0, Compute(Node("B", k), 3e9, 1e10))
        [found], result = replies(ground(**changes), asked)
        assert found == pytest.approx(7.0 + ends_s, rel=1e-12)
        assert result.manifest["computed_device_s"] == pytest.approx(ends_s, rel=1e-9)


JOB = st.tuples(st.integers(0, 4000), st.integers(0, 2), st.integers(0, 900))


@given(st.lists(JOB, max_size=20))
@example([(0, 1, 900)] * 7)
@example([(0, 0, 4799), (0, 0, 1), (0, 0, 0), (0, 0, 1)])
def test_each_device_computes_in_turn_as_a_second_implementation_says(jobs):
    """Whole seconds, so that both agree exactly; the run ends at 4800 s, amid a job or not."""
    ended = {}

    def one(number, time_s, k, seconds):
        yield Wait(float(time_s))
        ended[number] = yield Compute(Node("B", k), float(seconds), 1.0)

    tasks = [one(number, *job) for number, job in enumerate(jobs)]
    _, result = replies(ground(compute={"seconds_per_round": 1}), *tasks)
    free = [0, 0, 0]
    busy = 0
    expected = {}
    for number in sorted(range(len(jobs)), key=lambda n: (jobs[n][0], n)):
        time_s, k, seconds = jobs[number]
        begin = max(free[k], time_s)
        free[k] = begin + seconds
        busy += max(min(free[k], 4800) - begin, 0)
        if free[k] <= 4800:
            expected[number] = free[k]
    assert ended == expected
    assert result.manifest["computed_device_s"] == busy


def test_training_and_computing_take_turns_on_a_device_and_gaps_hold_nobody_up():
    """Device 0 trains from 0 to 400 s and computes to 500 s; a round after that ends at 700 s.

    In the gap from 1200 s to 2400 s it computes beside the training, and behind that at once.
    """

    def train(time_s, rounds):
        yield Wait(time_s)
        return float((yield Train(Cost(1e9), rounds, FIRST)).end_s[0])

    def gap():
        yield NextContact()
        work, contact = yield TrainUntilContact(Cost(1e9))
        done_s = yield Compute(B0, 1e9, 2e9)
        return work.rounds[0], work.end_s[0], contact.start_s, done_s

    jobs = [at(time_s, Compute(*job, 1e9, 2e9)) for time_s, *job in ((100.0, B0), (100.0, B1))]
    found, _ = replies(ground(), train(0.0, 2), *jobs, train(450.0, 1))
    assert found == [400.0, 500.0, 200.0, 700.0]
    found, _ = replies(ground(), gap(), at(1300.0, Compute(B0, 1e9, 2e9)))
    assert found == [(2, 2400.0, 2400.0, 2500.0), 1400.0]


def test_tasks_run_side_by_side_and_reply_in_their_order_or_run_on_behind_a_deadline():
    done = []

    def task(time_s):
        yield Wait(time_s)
        done.append(time_s)
        return time_s

    def script(me):
        yield Wait(5.0)
        late = tuple(task(time_s) for time_s in (10.0, 15.0, 90.0))
        assert (yield All(late, deadline_s=10.0)) == [10.0, 15.0, None]
        in_time = tuple(task(time_s) for time_s in (30.0, 18.0, 20.0))
        assert (yield All(in_time, deadline_s=100.0)) == [30.0, 18.0, 20.0]
        assert (yield All(())) == []
        yield Wait(3.0)  # is past, and takes no time
        assert (yield Compute(B0, 0.0, 1.0)) == 30.0
        nested = tuple(All((task(time_s), task(time_s / 2))) for time_s in (80.0, 64.0))
        assert (yield All(tuple(at(31.0, one) for one in nested))) == [
            [80.0, 40.0],
            [64.0, 32.0],
        ]

    play(ground(), only("B", script))
    assert done == [10.0, 15.0, 18.0, 20.0, 30.0, 32.0, 40.0, 64.0, 80.0, 90.0]


@pytest.mark.parametrize(
    ("key", "parties", "line"),
    [
        ("never", 3, r"still wait: A, B at 'never' with 2 of 3"),
        # A has come to another meeting than the one at which B waits for it.
        (None, 2, r"still wait: A at 'A' with 1"),
        ("both", 2, None),
    ],
)
def test_only_who_has_no_contacts_left_is_excused_from_a_meeting(key, parties, line):
    def script(me):
        while me.name == "A" and (yield NextContact()):
            pass
        if line or me.name != "A":
            yield Meet(key or me.name, parties)

    if line:
        with pytest.raises(sim.SimulationError, match=line + "[^;]*$"):
            play(ground(), script)
        return
    result = play(ground(), script)
    faults = result.events[result.events.kind == "fault"].detail.tolist()
    assert faults == ["no contacts left: B at 'both' with 1 of 2"]


class AtServer(Scripted):
    """At the server, and before time begins, it asks what is said."""

    asked: ClassVar[tuple[Any, ...]] = ()
    first: ClassVar[tuple[Any, ...]] = ()

    def prepare(self):
        yield from type(self).first

    def server_protocol(self):
        yield from type(self).asked


learning.register("at-server")(AtServer)


def test_a_server_asks_for_what_takes_no_time_and_concerns_no_device(monkeypatch):
    scenario = ground(learning=SCRIPTED | {"method": "at-server"})
    monkeypatch.setattr(AtServer, "first", (Note("fault", 0, "begun"), Evaluate()))
    monkeypatch.setattr(AtServer, "asked", (Wait(700.0), EndRun("enough")))
    assert sim.run(scenario).manifest["ended_by_method"] == "enough"
    for when, request in (("asked", Reach()), ("first", Wait(1.0))):
        monkeypatch.setattr(AtServer, when, (request,))
        with pytest.raises(sim.SimulationError, match=f"{type(request).__name__} takes time or"):
            sim.run(scenario)
