"""How a cluster's samples go to its devices."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.data import load_samples
from tests.kit.learning import (
    DataConfig,
    LearningConfig,
    class_parts,
    dirichlet_parts,
    share_devices,
)

LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=80).map(np.array)
CONFIG = LearningConfig(3, ("a", "b"), (5, 6))


def each_once(parts, count):
    return sorted(np.concatenate(parts).tolist()) == list(range(count))


@given(
    LABELS,
    st.data(),
    st.sampled_from(["even", "dirichlet"]),
    st.floats(1e-12, 1e6),
    st.integers(0, 99),
)
def test_every_sample_is_on_one_device_and_no_device_is_empty(y, data, partition, alpha, seed):
    devices = data.draw(st.integers(1, len(y)))
    how = DataConfig(partition=partition, dirichlet_alpha=alpha)
    parts = share_devices(y, "a", devices, replace(CONFIG, seed=seed, data=how))
    assert len(parts) == devices
    assert each_once(parts, len(y))
    assert min(map(len, parts)) >= 1


def test_label_shares_of_many_devices_spread_as_a_dirichlet_says():
    # independent truth: a share of Dirichlet(alpha, ..., alpha) over K labels has mean 1/K and
    # variance (1/K)(1 - 1/K) / (K alpha + 1)
    classes, devices, alpha = 5, 2000, 0.5
    y = np.tile(np.arange(classes), 100_000)
    parts = dirichlet_parts(y, devices, alpha, np.random.default_rng(0))
    shares = np.array([np.bincount(y[rows], minlength=classes) / len(rows) for rows in parts])
    variance = (1 / classes) * (1 - 1 / classes) / (classes * alpha + 1)
    # the standard error of a variance of 2000 draws is about 3 % of it; a share also moves with
    # how many samples its device got, which 2000 devices keep near 2 %
    assert shares.mean(axis=0) == pytest.approx(np.full(classes, 1 / classes), abs=0.02)
    assert shares.var(axis=0) == pytest.approx(np.full(classes, variance), rel=0.15)


def test_a_large_alpha_gives_each_device_the_labels_of_all_and_a_small_one_few():
    y = np.tile(np.arange(10), 500)
    alike, apart = (dirichlet_parts(y, 20, a, np.random.default_rng(1)) for a in (1e6, 0.01))
    for rows in alike:
        assert np.bincount(y[rows], minlength=10) == pytest.approx(25, abs=2)
    most = [np.bincount(y[rows]).max() / len(rows) for rows in apart]
    assert np.median(most) > 0.9


@given(st.integers(1, 7), st.integers(1, 12), st.data(), st.integers(0, 99))
def test_each_device_holds_exactly_the_asked_number_of_labels(labels, devices, data, seed):
    per_device = data.draw(st.integers(-(-labels // devices), labels))
    # every label has a sample for each device, so that any number of holders will do
    sizes = data.draw(st.lists(st.integers(devices, 40), min_size=labels, max_size=labels))
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(labels), sizes))
    parts = class_parts(y, devices, per_device, np.random.default_rng(seed))
    assert each_once(parts, len(y))
    assert [len(set(y[rows].tolist())) for rows in parts] == [per_device] * devices


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 3), st.integers(1, 4))
def test_a_partition_by_classes_is_refused_only_where_trying_all_finds_none(
    sizes, devices, per_device
):
    y = np.repeat(np.arange(len(sizes)), sizes)
    choices = list(combinations(range(len(sizes)), per_device))
    possible = any(
        all(1 <= sum(label in held for held in dealt) <= n for label, n in enumerate(sizes))
        for dealt in product(choices, repeat=devices)
    )
    try:
        class_parts(y, devices, per_device, np.random.default_rng(0))
        found = True
    except ValueError as refusal:
        assert "\n" not in str(refusal)
        found = False
    assert found == possible


def test_labels_with_more_samples_go_to_more_devices():
    y = np.repeat([0, 1, 2], [600, 300, 100])
    parts = class_parts(y, 10, 1, np.random.default_rng(0))
    held = [int(y[rows[0]]) for rows in parts]
    assert np.bincount(held).tolist() == [6, 3, 1]
    assert {len(rows) for rows in parts} == {100}


@pytest.mark.parametrize("partition", ["dirichlet", "classes"])
def test_a_clusters_parts_do_not_depend_on_another_cluster(partition):
    config = replace(CONFIG, data=DataConfig(partition=partition))
    mine, theirs = load_samples(config), load_samples(replace(config, devices=(5, 7)))
    assert len(theirs.shards["b"]) == 7
    for one, other in zip(mine.shards["a"], theirs.shards["a"], strict=True):
        assert np.array_equal(one.x, other.x)


@pytest.mark.parametrize("partition", ["even", "dirichlet", "classes"])
def test_the_same_seed_is_the_same_partition_and_another_seed_is_not(partition):
    config = replace(CONFIG, data=DataConfig(partition=partition))
    first, again, other = (
        load_samples(replace(config, seed=seed)).shards["a"][0].x.tobytes() for seed in (3, 3, 4)
    )
    assert first == again != other


def test_mixed_domains_are_partitioned_by_label_too():
    data = DataConfig(own_domain_fraction=0.6, partition="classes", classes_per_device=3)
    samples = load_samples(replace(CONFIG, data=data))
    for cluster in CONFIG.clusters:
        for shard in samples.shards[cluster]:
            assert len(np.unique(shard.y)) == 3
    domains = np.concatenate([shard.domain for shard in samples.shards["a"]])
    assert np.unique(domains).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataConfig(partition="classes", classes_per_device=11), "cluster 'a': 5 devices with 11"),
        (DataConfig(partition="classes", classes_per_device=1), "of 10 labels; change"),
        (DataConfig(partition="dirichlet", dirichlet_alpha=0.0), "dirichlet_alpha is 0.0"),
        (DataConfig(partition="dirichlet", dirichlet_alpha=float("inf")), "alpha is inf"),
        (DataConfig(partition="random"), "'random'; it is even, dirichlet or classes"),
    ],
)
def test_an_impossible_partition_is_refused_in_one_line(data, message):
    with pytest.raises(ValueError, match=message) as refusal:
        load_samples(replace(CONFIG, data=data))
    assert "\n" not in str(refusal.value)
