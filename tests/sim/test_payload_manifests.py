"""What a run folder says of its payloads, and what a summary says of a device's load."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import scenarios
import sim
from tests.kit.learning import Payload, TensorSize
from tests.kit.network import PayloadList
from tests.kit.results import summary_text
from tests.kit.small import orbit


def test_a_payload_has_its_largest_size_and_all_its_versions() -> None:
    large = (TensorSize("a", (3, 2), "float32", 24), TensorSize("b", (1,), "float32", 4))
    everybody, first = np.ones(2, bool), np.array([True, False])
    listed = PayloadList()
    listed.add("uplink", Payload("x", 4.0, np.array([5, 9]), large[1:]), first)
    listed.add("downlink", Payload("a", 8.0, 1), everybody)
    listed.add("uplink", Payload("x", np.array([28.0, 28.0]), np.array([7, 6]), large), everybody)
    listed.add("uplink", Payload("never", 28.0, 1), np.zeros(2, bool))
    listed.add("uplink", Payload("e", 1.0, 3), everybody)
    rows = listed.listed()
    assert [(row["direction"], row["payload"]) for row in rows] == [
        ("uplink", "e"),
        ("uplink", "x"),
        ("downlink", "a"),
    ]
    assert (rows[1]["first_version"], rows[1]["last_version"]) == (5, 7)
    assert rows[1]["bytes"] == sum(tensor["bytes"] for tensor in rows[1]["tensors"]) == 28
    assert json.loads(json.dumps(rows))[1]["tensors"][0] == {
        "name": "a",
        "shape": [3, 2],
        "format": "float32",
        "bytes": 24,
    }


@pytest.mark.parametrize("method", ["synchronous", "emsfl", "emsfl-enhanced"])
def test_a_run_folder_lists_what_was_carried(method: str, tmp_path: Path) -> None:
    run = orbit(learning={"train": False, "method": method})
    texts = []
    for name in ("one", "two"):
        result = sim.run(run, tmp_path / name)
        texts.append((tmp_path / name / "model" / "payloads.json").read_text())
    assert texts[0] == texts[1]
    rows = {(row["direction"], row["payload"]): row for row in json.loads(texts[0])}
    moved = result.transfers.groupby(["direction", "payload"])
    assert set(moved.groups) <= set(rows)
    for key, group in moved:
        row = rows[key]
        assert row["bytes"] == group.payload_bytes.max()
        assert row["first_version"] <= group.version.min()
        assert row["last_version"] >= group.version.max()
        if row["tensors"]:
            assert sum(tensor["bytes"] for tensor in row["tensors"]) == row["bytes"]
    assert [(row["direction"], row["payload"]) for row in result.summary["payloads"]] == [
        key for key in rows if key in moved.groups
    ]


@pytest.mark.parametrize(("tuned", "most"), [(0, 1), (1, 3)])
def test_an_8b_mixture_loads_one_expert_of_three(tuned: int, most: int) -> None:
    """Rank 4 on all three matrices of 32 layers in bf16: 14.16 MB up, 11.27 GB an expert."""
    learning = {"method": "emsfl-enhanced", "train": False, "gate_tuning_cycles": tuned}
    scenario = scenarios.from_dict(
        {
            "stop": {"cycles": 4},
            "orbit": {"source": "slots"},
            "ground": {"clusters": [{"name": name} for name in "ABC"]},
            "link": {"preset": "paper"},
            "learning": {**learning, "model": {"kind": "llama-3-8b-x3"}},
        }
    )
    result = sim.run(scenario)
    summary = result.summary
    expert = 32 * 3 * 4096 * 14336 * 2
    factors = 32 * 3 * 4 * (4096 + 14336) * 2
    assert summary["model_expert_bytes"] == 3 * expert
    assert summary["least_expert_memory_bytes"] == expert
    assert summary["expert_memory_bytes"] == most * expert
    assert summary["device_memory_bytes"] > most * expert
    up = [row for row in summary["payloads"] if row["direction"] == "uplink"]
    sizes = {row["payload"]: row["bytes"] for row in up}
    assert [sizes[f"experts:{e}"] for e in range(3)] == [factors] * 3
    lines = dict(
        line.split(maxsplit=1)
        for line in summary_text(summary).replace("least memory", "least").splitlines()
    )
    assert "experts:0 14.16 MB" in lines["payloads"]
    one = "experts 11.27 GB of 33.82 GB: 22.55 GB less"
    assert lines["memory" if most == 1 else "least"].endswith(one)
    if most == 3:
        assert lines["memory"].endswith("at most, experts 33.82 GB of 33.82 GB")
    # Six FLOPs a parameter and token: one expert, gate, attention and vocabulary.
    assert summary["round_flops"] > 6 * (expert / 2) * 384 * 4
