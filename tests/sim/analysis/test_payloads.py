"""What a run folder says of its payloads, and what a summary says of a device's load."""

import json

import numpy as np
import pytest

from tests.kit.learning import Payload, TensorSize
from tests.kit.network import Books, PayloadKey


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
