"""What a run folder says of its payloads, and what a summary says of a device's load."""

import json

import numpy as np
import pytest

import scenarios
import sim
from tests.kit.learning import Payload, TensorSize
from tests.kit.network import Books, PayloadKey
from tests.kit.results import summary_text


def test_a_payload_has_its_largest_size_and_all_its_versions():
    large = (TensorSize("a", (3, 2), "float32", 24), TensorSize("b", (1,), "float32", 4))
    everybody = np.ones(2, bool)
    first = np.array([True, False])
    listed = Books()

    def enlist(payload, who, direction="uplink", toward="server"):
        listed.enlist(PayloadKey(direction, toward, payload.name), payload, who)

    enlist(Payload("x", 4.0, np.array([5, 9]), large[1:]), first)
    enlist(Payload("a", 8.0, 1), everybody, "downlink", "client")
    enlist(Payload("x", np.array([28.0, 28.0]), np.array([7, 6]), large), everybody)
    enlist(Payload("never", 28.0, 1), np.zeros(2, bool))
    enlist(Payload("e", 1.0, 3), everybody)
    rows = json.loads(json.dumps(listed.listed()))
    places = [(row["direction"], row["payload"]) for row in rows]
    assert places == [("uplink", "e"), ("uplink", "x"), ("downlink", "a")]
    assert (rows[1]["first_version"], rows[1]["last_version"]) == (5, 7)
    assert rows[1]["bytes"] == sum(tensor["bytes"] for tensor in rows[1]["tensors"]) == 28
    assert rows[1]["tensors"][0] == {**vars(large[0]), "shape": [3, 2]}


@pytest.mark.parametrize("name", ["slots-synchronous", "orbit-timing", "slots-enhanced"])
def test_a_run_folder_lists_what_was_carried(name, runs):
    result = runs.result(name)
    text = (runs[name] / "model" / "payloads.json").read_text()
    rows = {(row["direction"], row["payload"]): row for row in json.loads(text)}
    moved = result.transfers.groupby(["direction", "payload"])
    assert set(moved.groups) <= set(rows)
    for key, group in moved:
        row = rows[key]
        assert row["bytes"] == group.payload_bytes.max()
        assert row["first_version"] <= group.version.min()
        assert row["last_version"] >= group.version.max()
        if row["tensors"]:
            assert sum(tensor["bytes"] for tensor in row["tensors"]) == row["bytes"]
    listed = [(row["direction"], row["payload"]) for row in result.summary["payloads"]]
    assert listed == [key for key in rows if key in moved.groups]


def test_an_8b_mixture_loads_one_expert_of_three():
    """Rank 4 on all three matrices of 32 layers in bf16."""
    how = {"method": "emsfl-enhanced", "train": False, "gate_tuning_cycles": 0}
    how["model"] = {"kind": "llama-3-8b-x3"}
    ground = {"clusters": [{"name": name} for name in "ABC"]}
    made = {"stop": {"cycles": 4}, "orbit": {"source": "slots"}, "link": {"preset": "paper"}}
    run = sim.run(scenarios.from_dict({**made, "ground": ground, "learning": how}))
    summary = run.summary
    expert = 32 * 3 * 4096 * 14336 * 2
    factors = 32 * 3 * 4 * (4096 + 14336) * 2
    assert summary["model_expert_bytes"] == 3 * expert
    assert summary["least_expert_memory_bytes"] == expert
    assert summary["device_memory_bytes"] > summary["expert_memory_bytes"] == expert
    sent = {(row["direction"], row["payload"]): row["bytes"] for row in summary["payloads"]}
    assert [sent["uplink", f"experts:{e}"] for e in range(3)] == [factors] * 3
    assert "experts 11.27 GB of 33.82 GB: 22.55 GB less" in summary_text(run.summary)
    # Six FLOPs a parameter and token: one expert, gate, attention and vocabulary.
    assert summary["round_flops"] > 6 * (expert / 2) * 384 * 4
