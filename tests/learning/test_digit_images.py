"""The digits as images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from learning.data import load_samples
from tests.kit.learning import DataConfig, LearningConfig

CLUSTERS = ("a", "b", "c")
CIFAR = Path(__file__).parents[3] / "shared" / "data" / "cifar10.npz"


def config(seed: int = 1, **data: object) -> LearningConfig:
    settings = DataConfig(kind="digit-images", **data)  # type: ignore[arg-type]
    return LearningConfig(seed, CLUSTERS, (3, 4, 3), data=settings)


def test_every_image_is_dealt_once() -> None:
    loaded = load_samples(config(trial_samples=5))
    assert loaded.spec.form == "image"
    assert loaded.spec.shape == (1, 8, 8)
    parts = [part.x for shards in loaded.shards.values() for part in shards]
    parts += [part.x for part in loaded.trial.values()]
    parts.append(loaded.test["a"].x)
    images = np.concatenate(parts).reshape(-1, 64)
    wanted = (load_digits().data / 16).astype(np.float32)
    assert len(images) == 1797
    assert np.array_equal(np.sort(images, 0), np.sort(wanted, 0))
    assert sorted(map(bytes, images)) == sorted(map(bytes, wanted))


def test_clusters_share_their_test_images_and_hold_equally_many() -> None:
    loaded = load_samples(config())
    assert len(loaded.test["a"].y) == 397
    for name in CLUSTERS:
        assert np.array_equal(loaded.test[name].x, loaded.test["a"].x)
    held = [sum(len(part.y) for part in loaded.shards[name]) for name in CLUSTERS]
    assert max(held) - min(held) <= 1


def test_pixels_stay_where_they_are() -> None:
    """Other than in ``digits``: the mean image is that of scikit-learn's."""
    loaded = load_samples(config())
    everything = [p.x for shards in loaded.shards.values() for p in shards]
    mean = np.concatenate(everything).mean(0)[0]
    assert np.abs(mean - load_digits().images.mean(0) / 16).max() < 0.03


def test_classes_a_device() -> None:
    loaded = load_samples(config(partition="classes", classes_per_device=4))
    for device in loaded.shards["b"]:
        assert len(np.unique(device.y)) == 4


def test_another_seed_deals_otherwise() -> None:
    one, other = load_samples(config(1)), load_samples(config(2))
    assert not np.array_equal(one.test["a"].y, other.test["a"].y)


@pytest.mark.skipif(not CIFAR.exists(), reason="no shared/data/cifar10.npz")
def test_cifar_has_one_test_set() -> None:
    data = DataConfig(kind="npz", path=str(CIFAR), train_samples=300, test_samples=50)
    loaded = load_samples(LearningConfig(1, ("a", "b"), (1, 1), data=data))
    assert loaded.spec.form == "image"
    assert loaded.spec.shape == (3, 32, 32)
    assert loaded.spec.classes == 10
    assert np.array_equal(loaded.test["a"].x, loaded.test["b"].x)
