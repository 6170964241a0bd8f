"""Who holds which digits."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from learning.data import load_samples
from tests.kit.learning import DataConfig, LearningConfig, SampleArrays, mix_domains

CONFIG = LearningConfig(seed=1, clusters=("a", "b", "c", "d"), devices=(5, 3, 1, 7))


@pytest.fixture(scope="module")
def samples():
    return load_samples(CONFIG)


def images(arrays):
    """Name images by their sorted pixels, which no permutation changes."""
    return [tuple(row) for row in np.sort(arrays.x, axis=1).tolist()]


def held_by(samples, cluster):
    return [samples.trial[cluster], *samples.shards[cluster]]


def test_every_training_image_is_held_once_and_none_is_in_the_test(samples):
    held = [i for c in CONFIG.clusters for part in held_by(samples, c) for i in images(part)]
    digits = load_digits().data
    everything = sorted(tuple(row) for row in np.sort(digits / 16, axis=1).astype("f4").tolist())
    tested = images(samples.test["a"])
    assert (len(held), len(tested)) == (1400, 397)
    assert sorted(held + tested) == everything


def test_each_cluster_tests_the_same_images_through_its_own_permutation(samples):
    tests = [samples.test[c] for c in CONFIG.clusters]
    assert all(images(test) == images(tests[0]) for test in tests)
    assert all((test.y == tests[0].y).all() for test in tests)
    views = {test.x.tobytes() for test in tests}
    assert len(views) == 4


def test_a_domain_is_one_permutation_of_the_pixels_in_training_and_test(samples):
    pixels = load_digits().data.astype("f4") / 16
    known = {tuple(np.sort(row)): row for row in pixels}
    view = None
    for part in [samples.test["b"], *held_by(samples, "b")]:
        original = np.array([known[image] for image in images(part)])
        fits = (original[:, :, None] == part.x[:, None, :]).all(0)
        view = fits if view is None else view & fits
    # pixels that are dark in every image fit several places, so at least one match each
    assert view.any(0).all()
    assert view.any(1).all()


def test_labels_stay_with_their_images(samples):
    digits = load_digits()
    label = {
        tuple(row): y
        for row, y in zip(
            np.sort(digits.data / 16, axis=1).astype("f4").tolist(), digits.target, strict=True
        )
    }
    for cluster in CONFIG.clusters:
        for part in held_by(samples, cluster):
            assert [label[image] for image in images(part)] == part.y.tolist()


def test_devices_get_shards_that_differ_by_at_most_one_sample(samples):
    for cluster, devices in zip(CONFIG.clusters, CONFIG.devices, strict=True):
        sizes = [len(shard.y) for shard in samples.shards[cluster]]
        assert len(sizes) == devices
        assert max(sizes) - min(sizes) <= 1
        assert sum(sizes) + len(samples.trial[cluster].y) == 350


def test_arrays_have_the_documented_types_and_ranges(samples):
    shard = samples.shards["d"][6]
    assert (shard.x.dtype, shard.y.dtype, shard.domain.dtype) == ("float32", "int64", "int64")
    assert shard.x.shape[1:] == (64,)
    assert 0 <= shard.x.min() < shard.x.max() <= 1
    assert set(shard.domain.tolist()) == {3}
    assert samples.classes == 10
    assert len(samples.trial["d"].y) == CONFIG.data.trial_samples


def test_the_number_of_devices_of_one_cluster_changes_no_other_clusters_data(samples):
    other = load_samples(replace(CONFIG, devices=(2, 3, 1, 7)))
    for cluster in ("b", "c", "d"):
        for mine, theirs in zip(held_by(samples, cluster), held_by(other, cluster), strict=True):
            assert (mine.x == theirs.x).all()
    assert (samples.trial["a"].x == other.trial["a"].x).all()


def test_another_seed_is_another_split_and_another_view(samples):
    other = load_samples(replace(CONFIG, seed=2))
    assert set(images(other.test["a"])) != set(images(samples.test["a"]))


@pytest.mark.parametrize("clusters", [1, 2, 7, 20])
def test_one_to_twenty_clusters_share_all_training_images(clusters):
    names = tuple(f"c{i:02}" for i in range(clusters))
    samples = load_samples(LearningConfig(0, names, (2,) * clusters))
    assert sum(len(p.y) for n in names for p in held_by(samples, n)) == 1400


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=6),
    st.floats(0, 1),
    st.integers(0, 1000),
)
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
        # 120 draws at 1/4 each: standard deviation 0.033 at most
        assert np.abs(shares - 0.25).max() < 4 * 0.04
        for shard in samples.shards[cluster]:
            assert set(shard.domain.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"devices": (321, 1, 1, 1)}, "'a': 320 samples are left for 321 devices"),
        ({"devices": (0, 1, 1, 1)}, "left for 0 devices"),
        ({"data": DataConfig(trial_samples=350)}, "0 samples are left"),
        ({"data": DataConfig(trial_samples=0)}, "trial_samples is 0"),
        ({"data": DataConfig(own_domain_fraction=1.2)}, "own_domain_fraction is 1.2"),
        ({"data": DataConfig(own_domain_fraction=float("nan"))}, "own_domain_fraction is nan"),
        ({"data": DataConfig(kind="cifar")}, "'cifar'; known are digit-images"),
        ({"clusters": tuple("abcdefghijklmnopqrstu"), "devices": (1,) * 21}, "1 to 20 clusters"),
        (
            {"clusters": ("a",), "devices": (1,), "data": DataConfig(own_domain_fraction=0.5)},
            "with 1 clusters it lies in 1 to 1",
        ),
    ],
)
def test_what_cannot_be_shared_out_is_refused_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as refusal:
        load_samples(replace(CONFIG, **change))
    assert "\n" not in str(refusal.value)


def test_data_do_not_import_torch():
    code = "import sys, learning.data, learning.assignment; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
