"""Who holds which samples: domains, clusters and their devices."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from learning.data import load_samples
from tests.kit.learning import (
    DataConfig,
    LearningConfig,
    SampleArrays,
    class_parts,
    dirichlet_parts,
    mix_domains,
    share_devices,
)

CONFIG = LearningConfig(seed=1, clusters=("a", "b", "c", "d"), devices=(5, 3, 1, 7))
DIGITS = load_digits()
PIXELS = DIGITS.data.astype("f4") / 16
SORTED = {tuple(np.sort(row)): number for number, row in enumerate(PIXELS)}


@pytest.fixture(scope="module")
def samples():
    return load_samples(CONFIG)


def numbers(arrays):
    """Name images by their sorted pixels, which no permutation changes."""
    return [SORTED[tuple(row)] for row in np.sort(arrays.x.reshape(len(arrays.y), -1), axis=1)]


def held_by(samples, cluster):
    return [samples.trial[cluster], *samples.shards[cluster]]


def test_every_image_is_held_once_and_keeps_its_label(samples):
    held = [part for cluster in CONFIG.clusters for part in held_by(samples, cluster)]
    dealt = [number for part in [*held, samples.test["a"]] for number in numbers(part)]
    labels = np.concatenate([part.y for part in [*held, samples.test["a"]]])
    assert len(samples.test["a"].y) == 397
    assert sorted(dealt) == sorted(SORTED[tuple(np.sort(row))] for row in PIXELS)
    assert (DIGITS.target[dealt] == labels).all()


def test_each_cluster_tests_the_same_images_through_its_own_permutation(samples):
    tests = [samples.test[c] for c in CONFIG.clusters]
    assert all(numbers(test) == numbers(tests[0]) for test in tests)
    assert all((test.y == tests[0].y).all() for test in tests)
    assert len({test.x.tobytes() for test in tests}) == 4
    other = load_samples(replace(CONFIG, seed=2))
    assert set(numbers(other.test["a"])) != set(numbers(tests[0]))


def test_a_domain_is_one_permutation_of_the_pixels_in_training_and_test(samples):
    view = True
    for part in [samples.test["b"], *held_by(samples, "b")]:
        view &= (PIXELS[numbers(part)][:, :, None] == part.x[:, None, :]).all(0)
    # pixels that are dark in every image fit several places, so at least one match each
    assert view.any(0).all() and view.any(1).all()


def test_shards_are_even_and_of_the_documented_types(samples):
    for number, (cluster, devices) in enumerate(zip(CONFIG.clusters, CONFIG.devices, strict=True)):
        shards, trial = samples.shards[cluster], samples.trial[cluster]
        sizes = [len(shard.y) for shard in shards]
        assert (len(sizes), len(trial.y)) == (devices, CONFIG.data.trial_samples)
        assert max(sizes) - min(sizes) <= 1 and sum(sizes) + len(trial.y) == 350
        for part in [*shards, trial]:
            assert (part.x.dtype, part.y.dtype, part.domain.dtype) == ("f4", "i8", "i8")
            assert part.x.shape[1:] == (64,) and 0 <= part.x.min() < part.x.max() <= 1
            assert set(part.domain.tolist()) == {number}
    assert samples.classes == 10


@pytest.mark.parametrize("clusters", [1, 7, 20])
def test_one_to_twenty_clusters_share_all_training_images(clusters):
    names = tuple(f"c{i:02}" for i in range(clusters))
    samples = load_samples(LearningConfig(0, names, (2,) * clusters))
    assert sum(len(p.y) for n in names for p in held_by(samples, n)) == 1400


def test_digit_images_are_dealt_once_evenly_and_as_they_are():
    clusters = ("a", "b", "c")
    given = DataConfig(kind="digit-images", trial_samples=5)
    config = LearningConfig(1, clusters, (3, 4, 3), data=given)
    loaded = load_samples(config)
    assert (loaded.spec.form, loaded.spec.shape) == ("image", (1, 8, 8))
    held = [held_by(loaded, name) for name in clusters]
    assert [len(loaded.test[name].y) for name in clusters] == [397] * 3
    assert all(np.array_equal(loaded.test[n].x, loaded.test["a"].x) for n in clusters)
    counts = [sum(len(part.y) for part in parts) for parts in held]
    assert max(counts) - min(counts) <= 1
    images = np.concatenate([p.x for parts in [*held, [loaded.test["a"]]] for p in parts])
    # other than in ``digits``, pixels stay where they are
    assert sorted(map(bytes, images.reshape(-1, 64))) == sorted(map(bytes, PIXELS))
    other = load_samples(replace(config, seed=2))
    assert not np.array_equal(loaded.test["a"].y, other.test["a"].y)
    few = replace(given, partition="classes", classes_per_device=4)
    for device in load_samples(replace(config, data=few)).shards["b"]:
        assert len(np.unique(device.y)) == 4


# -- domains that are mixed


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.floats(0, 1), st.integers(0, 1000))
def test_mixing_keeps_every_sample_once_and_the_asked_fraction_at_home(sizes, fraction, seed):
    domains = [
        SampleArrays(np.arange(n, dtype="f4")[:, None] + 100 * c, np.zeros(n, "i8"), np.full(n, c))
        for c, n in enumerate(sizes)
    ]
    mixed = mix_domains(domains, fraction, seed)
    values = np.concatenate([part.x[:, 0] for part in mixed])
    assert sorted(values) == sorted(np.concatenate([d.x[:, 0] for d in domains]))
    for home, size in enumerate(sizes):
        kept = [int((part.domain == home).sum()) for part in mixed]
        assert abs(kept[home] - fraction * size) <= 0.5
        away = kept[:home] + kept[home + 1 :]
        assert max(away) - min(away) <= 1


def test_uniform_data_reach_every_device_and_the_trial_set():
    uniform = replace(CONFIG, data=DataConfig(own_domain_fraction=0.25, trial_samples=120))
    samples = load_samples(uniform)
    for cluster in CONFIG.clusters:
        shares = np.bincount(samples.trial[cluster].domain, minlength=4) / 120
        # 120 draws at 1/4 each: standard deviation 0.04 at most
        assert np.abs(shares - 0.25).max() < 4 * 0.04
        for shard in samples.shards[cluster]:
            assert set(shard.domain.tolist()) == {0, 1, 2, 3}


# -- devices of a cluster


def each_once(parts, count):
    return sorted(np.concatenate(parts).tolist()) == list(range(count))


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=80).map(np.array),
    st.data(),
    st.sampled_from(["even", "dirichlet"]),
    st.floats(1e-12, 1e6),
    st.integers(0, 99),
)
def test_every_sample_is_on_one_device_and_no_device_is_empty(y, data, partition, alpha, seed):
    devices = data.draw(st.integers(1, len(y)))
    how = DataConfig(partition=partition, dirichlet_alpha=alpha)
    parts = share_devices(y, "a", devices, replace(CONFIG, seed=seed, data=how))
    assert len(parts) == devices and min(map(len, parts)) >= 1
    assert each_once(parts, len(y))


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
    assert np.median([np.bincount(y[rows]).max() / len(rows) for rows in apart]) > 0.9


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
def test_a_partition_by_classes_is_refused_only_where_there_is_none(sizes, devices, per_device):
    y = np.repeat(np.arange(len(sizes)), sizes)
    choices = list(combinations(range(len(sizes)), per_device))
    possible = any(
        all(1 <= sum(label in held for held in dealt) <= n for label, n in enumerate(sizes))
        for dealt in product(choices, repeat=devices)
    )
    try:
        found = bool(class_parts(y, devices, per_device, np.random.default_rng(0)))
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


@pytest.mark.parametrize("partition", ["even", "dirichlet", "classes"])
def test_parts_depend_on_the_seed_and_on_no_other_cluster(partition):
    config = replace(CONFIG, data=DataConfig(partition=partition), devices=(5, 6, 5, 7))
    mine, theirs = load_samples(config), load_samples(replace(config, devices=(5, 7, 5, 7)))
    assert len(theirs.shards["b"]) == 7
    for cluster in ("a", "c", "d"):
        for one, other in zip(held_by(mine, cluster), held_by(theirs, cluster), strict=True):
            assert np.array_equal(one.x, other.x)
    other = load_samples(replace(config, seed=4))
    assert mine.shards["a"][0].x.tobytes() != other.shards["a"][0].x.tobytes()


def test_mixed_domains_are_partitioned_by_label_too():
    data = DataConfig(own_domain_fraction=0.6, partition="classes", classes_per_device=3)
    samples = load_samples(LearningConfig(3, ("a", "b"), (5, 6), data=data))
    for cluster in "ab":
        for shard in samples.shards[cluster]:
            assert len(np.unique(shard.y)) == 3
    domains = np.concatenate([shard.domain for shard in samples.shards["a"]])
    assert np.unique(domains).tolist() == [0, 1]


def data(**keys):
    return {"data": DataConfig(**keys)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"devices": (321, 1, 1, 1)}, "'a': 320 samples are left for 321 devices"),
        ({"devices": (0, 1, 1, 1)}, "left for 0 devices"),
        (data(trial_samples=350), "0 samples are left"),
        (data(trial_samples=0), "trial_samples is 0"),
        (data(own_domain_fraction=1.2), "own_domain_fraction is 1.2"),
        (data(own_domain_fraction=float("nan")), "own_domain_fraction is nan"),
        (data(kind="cifar"), "'cifar'; known are digit-images"),
        ({"clusters": tuple("abcdefghijklmnopqrstu"), "devices": (1,) * 21}, "1 to 20 clusters"),
        (
            {"clusters": ("a",), "devices": (1,), **data(own_domain_fraction=0.5)},
            "with 1 clusters it lies in 1 to 1",
        ),
        (
            {"clusters": ("a",) * 1401, "devices": (1,) * 1401, **data(kind="digit-images")},
            "1401 clusters; the digit images serve 1 to 1400",
        ),
        (data(partition="classes", classes_per_device=11), "cluster 'a': 5 devices with 11"),
        (data(partition="classes", classes_per_device=1), "of 10 labels; change"),
        (data(partition="dirichlet", dirichlet_alpha=0.0), "dirichlet_alpha is 0.0"),
        (data(partition="dirichlet", dirichlet_alpha=float("inf")), "alpha is inf"),
        (data(partition="random"), "'random'; it is even, dirichlet or classes"),
    ],
)
def test_what_cannot_be_shared_out_is_refused_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as refusal:
        load_samples(replace(CONFIG, **change))
    assert "\n" not in str(refusal.value)
