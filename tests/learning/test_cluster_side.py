"""What devices of a cluster are sent, owe and lose, each by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.learning import (
    Cluster,
    ClusterSide,
    Learner,
    LearningConfig,
    LoraConfig,
    ModelConfig,
    Receipt,
    Work,
)

MODEL = ModelConfig(experts=3, hidden=12, expert_hidden=10, layers=1, lora=LoraConfig(rank=2))
EVERY = [0, 1, 2]
ALL = np.ones(3, bool)


def some_side(train: bool = False, download: str = "full") -> ClusterSide:
    lora = LoraConfig(rank=2, download=download)
    model = ModelConfig(experts=3, hidden=12, expert_hidden=10, layers=1, lora=lora)
    learner = Learner(LearningConfig(1, ("A",), (3,), model, batch_size=4), train)
    side = ClusterSide(learner, Cluster("A", 0, 3))
    side.provide(learner.start(), EVERY)
    return side


def work(*rounds: int, excluded: tuple[int, ...] = ()) -> Work:
    lacks = np.isin(np.arange(3), excluded)
    return Work(np.array(rounds), np.array(rounds, float), lacks)


def receipt(*parts: float) -> Receipt:
    """What a transfer of one byte has come to: 1 is done."""
    through = np.array(parts)
    return Receipt(through == 1, np.where(through == 1, 1.0, np.inf), through, 1 - through)


def asked(side: ClusterSide, version: int, **more: Any) -> Any:
    return side.download("model", side.learner.start(), version, EVERY, **more)


def weights(side: ClusterSide, handle: Any) -> dict[str, np.ndarray]:
    return {n: t.numpy().copy() for n, t in side.learner.values.force(handle).items()}


# -- downloads


def test_a_device_that_is_stuck_half_way_holds_up_nobody_and_is_not_forgotten() -> None:
    """Device 1 gets a part of version 1 and then hears nothing for two contacts."""
    side = some_side()
    for version in (1, 2, 3):
        down = asked(side, version)
        assert np.broadcast_to(True if down.who is None else down.who, 3).all()
        assert np.asarray(down.payload.version).tolist() == [version, 1, version]
        side.receive(receipt(1, 0.5, 1))
        assert side.version.tolist() == [version, 0, version]
        assert side.half_way.tolist() == [False, True, False]
    asked(side, 4)
    side.receive(receipt(0, 1, 0))
    assert side.version.tolist() == [3, 1, 3]  # finished in the version it was begun in
    assert not side.half_way.any()
    assert np.asarray(asked(side, 5).payload.version).tolist() == [5, 5, 5]


def test_what_is_finished_late_is_the_model_that_it_was_begun_in() -> None:
    side = some_side(train=True)
    learner = side.learner
    servers = [learner.start()]
    other = some_side(train=True)
    for _ in range(2):
        other.train(work(1, 1, 1), EVERY, gate=True)
        other.offer(EVERY, gate=True)
        servers.append(other.merge(servers[-1], other.deliver(receipt(1, 1, 1))))
    for version, parts in ((1, (0.5, 0.9, 1)), (2, (1, 0.9, 0.2))):
        side.download("model", servers[version], version, EVERY)
        side.receive(receipt(*parts))
    assert side.version.tolist() == [1, 0, 1]
    side.download("model", servers[2], 2, EVERY)
    side.receive(receipt(1, 1, 1))
    assert side.version.tolist() == [2, 1, 2]
    assert side.state is not None
    got = weights(side, side.state)
    first, second = (weights(other, server) for server in servers[1:])
    for name, tensor in first.items():
        expected = [second[name], tensor, second[name]]
        np.testing.assert_array_equal(got[f"base.{name}"], expected)
    assert not np.array_equal(first["gate.0.weight"], second["gate.0.weight"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=3, max_size=3), max_size=8))
def test_every_device_downloads_as_if_it_were_alone(contacts: list[list[float]]) -> None:
    """In versions and in bytes, where only the changes that are missing go down."""
    side = some_side(download="factors")
    sizes, changes = side.learner.architecture, np.zeros(3, np.int64)
    whole, change = sizes.download_bytes([0], False), sizes.factor_bytes(1)
    held, way = [0] * 3, [None] * 3
    through = [0.0] * 3
    for version, parts in enumerate(contacts, 1):
        changes = changes + 1
        down = asked(side, version, changes=changes)
        for k in range(3):
            way[k] = version if way[k] is None else way[k]
            assert np.asarray(down.payload.version)[k] == way[k]
            missed = 3 * min(whole, change * (way[k] - held[k])) + sizes.download_bytes([], True)
            assert np.asarray(down.payload.bytes)[k] == pytest.approx(missed)
            through[k] = max(through[k], parts[k])
        side.receive(receipt(*through))
        for k in range(3):
            held[k] = way[k] if through[k] == 1 else held[k]
            way[k] = None if through[k] in (0, 1) else way[k]
            through[k] = 0.0 if way[k] is None else through[k]
        assert side.version.tolist() == held


def test_another_payload_of_the_same_experts_is_another_download() -> None:
    side = some_side()
    server = side.learner.start()
    without = side.download("experts:0,1,2", server, 1, EVERY, gate=False)
    side.receive(receipt(0.5, 0.5, 0.5))
    model = asked(side, 2)
    assert (np.asarray(model.payload.bytes) > without.payload.bytes).all()
    assert np.asarray(model.payload.version).tolist() == [2, 2, 2]


def test_who_expects_a_model_goes_on_with_no_older_one() -> None:
    """A new owner must train from a model in which its expert is aggregated."""
    side = some_side()
    asked(side, 1)
    side.receive(receipt(0.5, 1, 0))
    side.expect()
    assert not side.complete.any()
    assert np.asarray(asked(side, 4).payload.version).tolist() == [4, 4, 4]
    side.receive(receipt(1, 0.5, 0))
    assert side.complete.tolist() == [True, False, False]
    assert side.version.tolist() == [4, 1, 0]


def test_devices_that_cannot_train_are_not_sent_the_model_again() -> None:
    side = some_side()
    assert np.broadcast_to(asked(side, 1).who, 3).all()
    side.receive(receipt(1, 1, 1))
    side.train(work(1, 0, 1, excluded=(1,)), EVERY)
    assert asked(side, 2).who.tolist() == [True, False, True]
    assert asked(side, 2, who=np.array([True, True, False])).who.tolist() == [True, False, False]
    side.train(work(1, 1, 1), [0])  # less to hold, such as under the mask
    assert asked(side, 3).who.tolist() == [True, True, True]


# -- offers


def test_an_offer_takes_only_its_experts_from_what_is_owed() -> None:
    side = some_side()
    side.train(work(1, 2, 0), [0, 1])
    side.offer([0])
    assert side.unsent.tolist() == [[0, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert side.owing([0]).tolist() == [False, False, False]
    assert side.owing([0, 1]).tolist() == [True, True, False]


def test_versions_and_factors_are_counted_by_those_who_offer() -> None:
    side = some_side()
    asked(side, 4)
    side.receive(receipt(1, 1, 0))
    side.train(work(1, 0, 0), EVERY)
    side.offer(EVERY)
    assert side.offered_version.tolist() == [4, 0, 0]
    assert side.generation.tolist() == [1, 0, 0]
    asked(side, 7)
    side.receive(receipt(1, 1, 1))
    side.train(work(1, 1, 0), EVERY)
    side.offer(EVERY)  # device 0 has its first snapshot still on its way
    assert side.pending.tolist() == [True, True, False]
    assert side.offered_version.tolist() == [4, 7, 0]
    assert side.generation.tolist() == [1, 1, 0]


def test_what_is_forgotten_is_never_offered_and_not_owed() -> None:
    """Device 1 forgets its round; its next one is all that the server hears of."""
    side = some_side(train=True)
    start = side.learner.start()
    side.train(work(1, 1, 1), [0])
    side.forget([0], np.array([False, True, False]))
    assert side.owing([0]).tolist() == [True, False, True]
    side.offer([0])
    assert side.pending.tolist() == [True, False, True]
    side.deliver(receipt(1, 0, 1))
    side.train(work(0, 1, 0), [0])
    side.offer([0])
    late = weights(side, side.merge(start, side.deliver(receipt(0, 1, 0))))

    kept = some_side(train=True)
    kept.train(work(0, 2, 0), [0])
    kept.offer([0])
    both = weights(kept, kept.merge(start, kept.deliver(receipt(0, 1, 0))))
    before = weights(side, start)
    name = "expert.0.0.up.weight"
    moved, whole = (float(np.abs(after[name] - before[name]).max()) for after in (late, both))
    assert 0 < moved < 0.9 * whole


@pytest.mark.parametrize("upload_format", ["native", "int8"])
def test_the_gate_goes_on_from_an_upload_that_is_carried_over(upload_format: str) -> None:
    """Trained, offered, trained on, downloaded, offered again: the server gets both changes."""
    config = LearningConfig(1, ("A",), (3,), MODEL, batch_size=4, upload_format=upload_format)
    learner = Learner(config)
    side = ClusterSide(learner, Cluster("A", 0, 3))
    start = learner.start()
    side.provide(start, EVERY)
    ends = []
    for _ in range(2):
        side.train(work(3, 3, 3), EVERY, gate=True)
        assert side.state is not None
        ends.append(weights(side, side.state)["gate.0.weight"])
        side.offer(EVERY, gate=True)  # the second one waits for the first
    first = weights(side, side.merge(start, ALL))["gate.0.weight"]
    side.download("model", start, 1, EVERY)
    side.receive(receipt(1, 1, 1))
    side.deliver(receipt(1, 1, 1))
    side.offer(EVERY, gate=True)
    second = weights(side, side.merge(start, ALL))["gate.0.weight"]
    begin = weights(side, start)["gate.0.weight"]
    share = np.array([[[n]] for n in _shares(learner)])
    exact = upload_format == "native"
    tolerance = 1e-7 if exact else 0.02 * np.abs(ends[1] - ends[0]).max()
    np.testing.assert_allclose(first - begin, (share * (ends[0] - begin)).sum(0), atol=tolerance)
    np.testing.assert_allclose(second - begin, (share * (ends[1] - ends[0])).sum(0), atol=tolerance)
    assert np.abs(second - begin).max() > 1e-4


def test_a_gate_that_was_lost_is_in_no_later_offer() -> None:
    side = some_side(train=True)
    side.train(work(2, 2, 2), [0], gate=True)
    side.forget_gate(np.array([True, False, True]))
    asked(side, 1)
    side.receive(receipt(1, 1, 1))
    offered = side.learner.offer(side.state, [], gate=True)
    change = np.abs(weights(side, offered)["delta.gate.0.weight"]).max(axis=(1, 2))
    assert (change > 0).tolist() == [False, True, False]
    assert side.owing([0]).all()  # the experts' rounds are still to be sent


# -- weights


def test_devices_that_cannot_take_part_do_not_shrink_the_step() -> None:
    side = some_side(train=True)
    start, gone = side.learner.start(), np.array([False, True, False])
    side.train(work(1, 0, 1, excluded=(1,)), EVERY, gate=True)
    side.offer(EVERY, gate=True)
    both = side.deliver(receipt(1, 0, 1))
    assert (both == ~gone).all()
    begin, after = weights(side, start), weights(side, side.merge(start, both))
    alone = [weights(side, side.merge(start, np.arange(3) == k)) for k in (0, 2)]
    counts = np.array(_shares(side.learner))[both]
    assert np.abs(after["gate.0.weight"] - begin["gate.0.weight"]).max() > 1e-4
    assert side.snapshot is not None
    delta = weights(side, side.snapshot.handle)["delta.gate.0.weight"][both]
    mean = np.tensordot(counts / counts.sum(), delta, 1)
    np.testing.assert_allclose(after["gate.0.weight"] - begin["gate.0.weight"], mean, atol=1e-7)
    # Who comes late adds what was missing.
    for name, tensor in begin.items():
        parts = sum(one[name] - tensor for one in alone)
        np.testing.assert_allclose(after[name] - tensor, parts, atol=1e-6)


def _shares(learner: Learner) -> list[float]:
    [shares] = learner.shares()
    assert sum(shares) == pytest.approx(1.0)
    return shares
