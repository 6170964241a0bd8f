"""Algorithm 1: which cluster trains which expert."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chisquare

from tests.kit.learning import (
    assign_experts,
    assignment_probability,
    density_ratio,
    expert_classes,
    own_mass,
    stream,
)

relevances = st.tuples(st.integers(1, 7), st.integers(1, 12)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.sampled_from([0, 0.05, 0.1, 0.3, 0.9, 1]))
)
thresholds = st.sampled_from([0.0, 0.1, 0.3, 1.0])


@settings(max_examples=200)
@given(relevances, thresholds)
def test_each_experts_probabilities_sum_to_one_over_the_clusters(relevance, threshold):
    probability = assignment_probability(relevance, threshold)
    np.testing.assert_allclose(probability.sum(axis=0), 1.0, rtol=1e-12)
    below = (relevance < threshold) & (relevance < relevance.max(axis=0))
    assert (probability[below] == 0).all()


def test_probability_is_the_truncated_column_over_its_sum():
    relevance = [[0.6, 0.04, 0.02], [0.2, 0.90, 0.01], [0.05, 0.06, 0.03]]
    expected = [[0.75, 0, 0], [0.25, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(assignment_probability(relevance, 0.1), expected)


@settings(max_examples=300)
@given(relevances, thresholds, st.integers(0, 2**32))
def test_as_many_clusters_as_possible_are_served(relevance, threshold, seed):
    owner = assign_experts(relevance, threshold, stream(seed, "assign"))
    clusters, experts = relevance.shape
    assert owner.shape == (experts,)
    assert len(set(owner.tolist())) == min(clusters, experts)
    assert ((owner >= 0) & (owner < clusters)).all()


def test_distinct_specialists_go_to_their_clusters_in_every_draw():
    relevance = np.full((4, 4), 0.05) + 0.85 * np.eye(4)[[2, 0, 3, 1]]
    for draw in range(300):
        owner = assign_experts(relevance, 0.1, stream(draw, "assign"))
        assert owner.tolist() == [1, 3, 0, 2]


def test_a_single_expert_is_drawn_with_its_assignment_probability():
    relevance = np.array([[0.5], [0.3], [0.2], [0.05]])
    drawn = [assign_experts(relevance, 0.1, stream(s, "one"))[0] for s in range(4000)]
    counts = np.bincount(drawn, minlength=4)
    assert counts[3] == 0
    assert chisquare(counts[:3], 4000 * np.array([0.5, 0.3, 0.2])).pvalue > 1e-4


def test_once_all_are_served_an_expert_is_drawn_among_all_clusters():
    relevance = np.array([[0.9, 0.0, 0.3], [0.0, 0.8, 0.1]])
    third = [assign_experts(relevance, 0.1, stream(s, "rest"))[2] for s in range(4000)]
    counts = np.bincount(third, minlength=2)
    assert chisquare(counts, 4000 * np.array([0.75, 0.25])).pvalue > 1e-4


def test_the_most_relevant_expert_chooses_first():
    # expert 1 is drawn first and can only go to cluster 0; expert 0 must then serve cluster 1
    relevance = [[0.6, 0.9], [0.2, 0.0]]
    for draw in range(50):
        assert assign_experts(relevance, 0.1, stream(draw, "order")).tolist() == [1, 0]


def test_an_expert_below_the_threshold_everywhere_goes_by_its_largest_relevance():
    relevance = [[0.9, 0.03, 0.0], [0.0, 0.04, 0.9]]
    for draw in range(50):
        owner = assign_experts(relevance, 0.1, stream(draw, "seldom"))
        assert owner.tolist() == [0, 1, 1]


def test_an_unrelated_expert_serves_the_cluster_that_would_get_none():
    relevance = [[0.9, 0.8, 0.0], [0.0, 0.2, 0.0], [0.0, 0.0, 0.05]]
    for draw in range(50):
        assert set(assign_experts(relevance, 0.1, stream(draw, "forced")).tolist()) == {0, 1, 2}


def test_the_same_stream_draws_the_same_owners():
    relevance = stream(0, "relevance").dirichlet(np.ones(12), size=5)
    first, second = (assign_experts(relevance, 0.0, stream(4, "assign")) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_own_mass_is_the_share_of_activations_that_falls_on_own_experts():
    top_2 = [[1.0, 0.6, 0.4], [0.5, 0.5, 1.0]]
    assert own_mass(top_2, [0, 0, 1]) == pytest.approx((1.0 + 0.6 + 1.0) / 4)
    assert own_mass(np.eye(3), [0, 1, 2]) == 1.0
    assert own_mass(np.eye(3), [0, 1, -1]) == pytest.approx(2 / 3)  # an expert that nobody holds


@pytest.mark.parametrize(
    ("relevance", "threshold", "message"),
    [
        ([0.5, 0.5], 0.1, "shape"),
        (np.zeros((0, 3)), 0.1, "shape"),
        ([[0.5, np.nan]], 0.1, "holds nan"),
        ([[0.5, -0.1]], 0.1, "holds -0.1"),
        ([[0.5, 2.0]], 0.1, "holds 2.0"),
        ([[0.5]], 1.5, "threshold is 1.5"),
        ([[0.5]], np.nan, "threshold is nan"),
    ],
)
def test_what_is_no_probability_is_refused(relevance, threshold, message):
    for function in (
        lambda: assignment_probability(relevance, threshold),
        lambda: assign_experts(relevance, threshold, stream(0, "bad")),
    ):
        with pytest.raises(ValueError, match=message):
            function()


@pytest.mark.parametrize("owner", [[0, 1], [0, 1, 2], [0, 1, -2], [0.5, 0, 1]])
def test_own_mass_refuses_owners_that_are_no_clusters(owner):
    with pytest.raises(ValueError, match="owner is"):
        own_mass(np.full((2, 3), 0.5), owner)


# -- Remark 2


def test_experts_are_shared_domain_specific_or_seldom_activated():
    relevance = [[0.9, 0.8, 0.02, 0.0], [0.5, 0.0, 0.03, 0.0], [0.2, 0.01, 0.04, 0.0]]
    assert expert_classes(relevance, 0.1) == ["shared", "domain", "seldom", "seldom"]


def test_almost_all_is_nine_of_ten():
    relevance = np.tile([[0.5, 0.5]], (10, 1))
    relevance[0, 1] = relevance[1, 1] = relevance[0, 0] = 0.0
    assert expert_classes(relevance, 0.1) == ["shared", "domain"]
    assert expert_classes(relevance, 0.1, shared_share=0.8) == ["shared", "shared"]
    assert expert_classes(relevance, 0.1, shared_share=1.0) == ["domain", "domain"]


@settings(max_examples=200)
@given(relevances, thresholds)
def test_every_expert_is_of_the_class_that_a_count_gives_it(relevance, threshold):
    clusters = len(relevance)
    for expert, name in enumerate(expert_classes(relevance, threshold)):
        related = sum(1 for share in relevance[:, expert] if share >= threshold and share > 0)
        assert (name == "seldom") == (related == 0)
        assert (name == "shared") == (related >= 2 and 10 * related >= 9 * clusters)


def test_shares_of_clusters_that_make_no_sense_are_refused():
    for share in (0.0, 1.1, np.nan):
        with pytest.raises(ValueError, match="shared_share is"):
            expert_classes([[0.5]], 0.1, shared_share=share)


# -- the conditions for a gain: local over global density


def test_uniform_data_are_as_dense_at_home_as_anywhere():
    relevance = np.tile([[0.1, 0.2, 0.3, 0.4]], (3, 1))
    np.testing.assert_allclose(density_ratio(relevance, [0, 1, 2, 0]), 1.0)


@pytest.mark.parametrize("clusters", [1, 2, 5])
def test_related_data_that_are_all_at_home_are_as_many_times_denser_as_there_are_clusters(clusters):
    owner = np.arange(2 * clusters) % clusters
    relevance = (owner == np.arange(clusters)[:, None]) / 2
    np.testing.assert_allclose(density_ratio(relevance, owner), clusters)


def test_clusters_without_related_experts_have_no_ratio():
    relevance = [[0.9, 0.0, 0.1], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0]]
    ratio = density_ratio(relevance, [0, 1, 0])
    np.testing.assert_allclose(ratio, [1.0 / ((1.0 + 1.0 + 1.0) / 3), np.nan, np.nan])


@settings(max_examples=200)
@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**32))
def test_the_ratio_is_that_of_counted_samples(clusters, experts, seed):
    """Samples drawn one by one, each with the expert it selects; equal to counting them."""
    rng = stream(seed, "samples")
    owner = rng.integers(0, clusters, experts)
    home = np.concatenate([np.arange(clusters), rng.integers(0, clusters, 60)])
    chosen = rng.integers(0, experts, len(home))
    relevance = [[np.mean(chosen[home == c] == e) for e in range(experts)] for c in range(clusters)]
    ratio = density_ratio(relevance, owner, weights=np.bincount(home, minlength=clusters))
    for c in range(clusters):
        related = owner[chosen] == c
        if not related.any():
            assert np.isnan(ratio[c])
        else:
            assert ratio[c] == pytest.approx(related[home == c].mean() / related.mean())


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, np.nan], [1.0, np.inf]])
def test_weights_that_are_no_shares_are_refused(weights):
    with pytest.raises(ValueError, match="weights are"):
        density_ratio(np.full((2, 3), 0.5), [0, 1, 1], weights)
