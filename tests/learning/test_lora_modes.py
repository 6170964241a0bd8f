"""Remark 1 in its variants: merged or averaged factors, truncated changes, whole matrices."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.learning import LearningConfig, LoraConfig, ModelConfig, stream
from tests.kit.training import fold, merge_experts, not_finite, offer, receive, train, truncated_sum

MODEL = ModelConfig(experts=2, hidden=10, expert_hidden=6, layers=1, lora=LoraConfig(rank=2))
CONFIG = LearningConfig(4, ("a", "b"), (3, 2), MODEL)
ALL = (True, True, True)
WEIGHTS = (0.5, 0.2, 0.3)


def with_lora(task, **changes):
    model = replace(MODEL, lora=replace(MODEL.lora, **changes))
    return replace(task, config=replace(CONFIG, model=model))


@pytest.fixture(scope="module")
def offered(task, server):
    state = receive(task, server, None, cluster="a", who=ALL, experts=(0, 1), generation=(0, 0, 0))
    after = train(
        task,
        state,
        cluster="a",
        rounds=(3, 5, 4),
        first_round=(0, 0, 0),
        experts=(0, 1),
        gate=True,
        masked=False,
    )
    return offer(task, after, experts=(0, 1), gate=True)


def change_of(task, server, offered, weights=WEIGHTS, matrix="expert.0.0.up"):
    merged = merge_experts(task, server, offered, experts=(0,), weights=weights)
    return (merged[f"{matrix}.weight"] - server[f"{matrix}.weight"]).double().numpy()


def factors(offered, matrix="expert.0.0.up"):
    return (offered[f"factor.{matrix}.{part}"].double().numpy() for part in "ab")


def test_averaged_factors_make_a_change_of_that_rank(task, server, offered):
    a, b = factors(offered)
    shares = np.array(WEIGHTS)[:, None, None]
    expected = 2.0 * (shares * b).sum(0) @ (shares * a).sum(0)
    found = change_of(with_lora(task, aggregate="average"), server, offered)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.linalg.matrix_rank(expected, tol=1e-9) == 2


def test_late_devices_add_their_share_of_an_average_too(task, server, offered):
    a, b = factors(offered)
    found = change_of(with_lora(task, aggregate="average"), server, offered, (0.0, 0.2, 0.0))
    np.testing.assert_allclose(found, 0.2 * 2.0 * b[1] @ a[1], atol=1e-6)


def test_what_goes_down_as_factors_is_the_best_of_that_rank(task, server, offered):
    """Eckart and Young: the singular value decomposition of the merged change, cut off."""
    whole = change_of(task, server, offered)
    u, values, v = np.linalg.svd(whole)
    assert values[2] > 1e-3 * values[0]
    found = change_of(with_lora(task, download="factors"), server, offered)
    np.testing.assert_allclose(found, (u[:, :2] * values[:2]) @ v[:2], atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 5), st.integers(1, 3), st.integers(2, 9), st.integers(2, 9), st.integers(0, 999)
)
def test_a_truncated_sum_is_exact_where_its_rank_suffices(k, r, rows, columns, seed):
    rng = stream(seed, "factors")
    a = torch.from_numpy(rng.standard_normal((k, r, columns)))
    b = torch.from_numpy(rng.standard_normal((k, rows, r)))
    weights = rng.random(k).tolist()
    whole = sum(2.0 * w * (b[i] @ a[i]) for i, w in enumerate(weights))
    kept = truncated_sum(a, b, weights, k * r, 2.0)
    torch.testing.assert_close(kept, whole, atol=1e-10, rtol=1e-10)
    cut = truncated_sum(a, b, weights, r, 2.0)
    singular = torch.linalg.svdvals(whole)
    left_out = torch.linalg.norm(whole - cut)
    torch.testing.assert_close(left_out, torch.linalg.norm(singular[r:]), atol=1e-9, rtol=1e-9)


@pytest.fixture(scope="module")
def whole(task):
    """The same task without low rank: matrices and biases themselves are trained."""
    full = with_lora(task, rank=None)
    return replace(full)


def test_without_a_rank_matrices_and_biases_are_trained_and_sent(whole, server):
    state = receive(whole, server, None, cluster="a", who=ALL, experts=(0,), generation=(0, 0, 0))
    after = train(
        whole,
        state,
        cluster="a",
        rounds=(1, 2, 0),
        first_round=(0, 0, 0),
        experts=(0,),
        gate=False,
        masked=True,
    )
    moved = {name for name in state if not torch.equal(state[name], after[name])}
    expert = {f"expert.0.0.{m}.{part}" for m in ("up", "down") for part in ("weight", "bias")}
    assert moved == expert
    sent = offer(whole, after, experts=(0,), gate=False)
    assert set(sent) == {f"delta.{name}" for name in expert}
    merged = merge_experts(whole, server, sent, experts=(0,), weights=WEIGHTS)
    for name in expert:
        mean = torch.tensordot(torch.tensor(WEIGHTS), after[name], dims=1)
        torch.testing.assert_close(merged[name], mean, atol=1e-6, rtol=1e-5)


def test_folding_whole_matrices_sends_only_what_comes_after(whole, server):
    both = {"cluster": "a", "who": ALL, "generation": (0, 0, 0)}
    state = receive(whole, server, None, experts=(0,), **both)
    moved = {n: t + 1.0 if not n.startswith("base.") else t for n, t in state.items()}
    folded = fold(whole, moved, experts=(0,), gate=True, **both)
    assert all(
        t.count_nonzero() == 0 for t in offer(whole, folded, experts=(0,), gate=True).values()
    )
    assert torch.equal(folded["expert.0.0.up.bias"], moved["expert.0.0.up.bias"])


def test_a_download_keeps_what_was_trained_and_not_yet_sent(whole, server):
    both = {"cluster": "a", "generation": (0, 0, 0), "experts": (0,)}
    state = receive(whole, server, None, who=ALL, **both)
    moved = dict(state)
    moved["expert.0.0.up.weight"] = state["expert.0.0.up.weight"] + 0.25
    newer = {name: tensor + 1.0 for name, tensor in server.items()}
    after = receive(whole, newer, moved, who=(True, False, True), **both)
    torch.testing.assert_close(
        after["expert.0.0.up.weight"][0], server["expert.0.0.up.weight"] + 1.25
    )
    torch.testing.assert_close(
        after["expert.0.0.up.weight"][1], server["expert.0.0.up.weight"] + 0.25
    )


def test_devices_with_numbers_that_are_not_finite_are_named(offered):
    broken = {name: tensor.clone() for name, tensor in offered.items()}
    broken["factor.expert.1.0.down.b"][2, 0, 0] = torch.inf
    broken["delta.gate.0.weight"][0, 0, 0] = torch.nan
    assert not_finite(offered) == []
    assert not_finite(broken) == [0, 2]


def test_a_device_that_diverged_is_whole_again_after_its_next_download(whole, server):
    both = {"cluster": "a", "generation": (0, 0, 0), "experts": (0,)}
    state = receive(whole, server, None, who=ALL, **both)
    state["expert.0.0.up.weight"] = state["expert.0.0.up.weight"].clone()
    state["expert.0.0.up.weight"][1] = torch.nan
    after = receive(whole, server, state, who=ALL, **both)
    assert torch.isfinite(after["expert.0.0.up.weight"]).all()
    assert torch.equal(after["expert.0.0.up.weight"][1], server["expert.0.0.up.weight"])


@pytest.mark.parametrize("changes", [{}, {"aggregate": "average"}, {"download": "factors"}])
def test_a_device_that_was_refused_may_hold_anything(task, server, offered, changes):
    broken = {name: tensor.clone() for name, tensor in offered.items()}
    for tensor in broken.values():
        tensor[1] = torch.nan
    some = with_lora(task, **changes)
    clean, found = (change_of(some, server, o, (0.5, 0.0, 0.3)) for o in (offered, broken))
    assert np.abs(clean).max() > 1e-3
    np.testing.assert_array_equal(found, clean)


@pytest.mark.parametrize("part", ["a", "b"])
@pytest.mark.parametrize("changes", [{}, {"aggregate": "average"}, {"download": "factors"}])
def test_both_factors_are_looked_at(task, server, offered, changes, part):
    broken = {name: tensor.clone() for name, tensor in offered.items()}
    broken[f"factor.expert.0.0.up.{part}"][1, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"'expert\.0\.0\.up\.weight' from device 1"):
        merge_experts(with_lora(task, **changes), server, broken, experts=(0,), weights=WEIGHTS)
