"""FedAvg with waiting: a round takes every cluster once, and its mean is that of all samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

import sim
from tests.kit.learning import Cluster, ClusterSide, Part, Receipt, Work
from tests.kit.network import build
from tests.kit.small import orbit, slots

FEDAVG = {"method": "fedavg"}


def aggregated(result: sim.Result) -> Any:
    return result.events[result.events.kind == "aggregate"]


def moved_alone(scenario: Any) -> tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]]]:
    """The start model, and where each cluster's round alone would have moved it to."""
    built = build(scenario)
    learner, clusters = built.learner, built.plan.clusters
    every = list(range(learner.architecture.experts))
    start = learner.start()
    ends = []
    for cluster in clusters:
        side, all_of_them = ClusterSide(learner, cluster), np.ones(cluster.devices, bool)
        side.provide(start, every)
        rounds = np.ones(cluster.devices, np.int64)
        side.train(Work(rounds, rounds.astype(float), ~all_of_them), every, gate=True)
        side.offer(every, gate=True)
        ends.append(weights(learner, side.merge(start, all_of_them)))
    return weights(learner, start), ends


def weights(learner: Any, handle: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(tensor) for name, tensor in learner.final_tensors(handle).items()}


def test_a_round_adds_the_mean_of_the_clusters_weighted_by_their_samples(tmp_path: Path) -> None:
    """Against plain numpy, from what each cluster's round would have made of the model alone."""
    scenario = slots(stop={"cycles": 1}, learning={**FEDAVG, "step_size": 0.3})
    result = sim.run(scenario, tmp_path / "run")
    assert aggregated(result).version.tolist() == [1]
    start, ends = moved_alone(scenario)
    shares = [sum(devices) for devices in build(scenario).learner.shares()]
    assert sum(shares) == pytest.approx(1.0)
    found = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert set(found) == set(start)
    moved = 0.0
    for name, tensor in found.items():
        changes = [
            share * (end[name] - start[name]) for share, end in zip(shares, ends, strict=True)
        ]
        np.testing.assert_allclose(tensor, start[name] + sum(changes), atol=1e-6)
        moved = max(moved, float(np.abs(tensor - start[name]).max()))
    assert moved > 1e-3


def test_in_slots_a_round_is_a_cycle() -> None:
    result = sim.run(slots(stop={"cycles": 6}, learning=FEDAVG))
    assert np.diff(aggregated(result).time_s) == pytest.approx(np.full(5, 1800.0))
    trained = result.events[result.events.kind == "train_end"]
    assert trained.groupby(["cluster", "device"]).size().tolist() == [6] * 5
    assert aggregated(result).detail.str.endswith("gate devices:5/5 clusters:2/2 staleness:0").all()
    assert not (result.events.kind == "wait").any()


@settings(max_examples=15, deadline=None)
@given(
    uplink=st.sampled_from([1e-5, 3e-5, 1e-4, 1.0]),
    downlink=st.sampled_from([5e-5, 1e-4, 1.0]),
    radius=st.sampled_from([0, 300]),
    cut=st.sampled_from(["resume", "restart"]),
)
def test_every_round_has_every_cluster_once(
    uplink: float, downlink: float, radius: int, cut: str
) -> None:
    """Whatever the passes carry: a device is aggregated once a round, with one training."""
    rates = {"uplink": uplink, "downlink": downlink}
    link = {side: {"rate": "fixed", "fixed_rate_mbps": rate} for side, rate in rates.items()}
    where = {"latitude_deg": 60, "longitude_deg": 20, "devices": 3, "radius_km": radius}
    south = {"name": "South", "latitude_deg": -35, "longitude_deg": 150, "devices": 2}
    result = sim.run(
        orbit(
            stop={"days": 4},
            ground={"clusters": [{"name": "North", **where}, south]},
            link={**link, "cut_transfers": cut},
            learning={**FEDAVG, "train": False},
        )
    )
    uploads = result.transfers[result.transfers.direction == "uplink"]
    through = uploads[uploads.outcome == "delivered"]
    sent = through.groupby("version").size()
    for row in aggregated(result).itertuples():
        # A round's updates stem from the version before it.
        mine = through[through.version == row.version - 1]
        assert set(mine.cluster) == {"North", "South"}
        assert not mine.duplicated(["cluster", "device"]).any()
        assert f"devices:{sent[row.version - 1]}/5 clusters:2/2" in row.detail
        assert mine.end_s.max() <= row.time_s + 1e-9
    trained = result.events[result.events.kind == "train_end"]
    versions = aggregated(result).time_s.to_numpy()
    rounds = np.searchsorted(versions, trained.time_s, side="left")
    assert not trained.assign(round=rounds).duplicated(["cluster", "device", "round"]).any()


def test_who_is_done_waits_for_the_others_and_says_so() -> None:
    """South's upload takes several passes; North has nothing to do in the meantime."""
    slow = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 1e-5}}
    near = {"name": "North", "latitude_deg": 60, "longitude_deg": 20, "devices": 1}
    far = {"name": "South", "latitude_deg": -5, "longitude_deg": 150, "devices": 3}
    learning = {**FEDAVG, "train": False}
    result = sim.run(orbit(ground={"clusters": [near, far]}, link=slow, learning=learning))
    waits = result.events[result.events.kind == "wait"]
    assert set(waits.cluster) == {"North"}
    assert waits.detail.str.fullmatch(r"round:\d+ waits for South").all()
    moved = result.transfers.contact_id.dropna().unique()
    assert not waits.contact_id.isin(moved).any()


def test_a_cluster_that_lacks_the_memory_takes_no_part_and_blocks_nobody() -> None:
    small = {"name": "B", "devices": 3, "compute": {"memory_gib": 1e-9}}
    clusters = [{"name": "A", "devices": 2}, small]
    result = sim.run(slots(stop={"cycles": 4}, ground={"clusters": clusters}, learning=FEDAVG))
    assert len(aggregated(result)) >= 3
    assert aggregated(result).detail.str.contains("devices:2/5 clusters:1/2").all()
    uploads = result.transfers[result.transfers.direction == "uplink"]
    assert set(uploads.cluster) == {"A"}
    everything = {"name": "A", "devices": 2, "compute": {"memory_gib": 1e-9}}
    nobody = sim.run(slots(ground={"clusters": [everything, small]}, learning=FEDAVG))
    assert len(aggregated(nobody)) == 0


def test_one_device_that_lacks_the_memory_leaves_the_others_of_its_cluster() -> None:
    kinds = [{"devices": 1, "memory_gib": 1e-9}, {"devices": 2}]
    clusters = [{"name": "A", "devices": 2}, {"name": "B", "kinds": kinds}]
    result = sim.run(slots(stop={"cycles": 4}, ground={"clusters": clusters}, learning=FEDAVG))
    assert aggregated(result).detail.str.contains("devices:4/5 clusters:2/2").all()
    assert len(aggregated(result)) == 4
    downs = result.transfers[result.transfers.direction == "downlink"]
    times = downs.groupby(["cluster", "device"]).size()
    assert times.tolist() == [4, 4, 1, 4, 4]  # B's first device hears of it once


@pytest.mark.parametrize("small", ["a device", "a cluster"])
def test_who_cannot_take_part_does_not_shrink_the_step(tmp_path: Path, small: str) -> None:
    """The weights of those who can take part sum to 1: n_k / n over their samples alone."""
    little = {"memory_gib": 1e-9}
    b = {"name": "B", "kinds": [{"devices": 1, **little}, {"devices": 2}]}
    if small == "a cluster":
        b = {"name": "B", "devices": 3, "compute": little}
    scenario = slots(
        stop={"cycles": 1},
        ground={"clusters": [{"name": "A", "devices": 2}, b]},
        learning={**FEDAVG, "step_size": 0.3},
    )
    run = sim.run(scenario, tmp_path / "run")
    assert len(aggregated(run)) == 1
    learner = build(scenario).learner
    start, ends = moved_by_each(scenario)
    shares = np.concatenate(learner.shares())
    shares[[2, 3, 4] if small == "a cluster" else [2]] = 0.0
    shares /= shares.sum()
    found = load_file(tmp_path / "run" / "model" / "model.safetensors")
    for name, tensor in found.items():
        mean = sum(
            share * (end[name] - start[name]) for share, end in zip(shares, ends, strict=True)
        )
        np.testing.assert_allclose(tensor, start[name] + mean, atol=1e-6)


def moved_by_each(scenario: Any) -> tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]]]:
    """The start model, and where each device's round alone, at full weight, would move it to."""
    learner, clusters = build(scenario).learner, build(scenario).plan.clusters
    every, start = list(range(learner.architecture.experts)), learner.start()
    ends = []
    for cluster, shares in zip(clusters, learner.shares(), strict=True):
        side = ClusterSide(learner, cluster)
        side.provide(start, every)
        rounds = np.ones(cluster.devices, np.int64)
        side.train(Work(rounds, rounds.astype(float), rounds < 1), every, gate=True)
        side.offer(every, gate=True)
        for device, share in enumerate(shares):
            alone = np.arange(cluster.devices) == device
            full = sum(shares) / share
            ends.append(weights(learner, side.merge(start, alone, full)))
    return weights(learner, start), ends


@pytest.mark.parametrize("method", ["fedavg", "fedbuff"])
def test_each_update_of_a_round_is_a_change_that_goes_down(method: str) -> None:
    """Each is cut off at the rank by itself: a round of two updates is two changes."""
    lora = {"rank": 1, "download": "factors"}
    learning = {
        "method": method,
        "lora": lora,
        "train": False,
        "model": {"experts": 2, "hidden": 64, "expert_hidden": 64},
        "options": {"buffer_size": 2} if method == "fedbuff" else {},
    }
    scenario = slots(stop={"cycles": 6}, learning=learning)
    sizes = build(scenario).learner.architecture
    assert 4 * sizes.factor_bytes(1) < sizes.download_bytes([0], False)
    rows = sim.run(scenario).transfers
    later = rows[(rows.direction == "downlink") & (rows.version > 1)]
    assert len(later) > 10
    # Between two of a cluster's downloads there is one round, or one buffer.
    expected = 2 * sizes.factor_bytes(2) + sizes.download_bytes([], True)
    assert set(later.payload_bytes) == {expected}


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
