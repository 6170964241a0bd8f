"""Devices that lack the memory for what a method trains: they are left out, and cost nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import sim
from tests.kit.learning import ClusterSide, Work
from tests.kit.network import build
from tests.kit.small import slots

LITTLE = {"memory_gib": 1e-9}
CLUSTERS = [
    {"name": "A", "devices": 2},
    {"name": "B", "kinds": [{"devices": 1, **LITTLE}, {"devices": 2}]},
]


@pytest.mark.parametrize("method", ["synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff"])
def test_who_cannot_train_downloads_no_model_again(method: str) -> None:
    learning = {"method": method, "train": False}
    result = sim.run(slots(stop={"cycles": 5}, ground={"clusters": CLUSTERS}, learning=learning))
    gates = result.transfers[result.transfers.payload == "gate"]
    assert gates[(gates.cluster == "B") & (gates.device == 0)].empty
    rows = result.transfers[result.transfers.payload != "gate"]
    times = rows.groupby(["cluster", "device", "direction"]).size()
    assert times.get(("B", 0, "downlink"), 0) <= 1
    assert ("B", 0, "uplink") not in times
    assert times["B", 1, "downlink"] >= 4
    assert times["B", 1, "uplink"] >= 3


@pytest.mark.parametrize("method", ["synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff"])
def test_a_cluster_of_whom_nobody_can_train_blocks_nobody(method: str) -> None:
    clusters = [{"name": "A", "devices": 2}, {"name": "B", "devices": 2, "compute": LITTLE}]
    learning = {"method": method, "train": False}
    if method == "fedbuff":
        learning["options"] = {"buffer_size": 1}
    result = sim.run(slots(stop={"cycles": 4}, ground={"clusters": clusters}, learning=learning))
    made = result.events[result.events.kind == "aggregate"]
    assert len(made) >= 3
    assert set(result.transfers[result.transfers.direction == "uplink"].cluster) == {"A"}


def test_the_baselines_step_is_the_mean_over_those_who_can_take_part(tmp_path: Path) -> None:
    """Equation (28) by hand for a single contact: n_c counts the samples of two of three."""
    learning: dict[str, Any] = {"method": "synchronous", "step_size": 0.3}
    kinds = [{"devices": 1, **LITTLE}, {"devices": 2}]
    clusters = [{"name": "B", "kinds": kinds}]
    scenario = slots(stop={"cycles": 1}, ground={"clusters": clusters}, learning=learning)
    sim.run(scenario, tmp_path / "run")
    found = load_file(tmp_path / "run" / "model" / "model.safetensors")
    built = build(scenario)
    learner, [cluster] = built.learner, built.plan.clusters
    side, start = ClusterSide(learner, cluster), learner.start()
    side.provide(start, [0, 1])
    side.train(Work(np.ones(3, np.int64), np.ones(3), np.zeros(3, bool)), [0, 1], gate=True)
    side.offer([0, 1], gate=True)
    able = np.array([False, True, True])
    [shares] = learner.shares()
    scale = 1 / sum(shares[1:])
    expected = learner.final_tensors(side.merge(start, able, scale))
    for name, tensor in expected.items():
        np.testing.assert_allclose(found[name], np.asarray(tensor), atol=1e-6)
    whole = learner.final_tensors(side.merge(start, able))
    assert any(not np.allclose(found[n], np.asarray(t), atol=1e-5) for n, t in whole.items())
