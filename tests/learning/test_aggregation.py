"""Aggregation at the satellite against sums written out in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.learning import LearningConfig, LoraConfig, ModelConfig
from tests.kit.training import (
    fold,
    merge_experts,
    merge_gate,
    offer,
    receive,
    sample_weights,
    train,
)

ALL = (True, True, True)
EXPERTS = (0, 1)
WEIGHTS = (0.5, 0.2, 0.3)


MODEL = ModelConfig(experts=2, hidden=10, expert_hidden=6, layers=2, lora=LoraConfig(rank=2))
CONFIG = LearningConfig(4, ("a", "b"), (3, 2), MODEL)


@pytest.fixture(scope="module")
def state(task, server):
    new = receive(task, server, None, cluster="a", who=ALL, experts=EXPERTS, generation=(0, 1, 1))
    return train(
        task,
        new,
        cluster="a",
        rounds=(3, 5, 4),
        first_round=(0, 0, 0),
        experts=EXPERTS,
        gate=True,
        masked=False,
    )


@pytest.fixture(scope="module")
def offered(task, state):
    return offer(task, state, experts=EXPERTS, gate=True)


def rebuilt(offered, matrix):
    """Return each device's change of one matrix, 2 B A, one by one in float64."""
    a, b = (offered[f"factor.{matrix}.{factor}"].double().numpy() for factor in "ab")
    return np.array([2.0 * b[k] @ a[k] for k in range(3)])


def test_experts_move_by_the_weighted_mean_of_the_rebuilt_changes(task, server, offered):
    merged = merge_experts(task, server, offered, experts=EXPERTS, weights=WEIGHTS)
    for expert in EXPERTS:
        for layer in (0, 1):
            matrix = f"expert.{expert}.{layer}.down"
            change = (np.array(WEIGHTS)[:, None, None] * rebuilt(offered, matrix)).sum(0)
            assert np.abs(change).max() > 1e-3
            expected = server[f"{matrix}.weight"].double().numpy() + change
            np.testing.assert_allclose(merged[f"{matrix}.weight"].numpy(), expected, atol=1e-6)


def test_averaging_the_factors_would_give_something_else(task, server, offered):
    merged = merge_experts(task, server, offered, experts=(0,), weights=WEIGHTS)
    matrix = "expert.0.0.up"
    a, b = (
        (torch.tensor(WEIGHTS)[:, None, None] * offered[f"factor.{matrix}.{f}"]).sum(0)
        for f in "ab"
    )
    change = merged[f"{matrix}.weight"] - server[f"{matrix}.weight"]
    assert (change - 2.0 * b @ a).abs().max() > 0.1 * change.abs().max()


def test_when_all_downloaded_the_servers_version_the_result_is_the_mean_of_their_models(
    task, server, state, offered
):
    """Equation (28): replacing by the weighted mean, where changes are against the same base."""
    merged = merge_experts(task, server, offered, experts=EXPERTS, weights=WEIGHTS)
    merged = merge_gate(task, merged, offered, weights=WEIGHTS)
    local = fold(
        task, state, cluster="a", who=ALL, generation=(2, 2, 2), experts=(0, 1, 2), gate=True
    )
    shares = torch.tensor(WEIGHTS, dtype=torch.float64)
    for name in merged:
        mean = torch.tensordot(shares, local[f"base.{name}"].double(), dims=1)
        torch.testing.assert_close(merged[name].double(), mean, atol=1e-6, rtol=1e-5)


def test_changes_from_overlapping_contacts_add_up_in_any_order(task, server, offered):
    first = {name: tensor for name, tensor in offered.items() if ".expert.0." in name}
    second = {name: tensor for name, tensor in offered.items() if ".expert.1." in name}
    parts = ((first, (0,)), (second, (1,)))
    results = []
    for order in (parts, parts[::-1]):
        merged = server
        for part, experts in order:
            merged = merge_experts(task, merged, part, experts=experts, weights=WEIGHTS)
        results.append(merged)
    assert all(torch.equal(results[0][name], results[1][name]) for name in server)


def test_nothing_but_the_matrices_of_the_named_experts_moves(task, server, offered):
    merged = merge_experts(task, server, offered, experts=(1,), weights=WEIGHTS)
    moved = {name for name in server if not torch.equal(merged[name], server[name])}
    assert moved == {f"expert.1.{layer}.{m}.weight" for layer in (0, 1) for m in ("up", "down")}


def test_the_gate_moves_by_the_weighted_mean_change(task, server, offered):
    merged = merge_gate(task, server, offered, weights=WEIGHTS)
    change = offered["delta.gate.1.weight"].double().numpy()
    expected = server["gate.1.weight"].double().numpy() + np.tensordot(WEIGHTS, change, 1)
    np.testing.assert_allclose(merged["gate.1.weight"].numpy(), expected, atol=1e-7)
    assert torch.equal(merged["expert.0.0.up.weight"], server["expert.0.0.up.weight"])


def test_one_device_alone_hands_over_its_own_model(task, server, state, offered):
    merged = merge_experts(task, server, offered, experts=EXPERTS, weights=(0.0, 1.0, 0.0))
    local = fold(
        task, state, cluster="a", who=ALL, generation=(2, 2, 2), experts=(0, 1, 2), gate=True
    )
    torch.testing.assert_close(
        merged["expert.1.1.up.weight"], local["base.expert.1.1.up.weight"][1]
    )


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(3)), st.lists(st.integers(0, 9), min_size=3, max_size=3))
def test_the_order_of_the_devices_does_not_matter(task, server, offered, order, parts):
    parts = parts if sum(parts) else [1, 0, 0]
    weights = [part / sum(parts) for part in parts]
    shuffled = {name: tensor[list(order)] for name, tensor in offered.items()}
    first = merge_experts(task, server, offered, experts=EXPERTS, weights=weights)
    second = merge_experts(
        task, server, shuffled, experts=EXPERTS, weights=[weights[k] for k in order]
    )
    for name in server:
        torch.testing.assert_close(first[name], second[name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((0.5, 0.5), "give 3 that are"),
        ((0.5, 0.6, -0.1), "that are 0 or more"),
        ((0.5, 0.5, float("nan")), "that are 0 or more"),
        ((float("inf"), 0.0, 0.0), "that are 0 or more"),
    ],
)
def test_weights_below_zero_or_not_finite_are_refused(task, server, offered, weights, message):
    for merge in (
        lambda: merge_experts(task, server, offered, experts=(0,), weights=weights),
        lambda: merge_gate(task, server, offered, weights=weights),
    ):
        with pytest.raises(ValueError, match=message):
            merge()


def test_an_update_that_is_not_finite_is_refused_by_name_and_device(task, server, offered):
    broken = {name: tensor.clone() for name, tensor in offered.items()}
    broken["factor.expert.1.0.up.b"][2, 0, 0] = float("inf")
    broken["delta.gate.0.weight"][1, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"'expert\.1\.0\.up\.weight' from device 2"):
        merge_experts(task, server, broken, experts=EXPERTS, weights=WEIGHTS)
    with pytest.raises(ValueError, match=r"'gate\.0\.weight' from device 1"):
        merge_gate(task, server, broken, weights=WEIGHTS)


def test_a_device_of_weight_zero_may_hold_anything(task, server, offered):
    broken = {name: tensor.clone() for name, tensor in offered.items()}
    for tensor in broken.values():
        tensor[2] = float("nan")
    weights = (0.25, 0.75, 0.0)
    clean, other = (
        merge_experts(task, server, o, experts=EXPERTS, weights=weights) for o in (offered, broken)
    )
    assert all(torch.equal(clean[name], other[name]) for name in server)


def test_what_was_not_offered_cannot_be_merged(task, server, offered):
    fewer = {name: tensor for name, tensor in offered.items() if ".expert.1." not in name}
    with pytest.raises(ValueError, match=r"no factors of 'expert\.1"):
        merge_experts(task, server, fewer, experts=EXPERTS, weights=WEIGHTS)
    with pytest.raises(ValueError, match=r"no change of 'gate\.0"):
        merge_gate(task, server, {}, weights=WEIGHTS)


def test_devices_weigh_by_their_samples(task):
    counts = np.array(task.shards["a"].sizes)
    assert len(set(counts)) == 2
    np.testing.assert_allclose(sample_weights(task, "a", ALL), counts / counts.sum())
    some = sample_weights(task, "a", (True, False, True))
    np.testing.assert_allclose(some, counts * [1, 0, 1] / counts.sum())
    rest = sample_weights(task, "a", (False, True, False))
    assert sum(some) + sum(rest) == pytest.approx(1.0, abs=1e-12)


def test_only_devices_that_can_take_part_count_for_the_weights(task):
    counts = np.array(task.shards["a"].sizes)
    able = (True, False, True)
    both = sample_weights(task, "a", able, able)
    np.testing.assert_allclose(both, counts * able / counts[[0, 2]].sum())
    alone = sample_weights(task, "a", (True, False, False), able)
    assert alone == (pytest.approx(counts[0] / counts[[0, 2]].sum()), 0.0, 0.0)


def test_a_backbone_that_is_trained_moves_with_the_gate(task, server, offered):
    """Equation (36) is about all that is shared: here each device changes it by another number."""
    whole = replace(task, config=replace(CONFIG, trains_backbone=True))
    everything = {**task.initial, **server}
    changes = {
        f"delta.{name}": torch.stack([torch.full_like(tensor, k + 1.0) for k in range(3)])
        for name, tensor in everything.items()
        if not name.startswith("expert.")
    }
    merged = merge_gate(whole, everything, changes, weights=WEIGHTS)
    mean = 0.5 * 1 + 0.2 * 2 + 0.3 * 3
    moved = {name for name, tensor in merged.items() if not torch.equal(tensor, everything[name])}
    assert moved == {name.removeprefix("delta.") for name in changes}
    assert {"head.bias", "embed.weight", "gate.0.weight"} <= moved
    for name in moved:
        torch.testing.assert_close(merged[name], everything[name] + mean)


@pytest.mark.parametrize("who", [(False, False, False), (True, True)])
def test_no_devices_and_other_clusters_masks_have_no_weights(task, who):
    with pytest.raises(ValueError, match="name at least one of the 3 devices"):
        sample_weights(task, "a", who)


def test_merging_leaves_the_servers_old_version(task, server, offered):
    before = {name: tensor.clone() for name, tensor in server.items()}
    merge_experts(task, server, offered, experts=EXPERTS, weights=WEIGHTS)
    assert all(torch.equal(before[name], server[name]) for name in server)
