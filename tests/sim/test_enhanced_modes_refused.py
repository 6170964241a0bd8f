"""Updates that are not finite: refused at the server by name, and the run goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import learning
import sim
from tests.kit.learning import ClusterSide, Measure, Note, Receipt, Work
from tests.kit.small import slots

METHODS = ["synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff"]


@pytest.mark.parametrize("method", METHODS)
def test_training_that_diverges_changes_nothing_at_the_server(method: str) -> None:
    wild = {"method": method, "step_size": 1e30, "steps_per_round": 4}
    result = sim.run(slots(stop={"cycles": 4}, learning=wild))
    refused = result.events[result.events.detail.fillna("").str.contains("refused")]
    assert len(refused) > 5
    assert set(refused.kind) == {"drop"}
    said = r"update of device \d refused: not finite; lower learning\.step_size if this goes on"
    assert refused.detail.str.fullmatch(said).all()
    assert np.isfinite(result.metrics.loss).all()
    losses = result.metrics[result.metrics.scope == "global"].loss
    assert set(losses) == {losses.iloc[0]}
    [line] = [w for w in result.summary["warnings"] if "refused" in w]
    assert line.startswith(f"{len(refused)} updates refused")


def test_a_model_that_finite_updates_have_ruined_is_told_of() -> None:
    """One step of 1e30 is finite, and takes the model where no loss is."""
    result = sim.run(slots(learning={"method": "synchronous", "step_size": 1e30}))
    rows = result.metrics[(result.metrics.scope == "global") & ~np.isfinite(result.metrics.loss)]
    [line] = [w for w in result.summary["warnings"] if w.startswith("the loss")]
    assert f"from cycle {rows.cycle.iloc[0]} on" in line


def test_training_that_converges_is_refused_nothing() -> None:
    for method in METHODS:
        events = sim.run(slots(learning={"method": method})).events
        assert not events.detail.fillna("").str.contains("refused").any()


def answered(protocol: Any) -> tuple[Any, list[Note]]:
    """Drive a protocol that takes no time; return its result and its notes."""
    notes, reply = [], None
    while True:
        try:
            request = protocol.send(reply)
        except StopIteration as stop:
            return stop.value, notes
        reply = request.compute() if isinstance(request, Measure) else None
        notes += [request] if isinstance(request, Note) else []


def receipt() -> Receipt:
    there = np.ones(2)
    return Receipt(there > 0, there, there, 0 * there)


def spoil(learner: learning.Learner, side: ClusterSide, device: int) -> None:
    """What one device has trained of expert 0 turns into numbers that are none."""
    assert side.state is not None
    for name, tensor in learner.values.force(side.state).items():
        if name.startswith("factor.expert.0."):
            tensor[device] = float("nan")


def work() -> Work:
    one = np.ones(2, np.int64)
    return Work(one, one.astype(float), np.zeros(2, bool))


def test_only_the_device_that_failed_is_left_out_and_it_is_whole_after_a_download() -> None:
    learner = learning.Learner(learning.LearningConfig(1, ("A",), (2,), batch_size=8))
    cluster, start = learning.Cluster("A", 0, 2), learner.start()
    every = [0, 1, 2, 3]
    sides = [ClusterSide(learner, cluster) for _ in range(2)]
    for side in sides:
        side.provide(start, every)
        side.train(work(), [0])
    ill, sound = sides
    spoil(learner, ill, 1)
    ill.offer([0])
    done, notes = answered(ill.finite(ill.deliver(receipt())))
    assert done.tolist() == [True, False]
    assert [note.kind for note in notes] == ["drop"]
    assert "device 1 refused" in notes[0].detail
    server = ill.merge(start, done)

    for side in (ill, sound):
        side.download("model", server, 1, every)
        side.receive(receipt())
        side.train(work(), [0])
        side.offer([0])
    healed, notes = answered(ill.finite(ill.deliver(receipt())))
    assert healed.all()
    assert not notes
    tensors = learner.values.force(ill.merge(server, healed))
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def test_a_gate_that_failed_is_refused_and_the_next_one_comes_down_whole() -> None:
    learner = learning.Learner(learning.LearningConfig(1, ("A",), (2,), batch_size=8))
    side, start = ClusterSide(learner, learning.Cluster("A", 0, 2)), learner.start()
    side.provide(start, [0, 1, 2, 3])
    side.train(work(), [0], gate=True)
    assert side.state is not None
    learner.values.force(side.state)["gate.0.weight"][0] = float("inf")
    both = np.ones(2, bool)
    done, notes = answered(side.finite_gate(both))
    assert done.tolist() == [False, True]
    assert "device 0 refused" in notes[0].detail
    server = side.merge_gate(start, done)
    side.receive_gate(server, both)
    side.train(work(), [0], gate=True)
    again, notes = answered(side.finite_gate(both))
    assert again.all()
    assert not notes
