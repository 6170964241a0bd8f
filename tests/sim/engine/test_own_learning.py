"""What a method may ask that learns by itself: to start actors, to end the run, work of no time."""

import numpy as np
import pytest

import learning
import scenarios
import sim
from learning.requests import Cost, EndRun, Measure, NextContact, Note, Start, Train, Wait
from tests.kit.scripted import ground, only, play
from tests.kit.small import SLOTS


@learning.register("counts-by-itself")
class Counts(learning.OwnLearning):
    """Its model is how many clusters it has seen, and it calls the learner's model for nothing."""

    def __init__(self, world, options=None):
        super().__init__(world, options)
        self.seen = 0

    def cluster(self, me):
        while (yield NextContact()):
            self.seen = yield Measure("seen", lambda: self.seen + 1, None)

    def scores(self):
        own = {"accuracy": self.seen / 10, "loss": None, "seen": float(self.seen)}
        return [{"cluster": c.name, "samples": 1 + c.index} | own for c in self.world.clusters]


def by_itself(**changes):
    learning_ = {"method": "counts-by-itself", **changes}
    return scenarios.from_dict({**SLOTS, "learning": learning_})


def test_a_method_that_learns_by_itself_has_no_model_and_columns_of_its_own():
    result = sim.run(by_itself())
    pooled = result.metrics[result.metrics.scope == "global"]
    assert pooled.seen.tolist() == [0, 2, 4, 6]
    assert pooled.accuracy.tolist() == pytest.approx([0, 0.2, 0.4, 0.6])
    assert pooled.loss.isna().all()
    assert (pooled.samples == 1 + 2).all()
    assert result.summary["gradient_steps"] is None
    assert result.manifest["model_expert_bytes"] == 0


@pytest.mark.parametrize("key", ["model", "optimizer", "lora", "batch_size"])
def test_keys_of_the_learning_that_it_does_not_use_are_refused(key):
    given = {
        "model": {"hidden": 3},
        "optimizer": {"momentum": 0.5},
        "lora": {"rank": 7},
        "batch_size": 7,
    }
    with pytest.raises(ValueError, match=f"learning.{key}.*is not used by method 'counts-by"):
        sim.run(by_itself(**{key: given[key]}))


def test_protocols_are_started_and_run_on_while_the_actor_goes_on():
    times = []

    def task(number):
        yield Wait(100.0 * number)
        yield Note("wait", detail=f"task {number}")

    def script(me):
        reply = yield Start((task(2), task(1)), ("B", "A"))
        times.append(reply)
        yield Note("wait", detail="on")

    events = play(ground(), only("A", script)).events
    noted = events[events.detail.str.startswith(("task", "on"), na=False)]
    assert times == [None]
    assert list(zip(noted.time_s, noted.cluster, noted.detail, strict=True)) == [
        (0.0, "A", "on"), (100.0, "A", "task 1"), (200.0, "B", "task 2"),
    ]  # fmt: skip


def test_a_method_ends_the_run_when_all_that_happens_then_has_happened():
    def script(me):
        yield Wait(700.0)
        if me.name == "A":
            yield EndRun("enough")
        yield Note("wait", detail=f"{me.name} at the end")

    result = play(ground(), script)
    assert result.manifest["simulated_s"] == 700.0
    assert result.manifest["ended_by_method"] == "enough"
    ends = result.events[result.events.detail.str.contains("at the end", na=False)]
    assert sorted(ends.cluster) == ["A", "B"]
    assert result.metrics.time_s.max() == 700.0
    assert "ended_by_method" not in play(ground(), only("A", lambda me: iter(()))).manifest


def test_rounds_of_no_flops_take_no_time_beside_those_that_do():
    """Two devices, of which the first has nothing to compute."""
    works = []

    def script(me):
        yield NextContact()
        works.append((yield Train(Cost(np.array([0.0, 2e9])), 3)))

    fast = {"seconds_per_round": None, "tflops": 0.001}
    result = play(ground(compute=fast), only("A", script))
    [work] = works
    assert work.rounds.tolist() == [3, 3]
    assert work.end_s.tolist() == [0.0, 6.0]
    trained = result.events[result.events.kind == "train_end"]
    assert sorted(trained.time_s) == [0.0, 6.0]
