"""The spectral contrastive loss against closed forms, and against what it is derived from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.kit.training import clipped, correlation, mean_of_others, pairs, shared

FAR = 1e9
"""A radius that clips nothing."""
SEEDS = st.integers(0, 10_000)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def test_closed_forms() -> None:
    """One sample a direction; the optimum -d; all samples in one direction; nothing at all."""
    for d in (3, 4, 8):
        eye = torch.eye(d, dtype=torch.float64)
        assert shared(eye, eye, FAR).item() == pytest.approx(-2 + 1 / d, rel=1e-12)
        assert FAR * pairs(eye, eye, FAR).item() == pytest.approx(-2.0, rel=1e-12)
        best = d**0.5 * eye
        assert shared(best, best, float(d)).item() == pytest.approx(-d, rel=1e-12)
        nearby = best + 1e-3 * drawn(1, d, d)
        assert shared(nearby, nearby, FAR) > -d
    z = drawn(0, 1, 6).expand(10, 6)
    z = z / z.norm(dim=1, keepdim=True)
    for estimator in (pairs, shared):
        assert estimator(z, z, 1.0).item() == pytest.approx(-1.0, rel=1e-12)
        assert estimator(0 * z, 0 * z, 1.0).item() == 0.0


@given(seed=SEEDS, n=st.integers(2, 9), d=st.integers(1, 6))
def test_both_estimators_by_loops_over_pairs(seed: int, n: int, d: int) -> None:
    """``pairs`` of different samples, one view each; ``shared`` of all, both views."""
    z0, z1, mu = drawn(seed, n, d), drawn(seed + 1, n, d), 2.0
    c0, c1 = (
        z.numpy() * np.minimum(1, mu**0.5 / np.linalg.norm(z, axis=1, keepdims=True))
        for z in (z0, z1)
    )
    near = sum(c0[i] @ c1[i] for i in range(n)) / n
    far = sum((c0[i] @ c1[j]) ** 2 for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    wanted = (-2 * near + far) / mu
    assert pairs(z0, z1, mu).item() == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    both = np.concatenate((c0, c1))
    wanted = -2 * near + ((both @ both.T) ** 2).mean()
    given = clipped(z0, mu), clipped(z1, mu)
    assert shared(*given, mu).item() == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@given(seed=SEEDS)
def test_rotations_orders_views_and_lengths_beyond_the_radius_do_not_matter(seed: int) -> None:
    z0, z1 = drawn(seed, 7, 4), drawn(seed + 1, 7, 4)
    turn = torch.linalg.qr(drawn(seed + 2, 4, 4)).Q
    order = torch.from_numpy(np.random.default_rng(seed).permutation(7))
    for estimator in (pairs, shared):
        value = estimator(z0, z1, 3.0)
        torch.testing.assert_close(estimator(z0 @ turn, z1 @ turn, 3.0), value)
        torch.testing.assert_close(estimator(z0[order], z1[order], 3.0), value)
        torch.testing.assert_close(estimator(z1, z0, 3.0), value)
        long0, long1 = (2.0 * z / z.norm(dim=1, keepdim=True) for z in (z0, z1))
        value = estimator(long0, long1, 4.0)
        torch.testing.assert_close(estimator(3 * long0, 50 * long1, 4.0), value)
    assert not torch.isclose(shared(long0, long1, 4.0), shared(long0 / 2, long1 / 2, 4.0))


def test_gradients_by_finite_differences() -> None:
    z0, z1 = drawn(0, 5, 3).requires_grad_(), drawn(1, 5, 3).requires_grad_()
    others = correlation(drawn(2, 9, 3))
    for loss in (
        lambda a, b: pairs(a, b, 2.0),
        lambda a, b: shared(a, b, 2.0),
        lambda a, b: shared(a, b, 2.0, others, 0.3),
    ):
        assert torch.autograd.gradcheck(loss, (z0, z1))
    zero = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(shared(zero, zero, 4.0), zero)
    assert torch.isfinite(gradient).all()


def mean_gradient(weights: Tensor, batches: list[Tensor], alpha: float) -> Tensor:
    """Mean over clients of the gradient of what is not attraction, through z = x W."""
    own = [correlation(torch.cat((x, x)) @ weights) for x in batches]
    found = []
    for x, mine in zip(batches, own, strict=True):
        w = weights.clone().requires_grad_()
        others = mean_of_others(mine[None], torch.stack(own).sum(0), len(batches))[0]
        loss = shared(x @ w, x @ w, FAR, others, alpha) + 2 * ((x @ w) ** 2).sum(-1).mean()
        found.append(torch.autograd.grad(loss, w)[0])
    return torch.stack(found).mean(0)


def test_only_alpha_1_over_j_gives_the_pooled_gradient() -> None:
    clients = 5
    batches = [drawn(seed, 8, 6) for seed in range(clients)]
    weights = drawn(99, 6, 4).requires_grad_()
    mean = torch.stack([correlation(torch.cat((x, x)) @ weights) for x in batches]).mean(0)
    (pooled,) = torch.autograd.grad(mean.square().sum(), weights)
    at = weights.detach()
    found, alone = (mean_gradient(at, batches, alpha) for alpha in (1 / clients, 1.0))
    assert (found - pooled).norm() < 1e-9 * pooled.norm()
    assert (alone - pooled).norm() > 0.1 * pooled.norm()


def test_one_client_has_no_others_and_one_sample_no_pairs() -> None:
    own = correlation(drawn(0, 8, 3))[None]
    assert not mean_of_others(own, own[0], 1).any()
    with pytest.raises(ValueError, match=r"learning\.batch_size"):
        pairs(drawn(0, 1, 3), drawn(1, 1, 3), 1.0)
