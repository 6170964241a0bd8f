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


def rotation(seed: int, d: int) -> Tensor:
    return torch.linalg.qr(drawn(seed, d, d)).Q


@pytest.mark.parametrize(("d", "wanted"), [(4, -1.75), (8, -1.875)])
def test_one_sample_a_direction(d: int, wanted: float) -> None:
    eye = torch.eye(d, dtype=torch.float64)
    assert shared(eye, eye, FAR).item() == pytest.approx(wanted, rel=1e-12)
    assert FAR * pairs(eye, eye, FAR).item() == pytest.approx(-2.0, rel=1e-12)


def test_collapse_to_one_direction_and_to_nothing() -> None:
    z = drawn(0, 1, 6).expand(10, 6)
    z = z / z.norm(dim=1, keepdim=True)
    for estimator in (pairs, shared):
        assert estimator(z, z, 1.0).item() == pytest.approx(-1.0, rel=1e-12)
        assert estimator(0 * z, 0 * z, 1.0).item() == 0.0


@pytest.mark.parametrize("d", [3, 7])
def test_the_least_loss_is_minus_d(d: int) -> None:
    z = d**0.5 * torch.eye(d, dtype=torch.float64)
    assert shared(z, z, float(d)).item() == pytest.approx(-d, rel=1e-12)
    nearby = z + 1e-3 * drawn(1, d, d)
    assert shared(nearby, nearby, FAR) > -d


@given(seed=SEEDS, n=st.integers(2, 9), d=st.integers(1, 6))
def test_pairs_by_two_loops(seed: int, n: int, d: int) -> None:
    z0, z1 = drawn(seed, n, d).numpy(), drawn(seed + 1, n, d).numpy()
    mu = 2.0
    c0, c1 = (
        z * np.minimum(1, mu**0.5 / np.linalg.norm(z, axis=1, keepdims=True)) for z in (z0, z1)
    )
    near = sum(c0[i] @ c1[i] for i in range(n)) / n
    far = sum((c0[i] @ c1[j]) ** 2 for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    found = pairs(torch.from_numpy(z0), torch.from_numpy(z1), mu).item()
    assert found == pytest.approx((-2 * near + far) / mu, rel=1e-9, abs=1e-12)


@given(seed=SEEDS, n=st.integers(1, 9), d=st.integers(1, 6))
def test_shared_by_all_pairs_of_both_views(seed: int, n: int, d: int) -> None:
    z0, z1 = clipped(drawn(seed, n, d), 2.0), clipped(drawn(seed + 1, n, d), 2.0)
    both = torch.cat((z0, z1)).numpy()
    far = ((both @ both.T) ** 2).mean()
    near = (z0 * z1).sum().item() / n
    assert shared(z0, z1, 2.0).item() == pytest.approx(-2 * near + far, rel=1e-9, abs=1e-12)


@given(seed=SEEDS)
def test_rotations_orders_and_views_do_not_matter(seed: int) -> None:
    z0, z1 = drawn(seed, 7, 4), drawn(seed + 1, 7, 4)
    turn, order = (
        rotation(seed + 2, 4),
        torch.from_numpy(np.random.default_rng(seed).permutation(7)),
    )
    for estimator in (pairs, shared):
        value = estimator(z0, z1, 3.0)
        torch.testing.assert_close(estimator(z0 @ turn, z1 @ turn, 3.0), value)
        torch.testing.assert_close(estimator(z0[order], z1[order], 3.0), value)
        torch.testing.assert_close(estimator(z1, z0, 3.0), value)


def test_beyond_the_radius_length_does_not_matter() -> None:
    z0, z1 = drawn(0, 6, 5), drawn(1, 6, 5)
    z0, z1 = (2.0 * z / z.norm(dim=1, keepdim=True) for z in (z0, z1))
    for estimator in (pairs, shared):
        torch.testing.assert_close(estimator(z0, z1, 4.0), estimator(3 * z0, 50 * z1, 4.0))
    assert not torch.isclose(shared(z0, z1, 4.0), shared(z0 / 2, z1 / 2, 4.0))


def test_rows_of_zeros_have_finite_gradients() -> None:
    z = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(shared(z, z, 4.0), z)
    assert torch.isfinite(gradient).all()


def test_the_matrix_identity_and_its_optimum() -> None:
    """A finite augmentation graph: the population loss is ||A - F F'||^2 - ||A||^2."""
    n, k = 6, 3
    weight = drawn(3, n, n).abs()
    weight = weight + weight.T
    joint = weight / weight.sum()
    share = joint.sum(1)
    normal = joint / (share.outer(share)).sqrt()
    f = drawn(4, n, k)
    products = f @ f.T
    population = -2 * (joint * products).sum() + (share.outer(share) * products**2).sum()
    stretched = share.sqrt()[:, None] * f
    identity = (normal - stretched @ stretched.T).square().sum() - normal.square().sum()
    torch.testing.assert_close(population, identity)
    values, vectors = torch.linalg.eigh(normal)
    kept = values[-k:].clamp_min(0)
    best = vectors[:, -k:] * kept.sqrt() / share.sqrt()[:, None]
    products = best @ best.T
    least = -2 * (joint * products).sum() + (share.outer(share) * products**2).sum()
    torch.testing.assert_close(least, -kept.square().sum())


def test_estimators_meet_the_population_loss() -> None:
    """Over many batches ``pairs`` averages to the population loss; ``shared`` lies above it."""
    rng = np.random.default_rng(0)
    centres = torch.from_numpy(rng.standard_normal((3, 2)) * 0.7)
    joint = torch.eye(3, dtype=torch.float64) / 3
    products = centres @ centres.T
    population = -2 * (joint * products).sum() + (products**2).mean()
    found: dict[str, list[float]] = {"pairs": [], "shared": []}
    for _ in range(4000):
        rows = torch.from_numpy(rng.integers(0, 3, 4))
        z = centres[rows]
        found["pairs"].append(FAR * pairs(z, z, FAR).item())
        found["shared"].append(shared(z, z, FAR).item())
    error = 5 * np.std(found["pairs"]) / len(found["pairs"]) ** 0.5
    assert np.mean(found["pairs"]) == pytest.approx(population.item(), abs=error)
    # A pair of a sample with itself has probability 1/n: n = 4 here, both views alike.
    own = (products.diagonal() ** 2).mean().item()
    wanted = population.item() + (own - (products**2).mean().item()) / 4
    error = 5 * np.std(found["shared"]) / len(found["shared"]) ** 0.5
    assert np.mean(found["shared"]) == pytest.approx(wanted, abs=error)


@pytest.mark.parametrize("estimator", [pairs, shared])
def test_gradients_by_finite_differences(estimator: object) -> None:
    z0, z1 = drawn(0, 5, 3).requires_grad_(), drawn(1, 5, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: estimator(a, b, 2.0), (z0, z1))  # type: ignore[operator]


def test_gradient_with_shared_matrices_by_finite_differences() -> None:
    z0, z1 = drawn(0, 5, 3).requires_grad_(), drawn(1, 5, 3).requires_grad_()
    others = correlation(drawn(2, 9, 3))
    assert torch.autograd.gradcheck(lambda a, b: shared(a, b, 2.0, others, 0.3), (z0, z1))


# -- clients that share matrices


def repulsion_gradients(weights: Tensor, batches: list[Tensor], alpha: float) -> Tensor:
    """Mean over clients of the gradient of what is not attraction, through z = x W."""
    total = sum(correlation(torch.cat((x, x)) @ weights) for x in batches)
    found = []
    for x in batches:
        w = weights.clone().requires_grad_()
        own = correlation(torch.cat((x, x)) @ weights)
        others = mean_of_others(own[None], total, len(batches))[0]  # type: ignore[arg-type]
        loss = shared(x @ w, x @ w, FAR, others, alpha) + 2 * ((x @ w) ** 2).sum(-1).mean()
        found.append(torch.autograd.grad(loss, w)[0])
    return torch.stack(found).mean(0)


@pytest.mark.parametrize("clients", [2, 5, 10])
def test_only_alpha_1_over_j_gives_the_pooled_gradient(clients: int) -> None:
    batches = [drawn(seed, 8, 6) for seed in range(clients)]
    weights = drawn(99, 6, 4).requires_grad_()
    mean = sum(correlation(torch.cat((x, x)) @ weights) for x in batches) / clients
    (pooled,) = torch.autograd.grad(mean.square().sum(), weights)  # type: ignore[union-attr]
    at = weights.detach()
    found = repulsion_gradients(at, batches, 1 / clients)
    assert (found - pooled).norm() < 1e-9 * pooled.norm()
    alone = repulsion_gradients(at, batches, 1.0)
    assert (alone - pooled).norm() > 0.1 * pooled.norm()


def test_clients_of_equal_data_need_no_alpha() -> None:
    batches = [drawn(0, 8, 6)] * 4
    weights = drawn(99, 6, 4)
    found = [repulsion_gradients(weights, batches, alpha) for alpha in (0.0, 0.25, 1.0)]
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])


def test_one_client_has_no_others() -> None:
    own = correlation(drawn(0, 8, 3))[None]
    assert not mean_of_others(own, own[0], 1).any()


def test_a_batch_of_one_has_no_other_sample() -> None:
    with pytest.raises(ValueError, match=r"learning\.batch_size"):
        pairs(drawn(0, 1, 3), drawn(1, 1, 3), 1.0)
