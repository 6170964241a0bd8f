"""Which cluster trains which expert: Algorithm 1, classes of experts, the registry."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chisquare

from tests.kit.inner import learning as kit
from tests.kit.inner.learning import model_splitting as splitting

RELEVANCES = st.tuples(st.integers(1, 7), st.integers(1, 12)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.sampled_from([0, 0.05, 0.1, 0.3, 0.9, 1]))
)


def draws(relevance, count, threshold=0.1):
    streams = (kit.stream(n, "") for n in range(count))
    return np.array([splitting.assign_experts(relevance, threshold, rng) for rng in streams])


@settings(max_examples=150)  # cheap, and many shapes are needed to fail
@given(RELEVANCES, st.sampled_from([0.0, 0.1, 0.3, 1.0]), st.integers(0, 2**32))
def test_probabilities_owners_and_classes_of_any_relevance(relevance, threshold, seed):
    clusters, experts = relevance.shape
    probability = splitting.assignment_probability(relevance, threshold)
    np.testing.assert_allclose(probability.sum(axis=0), 1.0, rtol=1e-12)
    below = (relevance < threshold) & (relevance < relevance.max(axis=0))
    assert (probability[below] == 0).all()
    owner = splitting.assign_experts(relevance, threshold, kit.stream(seed, "assign"))
    assert owner.shape == (experts,) and set(owner) <= set(range(clusters))
    assert len(set(owner)) == min(clusters, experts)  # as many as possible are served
    for expert, name in enumerate(splitting.expert_classes(relevance, threshold)):
        related = sum(1 for share in relevance[:, expert] if share >= threshold and share > 0)
        assert (name == "seldom") == (related == 0)
        assert (name == "shared") == (related >= 2 and 10 * related >= 9 * clusters)


@pytest.mark.parametrize(
    ("relevance", "expert", "share"),
    [
        ([[0.5], [0.3], [0.2], [0.05]], 0, [0.5, 0.3, 0.2, 0.0]),
        ([[0.9, 0.0, 0.3], [0.0, 0.8, 0.1]], 2, [0.75, 0.25]),  # all are served: among all clusters
    ],
)
def test_an_expert_is_drawn_with_its_assignment_probability(relevance, expert, share):
    drawn = np.bincount(draws(relevance, 4000)[:, expert], minlength=len(share))
    possible = np.array(share) > 0
    assert drawn[~possible].sum() == 0
    expected = 4000 * np.array(share)[possible]
    assert chisquare(drawn[possible], expected).pvalue > 1e-4


@pytest.mark.parametrize(
    ("relevance", "threshold", "message"),
    [([0.5, 0.5], 0.1, "shape"), ([[0.5, np.nan]], 0.1, "holds nan"), ([[0.5]], 1.5, "is 1.5")],
)
def test_what_is_no_relevance_or_threshold_is_refused(relevance, threshold, message):
    with pytest.raises(ValueError, match=message):
        splitting.assignment_probability(relevance, threshold)


def test_own_mass_by_hand():
    top_2 = [[1.0, 0.6, 0.4], [0.5, 0.5, 1.0]]
    assert splitting.own_mass(top_2, [0, 0, 1]) == pytest.approx((1.0 + 0.6 + 1.0) / 4)
    # nobody holds the last expert
    assert splitting.own_mass(np.eye(3), [0, 1, -1]) == pytest.approx(2 / 3)


@settings(max_examples=100)  # cheap, and ties are rare
@given(RELEVANCES.filter(lambda relevance: relevance.size <= 12 and relevance.any()))
def test_the_mass_at_home_is_the_largest_of_all_assignments(relevance):
    clusters, experts = relevance.shape
    every = list(product(range(clusters), repeat=experts))
    masses = [splitting.own_mass(relevance, owner) for owner in every]
    assert splitting.home_mass(relevance) == pytest.approx(max(masses))
    for owner, mass in zip(every, masses, strict=True):
        there = splitting.at_home(relevance, owner)
        assert there.all() == (mass == pytest.approx(max(masses)))
    assert not splitting.at_home(relevance, [-1] * experts).any()
    threshold = splitting.home_threshold(relevance)
    probability = splitting.assignment_probability(relevance, threshold)
    assert (relevance == relevance.max(axis=0))[probability > 0].all()


@settings(max_examples=100)  # cheap; few draws have clusters without related samples
@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**32))
def test_the_density_ratio_is_that_of_counted_samples(clusters, experts, seed):
    """Samples drawn one by one, each with the expert it selects; equal to counting them."""
    rng = kit.stream(seed, "samples")
    owner = rng.integers(0, clusters, experts)
    home = np.repeat(np.arange(clusters), 12)
    chosen = rng.integers(0, experts, len(home))
    relevance = [[np.mean(chosen[home == c] == e) for e in range(experts)] for c in range(clusters)]
    ratio = splitting.density_ratio(relevance, owner)
    for c in range(clusters):
        related = owner[chosen] == c
        expected = related[home == c].mean() / related.mean() if related.any() else np.nan
        assert ratio[c] == pytest.approx(expected, nan_ok=True)
