"""Forms of EMS-FL: masks, a backbone that is trained, gates that get lost, ages, what goes down."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
import sim
from tests.kit.learning import ClusterSide, EnhancedOptions, Receipt, upload_payload
from tests.kit.network import build
from tests.kit.small import ORBIT, merged, orbit, slots


def learned(method: str = "emsfl-enhanced", **more: Any) -> dict[str, Any]:
    model = {"experts": 4, "hidden": 16, "expert_hidden": 16, "top_k": 2}
    return {"method": method, "model": model, "gate_tuning_cycles": 1, **more}


def aggregates(result: sim.Result, word: str) -> Any:
    events = result.events
    return events[(events.kind == "aggregate") & events.detail.str.startswith(word)]


def payloads(result: sim.Result, direction: str) -> set[str]:
    rows = result.transfers
    return set(rows[rows.direction == direction].payload)


# -- the mask


def test_the_literal_mask_trains_another_model_in_the_same_time() -> None:
    runs = [
        sim.run(slots(learning=learned(step_size=0.3, options={"mask": mask})))
        for mask in ("-inf", "zero")
    ]
    assert runs[0].transfers.equals(runs[1].transfers)
    losses = [run.metrics.loss for run in runs]
    assert np.isfinite(losses[1]).all()
    assert not losses[0].equals(losses[1])


def test_a_mask_that_is_none_of_the_two_is_refused_where_it_stands() -> None:
    with pytest.raises(ValueError, match="mask: 'none' should be -inf or zero"):
        EnhancedOptions(mask="none")
    with pytest.raises(sim.InputError, match=r"learning\.options\.mask: 'one'"):
        sim.run(slots(learning=learned(options={"mask": "one"})))
    with pytest.raises(sim.InputError, match="options are: threshold, resplit_cycles"):
        sim.run(slots(learning=learned("emsfl", options={"mask": "zero"})))


# -- the backbone


@pytest.mark.parametrize("train", [True, False])
def test_a_backbone_is_trained_by_the_connected_cluster_under_the_mask_too(train: bool) -> None:
    plain, whole = (
        sim.run(
            slots(
                stop={"cycles": 4},
                learning=learned(trains_backbone=backbone, train=train, options={"mask": "-inf"}),
            )
        )
        for backbone in (False, True)
    )
    # The last cycle of four tunes the gate; here two clusters are connected in each.
    assert (len(aggregates(plain, "gate")), len(aggregates(whole, "gate"))) == (2, 8)
    assert len(aggregates(plain, "experts")) == len(aggregates(whole, "experts"))
    own = {name for name in payloads(plain, "uplink") if name.startswith("experts")}
    assert len(own) == 2
    assert payloads(plain, "downlink") == {*own, "model", "gate"}
    assert payloads(whole, "downlink") == {*(f"{name} gate" for name in own), "model", "gate"}
    assert payloads(whole, "uplink") == {*own, "gate"}
    if train:
        assert np.isfinite(whole.metrics.loss).all()


def test_under_the_mask_only_own_experts_and_what_is_shared_come_down() -> None:
    scenario = slots(learning=learned(trains_backbone=True, train=False))
    sizes = build(scenario).learner.architecture
    rows = sim.run(scenario).transfers
    own = rows[rows.payload.str.startswith("experts") & (rows.direction == "downlink")]
    assert set(own.payload_bytes) == {sizes.download_bytes([0, 2], True)}
    gates = rows[rows.payload == "gate"]
    assert set(gates.payload_bytes) == {sizes.upload_bytes([], True)}
    assert sizes.upload_bytes([], True) > sizes.gate_parameters * 4


# -- a pass that is too short for the second upload


@pytest.mark.parametrize(
    ("uplink_mbps", "downlink_mbps", "why"),
    [
        (1e-5, 1.0, "contact ended before the second upload was through"),
        (1.0, 1e-5, "contact ended before the download was through"),
    ],
)
def test_a_lost_gate_says_what_it_was_lost_to(
    uplink_mbps: float, downlink_mbps: float, why: str
) -> None:
    """The experts of the first upload are carried over and arrive, a gate is given up."""
    link = {
        "uplink": {"rate": "fixed", "fixed_rate_mbps": uplink_mbps},
        "downlink": {"rate": "fixed", "fixed_rate_mbps": downlink_mbps},
    }
    result = sim.run(orbit(stop={"days": 3}, link=link, learning=learned("emsfl", train=False)))
    lost = result.events[result.events.kind == "fault"]
    assert (lost.detail == f"gate lost: {why}").sum() > 5
    assert any(f"gate lost: {why}" in warning for warning in result.summary["warnings"])
    assert len(aggregates(result, "experts")) > 2
    gates = result.transfers[
        (result.transfers.payload == "gate") & (result.transfers.direction == "uplink")
    ]
    assert not (gates.outcome == "carried").any()


def test_what_a_lost_gate_had_learnt_is_gone_with_it() -> None:
    """It would be out of date: the next gate is what the contact trains from the server's."""
    unsent: list[float] = []
    ask = ClusterSide.download

    def watched(side: ClusterSide, *given: Any, **named: Any) -> Any:
        assert side.state is not None
        gate = side.learner.offer(side.state, [], gate=True)
        change = side.learner.values.force(gate)
        unsent.append(max(float(tensor.abs().max()) for tensor in change.values()))
        return ask(side, *given, **named)

    link = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 1e-5}}
    with patch.object(ClusterSide, "download", watched):
        result = sim.run(orbit(stop={"days": 1}, link=link, learning=learned("emsfl")))
    assert result.events.detail.fillna("").str.startswith("gate lost").sum() > 2
    assert len(unsent) > 4
    assert not any(unsent)


def test_a_contact_that_the_experts_use_up_is_said_to_be() -> None:
    """Uploads of many passes leave no time at all for what comes behind them."""
    link = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 5e-6}}
    result = sim.run(orbit(stop={"days": 2}, link=link, learning=learned("emsfl", train=False)))
    lost = result.events[result.events.kind == "fault"]
    why = "gate lost: the upload of the experts took the whole contact"
    assert (lost.detail == why).sum() > 3
    asked = result.transfers[result.transfers.payload == "model"].contact_id
    assert not lost[lost.detail == why].contact_id.isin(asked).any()
    assert not lost.detail.str.contains("no contact").any()


@pytest.mark.parametrize("upload_format", ["float16", "int8"])
def test_the_gate_comes_down_in_its_own_number_format(upload_format: str) -> None:
    """Only uploads are rounded: what comes down has native numbers, and their bytes."""
    scenario = slots(learning=learned("emsfl", upload_format=upload_format, train=False))
    sizes = build(scenario).learner.architecture
    rows = sim.run(scenario).transfers
    gates = rows[rows.payload == "gate"].groupby("direction").payload_bytes.unique()
    assert gates["downlink"].tolist() == [sizes.gate_parameters * 4.0]
    assert gates["uplink"].tolist() == [sizes.upload_bytes([], True)]
    assert gates["uplink"][0] <= gates["downlink"][0] / 2 + 4 * sizes.layers


# -- ages


def test_ages_count_versions_and_rounds_since_the_download() -> None:
    """A cycle has three slots: a round in the contact and two in the gap behind it."""
    result = sim.run(slots(stop={"cycles": 6}, learning=learned("emsfl")))
    experts = aggregates(result, "experts").detail.str
    # Three versions: the own gate, the experts and the gate of the other. B begins with one round.
    assert experts.endswith("staleness:3 rounds:3").sum() == 10
    assert experts.endswith("rounds:1").sum() == len(aggregates(result, "experts")) - 10
    assert aggregates(result, "gate").detail.str.endswith("staleness:0 rounds:1").all()


def test_gates_of_contacts_that_overlap_are_older_than_what_they_are_merged_into() -> None:
    near = [
        {"name": "Here", "latitude_deg": 60, "longitude_deg": 20, "devices": 2},
        {"name": "There", "latitude_deg": 58, "longitude_deg": 25, "devices": 2},
    ]
    changed = merged(ORBIT, {"orbit": {"beams": 2}, "ground": {"clusters": near}})
    changed["learning"] |= {"method": "emsfl", "train": False}
    gates = aggregates(sim.run(scenarios.from_dict(changed)), "gate").detail
    behind = gates.str.extract(r"staleness:(\d+)")[0].astype(int)
    assert behind.max() >= 1


# -- what goes down


@pytest.mark.parametrize("rank", [1, 16])
def test_devices_download_the_changes_that_they_miss_or_whole_experts(rank: int) -> None:
    """In slots every expert has changed once since a cluster's last contact."""
    lora = {"rank": rank, "download": "factors"}
    scenario = slots(stop={"cycles": 6}, learning=learned("emsfl", lora=lora, train=False))
    sizes = build(scenario).learner.architecture
    change, expert = sizes.factor_bytes(1), sizes.download_bytes([0], False)
    assert (change < expert) == (rank == 1)
    rows = sim.run(scenario).transfers
    models = rows[(rows.payload == "model") & (rows.device == 0)].sort_values("start_s")
    gate = sizes.download_bytes([], True)
    for _, mine in models.groupby("cluster"):
        assert (mine.payload_bytes.tail(5) == 4 * min(change, expert) + gate).all()
    full = sim.run(slots(stop={"cycles": 6}, learning=learned("emsfl", train=False)))
    sent = full.transfers[full.transfers.payload == "model"].payload_bytes
    assert set(sent) == {sizes.download_bytes([0, 1, 2, 3], True)}


def test_whoever_has_never_held_an_expert_needs_all_of_it() -> None:
    """The enhanced form turns to its gate: two experts are new, two have changed once."""
    lora = {"rank": 1, "download": "factors"}
    scenario = slots(stop={"cycles": 4}, learning=learned(lora=lora, train=False))
    sizes = build(scenario).learner.architecture
    rows = sim.run(scenario).transfers
    models = rows[(rows.payload == "model") & (rows.device == 0)]
    expected = 2 * sizes.factor_bytes(1) + sizes.download_bytes([0, 1], True)
    assert models.payload_bytes.tolist() == [expected] * 2
    own = rows[rows.payload.str.startswith("experts") & (rows.direction == "downlink")]
    assert own.payload_bytes.max() == 2 * sizes.factor_bytes(1)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans(), st.booleans()), max_size=12
    )
)
def test_bytes_down_are_those_of_a_device_that_counts_for_itself(steps) -> None:
    """Experts change in any order, and devices get what they asked for or do not."""
    lora = {"rank": 2, "download": "factors"}
    built = build(slots(learning=learned("emsfl", lora=lora, train=False)))
    learner, cluster = built.learner, built.plan.clusters[0]
    sizes, side, method = (
        learner.architecture,
        ClusterSide(built.learner, cluster),
        built.new_method(),
    )
    side.provide(learner.start(), [0, 1, 2, 3])
    missed = [[0, 0, 0, 0], [0, 0, 0, 0]]
    whole, change = sizes.download_bytes([0], False), sizes.factor_bytes(1)
    for expert, times, *got in steps:
        method.aggregated([expert], changes=times)
        for device in missed:
            device[expert] += times
        asked = side.download("model", learner.start(), 1, [0, 1, 2, 3], True, method.changes)
        for device, count in enumerate(missed):
            parts = sum(min(whole, change * n) for n in count)
            expected = parts + sizes.download_bytes([], True)
            assert np.asarray(asked.payload.bytes)[device] == pytest.approx(expected)
        done, none = np.array(got), np.zeros(2)
        side.receive(Receipt(done, none, none, none))
        missed = [[0] * 4 if done[d] else count for d, count in enumerate(missed)]


@pytest.mark.parametrize("upload_format", ["native", "float16", "int8"])
@pytest.mark.parametrize(("experts", "gate"), [([0, 2], False), ([], True), ([0, 1, 2, 3], True)])
def test_a_payload_is_the_sum_of_its_tensors(
    upload_format: str, experts: list[int], gate: bool
) -> None:
    learner = build(slots(learning=learned(upload_format=upload_format, train=False))).learner
    payload = upload_payload(learner, "some", experts, gate, 3)
    assert payload.bytes == sum(tensor.bytes for tensor in payload.tensors) > 0
    assert len({tensor.name for tensor in payload.tensors}) == len(payload.tensors)
