"""FedAvg, FedBuff, and what all methods make of updates: against plain numpy, from device to model.

What a device's round alone makes of the model is taken from :class:`ClusterSide`; weights, rounds,
staleness and buffers are worked out here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import learning
import scenarios
import sim
from tests.kit.learning import (
    Cluster,
    ClusterSide,
    FedBuff,
    FedBuffOptions,
    Measure,
    Note,
    Part,
    Receipt,
    Work,
)
from tests.kit.network import build
from tests.kit.small import orbit, slots

FEDAVG = {"method": "fedavg"}
METHODS = ["synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff"]
LITTLE = {"memory_gib": 1e-9}
B_OF_THREE = {"name": "B", "devices": 3}
WITHOUT_B = {"name": "B", "devices": 3, "compute": LITTLE}
WITHOUT_B0 = {"name": "B", "kinds": [{"devices": 1, **LITTLE}, {"devices": 2}]}


def aggregated(result: sim.Result) -> Any:
    return result.events[result.events.kind == "aggregate"]


def fedbuff(**options: Any) -> dict[str, Any]:
    return {"method": "fedbuff", "options": options}


def with_b(b: dict[str, Any]) -> dict[str, Any]:
    return {"clusters": [{"name": "A", "devices": 2}, b]}


def weights(learner: Any, handle: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(tensor) for name, tensor in learner.final_tensors(handle).items()}


def worked(rounds: Any) -> Work:
    rounds = np.asarray(rounds, np.int64)
    return Work(rounds, rounds.astype(float), np.zeros(len(rounds), bool))


def received(*who: bool) -> Receipt:
    there = np.array(who, float)
    return Receipt(there > 0, there, there, 0 * there)


def trained(learner: Any, cluster: Cluster) -> ClusterSide:
    """A cluster that has trained a round of all from the start model, and offered it."""
    every = list(range(learner.architecture.experts))
    side = ClusterSide(learner, cluster)
    side.provide(learner.start(), every)
    side.train(worked(np.ones(cluster.devices)), every, gate=True)
    side.offer(every, gate=True)
    return side


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


# -- FedAvg: a round takes every cluster once


@pytest.mark.parametrize(
    ("b", "out"),
    [(B_OF_THREE, []), (WITHOUT_B0, [2]), (WITHOUT_B, [2, 3, 4])],
    ids=["all", "without a device", "without a cluster"],
)
def test_a_round_adds_the_mean_weighted_by_samples(tmp_path: Path, b: Any, out: Any) -> None:
    """The weights of those who can take part sum to 1: n_k / n over their samples alone."""
    scenario = slots(stop={"cycles": 1}, ground=with_b(b), learning={**FEDAVG, "step_size": 0.3})
    run = sim.run(scenario, tmp_path / "run")
    assert aggregated(run).version.tolist() == [1]
    built = build(scenario)
    learner, start = built.learner, built.learner.start()
    before, ends = weights(learner, start), []
    for cluster, own in zip(built.plan.clusters, learner.shares(), strict=True):
        side = trained(learner, cluster)
        for device, share in enumerate(own):
            alone = np.arange(cluster.devices) == device
            ends.append(weights(learner, side.merge(start, alone, sum(own) / share)))
    shares = np.concatenate(learner.shares())
    assert shares.sum() == pytest.approx(1.0)
    shares[out] = 0.0
    found = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert set(found) == set(before)
    for name, tensor in found.items():
        moved = [end[name] - before[name] for end in ends]
        mean = sum(share * move for share, move in zip(shares / shares.sum(), moved, strict=True))
        np.testing.assert_allclose(tensor, before[name] + mean, atol=1e-6)
    assert max(float(np.abs(found[name] - before[name]).max()) for name in found) > 1e-3


def test_in_slots_a_round_is_a_cycle(runs: Any) -> None:
    result = runs.result("fedavg")
    assert np.diff(aggregated(result).time_s) == pytest.approx([1800.0, 1800.0])
    trained = result.events[result.events.kind == "train_end"]
    assert trained.groupby(["cluster", "device"]).size().tolist() == [3] * 5
    assert aggregated(result).detail.str.endswith("gate devices:5/5 clusters:2/2 staleness:0").all()
    assert not (result.events.kind == "wait").any()


def test_who_is_done_waits_for_the_others_and_says_so() -> None:
    """South's upload takes several passes; North has nothing to do in the meantime."""
    slow = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 1e-5}}
    near = {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "devices": 1}
    far = {"name": "South", "latitude_deg": -5, "longitude_deg": 150, "devices": 3}
    timing = {**FEDAVG, "train": False}
    result = sim.run(orbit(ground={"clusters": [near, far]}, link=slow, learning=timing))
    waits = result.events[result.events.kind == "wait"]
    assert set(waits.cluster) == {"North"}
    assert waits.detail.str.fullmatch(r"round:\d+ waits for South").all()
    moved = result.transfers.contact_id.dropna().unique()
    assert not waits.contact_id.isin(moved).any()


@pytest.mark.parametrize(
    ("b", "said", "downloads"),
    [
        # B's first device hears of the model once.
        (WITHOUT_B0, "devices:4/5 clusters:2/2", [4, 4, 1, 4, 4]),
        (WITHOUT_B, "devices:2/5 clusters:1/2", [4, 4, 1, 1, 1]),
    ],
)
def test_who_lacks_the_memory_takes_no_part_and_blocks_nobody(
    b: Any, said: str, downloads: Any
) -> None:
    timing = {**FEDAVG, "train": False}
    result = sim.run(slots(stop={"cycles": 4}, ground=with_b(b), learning=timing))
    assert len(aggregated(result)) == 4
    assert aggregated(result).detail.str.contains(said).all()
    downs = result.transfers[result.transfers.direction == "downlink"]
    assert downs.groupby(["cluster", "device"]).size().tolist() == downloads
    nobody = {"clusters": [{"name": "A", "devices": 2, "compute": LITTLE}, WITHOUT_B]}
    assert not len(aggregated(sim.run(slots(ground=nobody, learning=timing))))


def test_a_device_that_goes_silent_half_way_is_waited_for_and_the_others_are_not_asked() -> None:
    """One that has begun is waited for; who has trained already downloads and trains no more."""
    side = ClusterSide(build(slots(learning=FEDAVG)).learner, Cluster("A", 0, 2))
    part = Part(2)
    side.download("model", side.learner.start(), 0, [0, 1])
    side.receive(Receipt(np.array([True, False]), *(np.array([1.0, 0.5]),) * 3))
    part.sent[0] = True
    assert not part.is_over(side)
    side.excluded = np.array([False, True])
    assert part.is_over(side)


@pytest.mark.parametrize("method", ["fedavg", "fedbuff"])
def test_each_update_of_a_round_is_a_change_that_goes_down(method: str) -> None:
    """Each is cut off at the rank by itself: a round of two updates is two changes."""
    said = fedbuff(buffer_size=2) if method == "fedbuff" else FEDAVG
    model = {"experts": 2, "hidden": 64, "expert_hidden": 64}
    lora = {"rank": 1, "download": "factors"}
    scenario = slots(
        stop={"cycles": 6}, learning={**said, "lora": lora, "train": False, "model": model}
    )
    sizes = build(scenario).learner.architecture
    assert 4 * sizes.factor_bytes(1) < sizes.download_bytes([0], False)
    rows = sim.run(scenario).transfers
    later = rows[(rows.direction == "downlink") & (rows.version > 1)]
    assert len(later) > 10
    # Between two of a cluster's downloads there is one round, or one buffer.
    assert set(later.payload_bytes) == {2 * sizes.factor_bytes(2) + sizes.download_bytes([], True)}


# -- FedBuff: updates are buffered, weighted by their staleness, and aggregated together


@pytest.mark.parametrize("step", [1.0, 0.5])
def test_a_buffer_adds_the_mean_of_its_updates_over_the_root_of_their_age(step: float) -> None:
    """By hand: device 1 of cluster B has trained from a model that is five versions old."""
    said = fedbuff(buffer_size=2, server_step_size=step)
    method = build(slots(learning={**said, "step_size": 0.3})).new_method()
    assert isinstance(method, FedBuff)
    learner, clusters = method.learner, method.world.clusters
    method.version = 5
    sides = [trained(learner, cluster) for cluster in clusters]
    sides[0].offered_version[:] = 5
    sides[1].offered_version[:] = (5, 0, 5)
    start, late = learner.start(), np.array([False, True, False])
    merged = (
        sides[0].merge(start, np.ones(2, bool)),
        sides[1].merge(start, ~late),
        sides[1].merge(start, late),
    )
    first, fresh, stale = (weights(learner, one) for one in merged)
    for cluster, side in zip(clusters, sides, strict=True):
        done = side.deliver(received(*[True] * cluster.devices))
        _, notes = answered(method.collect(side, done))
    assert [note.detail for note in notes] == ["experts:0,1 gate devices:5 updates:2 staleness:0-5"]
    assert method.version == 6
    before, after = weights(learner, start), weights(learner, method.server)
    for name, tensor in after.items():
        w = before[name]
        change = (first[name] - w) + (fresh[name] - w) + (stale[name] - w) / np.sqrt(6.0)
        np.testing.assert_allclose(tensor, w + step * change / 2, atol=1e-6)
    assert max(float(np.abs(after[name] - before[name]).max()) for name in after) > 1e-3


def test_staleness_is_that_of_the_model_which_was_trained() -> None:
    """In turn A and B upload, each trained from what came down at its last contact."""
    said = {**fedbuff(buffer_size=1), "train": False}
    ages = aggregated(sim.run(slots(stop={"cycles": 5}, learning=said))).detail
    # Each downloads behind its own upload: by its next one the other has made one version.
    found = ages.str.extract(r"staleness:(\d+)")[0].astype(int).tolist()
    assert found == [0] + [1] * (len(ages) - 1)


@pytest.mark.parametrize(("clusters", "size"), [(1, 2), (2, 2), (4, 2), (5, 3), (9, 5)])
def test_a_buffer_is_half_the_clusters_and_never_one(clusters: int, size: int) -> None:
    places = [{"name": f"c{n}", "devices": 1} for n in range(clusters)]
    built = build(slots(ground={"clusters": places}, learning={**fedbuff(), "train": False}))
    method = built.new_method()
    assert isinstance(method, FedBuff)
    assert method.buffer_size == size


@pytest.mark.parametrize(
    "given", [{"buffer_size": -1}, {"server_step_size": 0.0}, {"server_step_size": float("nan")}]
)
def test_options_that_make_no_sense_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(given))):
        FedBuffOptions(**given)
    with pytest.raises((sim.InputError, scenarios.ScenarioError), match=r"learning\.options"):
        sim.run(slots(learning=fedbuff(**given)))


# -- a cluster's side


@pytest.fixture
def learner() -> learning.Learner:
    return learning.Learner(learning.LearningConfig(1, ("A",), (2,), batch_size=8))


EVERY = [0, 1, 2, 3]


def side_of(learner: learning.Learner) -> ClusterSide:
    side = ClusterSide(learner, Cluster("A", 0, 2))
    side.provide(learner.start(), EVERY)
    return side


def change(side: ClusterSide, experts: list[int], gate: bool = False) -> dict[str, np.ndarray]:
    """What the devices have trained and not offered yet."""
    assert side.state is not None
    offered = side.learner.offer(side.state, experts, gate)
    return {name: t.numpy().copy() for name, t in side.learner.values.force(offered).items()}


@pytest.mark.parametrize("late", [False, True])
def test_late_devices_add_what_was_missing_and_nobody_counts_twice(
    learner: learning.Learner, late: bool
) -> None:
    """One of two devices arrives a pass later, when the other has offered again."""

    def turn(side: ClusterSide, server: Any, rounds: Any, *who: bool) -> Any:
        side.train(worked(rounds), [0])
        side.offer([0])
        return side.merge(server, side.deliver(received(*who))) if who else server

    side, server = side_of(learner), learner.start()
    if late:
        server = turn(side, server, [1, 1], True, False)
        server = turn(side, server, [1, 0], True, True)
    else:
        server = turn(side, server, [1, 1], True, True)
        server = turn(side, server, [1, 0], True, False)
    assert not side.pending.any()
    # The same training, each device's update applied with its share of the samples.
    together, expected = side_of(learner), learner.start()
    for who in ([True, True], [True, False]):
        expected = turn(together, expected, who, *who)
    found, wanted = (learner.values.force(handle) for handle in (server, expected))
    for name, tensor in found.items():
        assert np.allclose(tensor.numpy(), wanted[name].numpy(), atol=1e-7), name


def test_rounds_trained_while_an_upload_is_under_way_are_kept_through_a_download(
    learner: learning.Learner,
) -> None:
    """What came after the offer goes on from what is downloaded, gate and experts."""
    side = side_of(learner)
    for _ in range(2):
        side.train(worked([1, 1]), [0], gate=True)
        side.offer([0], gate=True)
    before = change(side, [0], gate=True)
    assert all(float(np.abs(before[name]).max()) > 0 for name in before)
    side.download("model", side.merge(learner.start(), np.ones(2, bool)), 1, EVERY)
    side.receive(received(True, True))
    after = change(side, [0], gate=True)
    for name, tensor in before.items():
        np.testing.assert_allclose(after[name], tensor, atol=1e-6, err_msg=name)


def test_a_gate_is_counted_once_though_nothing_comes_back_down(learner: learning.Learner) -> None:
    side, start, both = side_of(learner), learner.start(), np.ones(2, bool)
    side.train(worked([2, 2]), [0], gate=True)
    server = side.merge_gate(start, both)
    again = side.merge_gate(server, both)
    gates = [learner.values.force(handle)["gate.0.weight"] for handle in (start, server, again)]
    assert not np.array_equal(gates[0], gates[1])
    assert np.array_equal(gates[1], gates[2])


# -- updates that are not finite


@pytest.mark.parametrize("method", METHODS)
def test_training_that_diverges_changes_nothing_at_the_server(method: str) -> None:
    wild = {"method": method, "step_size": 1e30, "steps_per_round": 4}
    result = sim.run(slots(stop={"cycles": 4}, learning=wild))
    assert result.manifest["status"] == "complete"
    refused = result.events[result.events.detail.fillna("").str.contains("refused")]
    assert len(refused) > 5
    assert set(refused.kind) == {"drop"}
    said = r"update of device \d refused: not finite; lower learning\.step_size if this goes on"
    assert refused.detail.str.fullmatch(said).all()
    rows = result.metrics[result.metrics.scope == "global"]
    assert len(rows) > 3
    assert set(rows.loss) == {rows.loss.iloc[0]} and np.isfinite(rows.loss.iloc[0])
    assert result.summary["accuracy_final"] == result.summary["accuracy_start"]
    [line] = [w for w in result.summary["warnings"] if "refused" in w]
    assert line.startswith(f"{len(refused)} updates refused")


def test_training_that_converges_is_refused_nothing(runs: Any) -> None:
    for name in ("slots", "slots-enhanced", "slots-synchronous", "fedavg", "aligned", "orbit"):
        assert not runs.result(name).events.detail.fillna("").str.contains("refused").any()


def test_a_model_that_finite_updates_have_ruined_is_told_of() -> None:
    """One step of 1e30 is finite, and takes the model where no loss is."""
    result = sim.run(slots(learning={"method": "synchronous", "step_size": 1e30}))
    rows = result.metrics[(result.metrics.scope == "global") & ~np.isfinite(result.metrics.loss)]
    [line] = [w for w in result.summary["warnings"] if w.startswith("the loss")]
    assert f"from cycle {rows.cycle.iloc[0]} on" in line


def spoil(side: ClusterSide, tensors: str, device: int) -> None:
    """What one device has trained turns into numbers that are none."""
    assert side.state is not None
    for name, tensor in side.learner.values.force(side.state).items():
        if name.startswith(tensors):
            tensor[device] = float("nan")


def test_only_the_device_that_failed_is_left_out_and_a_download_heals_it(
    learner: learning.Learner,
) -> None:
    side, server = side_of(learner), learner.start()
    for turn, healthy in enumerate(([True, False], [True, True])):
        side.train(worked([1, 1]), [0])
        if turn == 0:
            spoil(side, "factor.expert.0.", device=1)
        side.offer([0])
        done, notes = answered(side.finite(side.deliver(received(True, True))))
        assert done.tolist() == healthy
        assert [note.kind for note in notes] == ["drop"] * (turn == 0)
        assert all("device 1 refused" in note.detail for note in notes)
        server = side.merge(server, done)
        side.download("model", server, 1, EVERY)
        side.receive(received(True, True))
    assert all(bool(t.isfinite().all()) for t in learner.values.force(server).values())


def test_a_gate_that_failed_is_refused_and_the_next_one_comes_down_whole(
    learner: learning.Learner,
) -> None:
    side, server = side_of(learner), learner.start()
    for turn, healthy in enumerate(([False, True], [True, True])):
        side.train(worked([1, 1]), [0], gate=True)
        if turn == 0:
            spoil(side, "gate.0.weight", device=0)
        done, notes = answered(side.finite_gate(np.ones(2, bool)))
        assert done.tolist() == healthy
        assert [("device 0 refused" in note.detail) for note in notes] == [True] * (turn == 0)
        server = side.merge_gate(server, done)
        side.receive_gate(server, np.ones(2, bool))
