"""A run looks for garbage seldom, and leaves Python as it was."""

import gc
import weakref

import pytest

import scenarios
import sim
from tests.kit.fly import Traffic
from tests.kit.small import SLOTS, merged


@pytest.fixture(params=[700, 0, 500_000])
def threshold(request):
    before = gc.get_threshold()
    gc.set_threshold(request.param, 11, 12)
    yield request.param
    gc.set_threshold(*before)


def test_a_run_looks_for_garbage_seldom_and_then_as_before(threshold):
    class Watch(sim.Observer):
        def event(self, number, time_s):
            seen.add(gc.get_threshold())

    seen = set()
    sim.run(scenarios.from_dict(SLOTS), observers=[Watch()])
    assert seen == {(max(threshold, 100_000) if threshold else 0, 11, 12)}
    assert gc.get_threshold() == (threshold, 11, 12)


def test_what_a_lone_device_has_gone_through_is_freed_at_once():
    """Nothing is garbage that only a look would find, so that a run may look seldom."""
    alone = {"ground": {"clusters": [{"name": "A", "devices": 1}]}, "stop": {"cycles": 30}}
    scenario = scenarios.from_dict(merged(SLOTS, {**alone, "learning": {"train": False}}))

    class Watch(sim.Observer):
        def event(self, number, time_s):
            if number % 40 == 0:
                chains = [one for one in gc.get_objects() if type(one).__name__ == "Chain"]
                alive.append(len(chains))

    alive = []
    gc.collect()
    gc.disable()
    try:
        run = sim.run(scenario, observers=[Watch()])
    finally:
        gc.enable()
    assert len(run.transfers) > 100 and max(alive) <= 2


class Message:
    """One that lies in a circle, as some of Flower's do."""

    def __init__(self):
        self.circle = self


def test_circles_are_found_by_the_bytes_that_were_moved_however_few_they_are():
    traffic = Traffic()
    traffic.begin()
    gc.disable()
    try:
        alive = []
        for _ in range(7):
            alive.append(weakref.ref(Message()))
            traffic.moved(10_000_000)
        assert [one() is None for one in alive] == [True] * 5 + [False] * 2
    finally:
        gc.enable()
        traffic.end()
    assert gc.get_freeze_count() == 0
